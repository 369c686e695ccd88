"""Checks of the instance, its knowledge, its snapshots and its keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from difyops.clock import SystemClock
from difyops.config import Context
from difyops.emulator.routes.console_keys import new_key
from difyops.emulator.routes.service_datasets import new_dataset, new_document
from difyops.errors import Refused
from difyops.runbook.result import Fail, Inconclusive, Pass, Warn
from difyops.snapshot.take import TakeOptions, take
from tests.faults import answer, by_path, free_port, in_turn, serving
from tests.runbook.runbook_tools import Stage, change_live, check, planned, resources_at, staged


async def test_a_healthy_instance_passes_part_by_part(stage: Stage) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "instance.health", worker_app="wf-echo", worker_inputs={"text": "x"})
    assert isinstance(found, Pass), found
    states = {value.name: value.value for value in found.values}
    assert states == {"api": "up", "database": "up", "redis": "up", "plugin_daemon": "up", "worker": "up"}


@pytest.mark.parametrize(
    ("mood", "part"), [("redis_down", "redis"), ("worker_down", "worker"), ("gateway_down", "api")]
)
async def test_a_part_that_is_down_is_named(stage: Stage, mood: str, part: str) -> None:
    async with stage.resources() as resources:
        await resources.instance()
        stage.emulator.control.mood(mood)
        found = await check(
            resources, "instance.health", worker_app="wf-echo", worker_inputs={"text": "x"}, silence="1s", patience="3s"
        )
    assert isinstance(found, Fail), found
    assert found.text.startswith(part), found.text


async def test_a_worker_is_missed_too_when_the_server_closes_the_silent_stream_before_we_do(tmp_path: Path) -> None:
    with staged(tmp_path, speed=1000.0) as stage:
        stage.emulator.control.mood("worker_down")
        async with stage.resources() as resources:
            found = await check(resources, "instance.health", worker_app="wf-echo", worker_inputs={"text": "x"})
    assert isinstance(found, Fail), found
    assert found.text.startswith("worker"), found.text


async def test_redis_down_is_told_from_a_wrong_password_when_only_a_login_is_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_PASSWORD", stage.emulator.password)
    context = Context(name="emu", url=stage.url, email=stage.emulator.email, password="env:CANARY_PASSWORD")
    stage.emulator.control.mood("redis_down")
    async with stage.resources(context=context) as resources:
        found = await check(resources, "instance.health")
    assert isinstance(found, Fail), found
    assert "redis" in found.text


async def test_the_plugin_daemon_is_named_when_a_model_cannot_be_called(stage: Stage) -> None:
    stage.emulator.control.mood("daemon_down")
    async with stage.resources() as resources:
        found = await check(resources, "instance.health", worker_app="wf-llm")
    assert isinstance(found, Fail), found
    assert "plugin daemon" in found.text


async def test_the_plugin_daemon_is_missed_without_any_run_though_the_list_of_providers_still_comes(
    stage: Stage,
) -> None:
    said = {"code": "invalid_param", "message": "Failed to request plugin daemon, url: plugin/x", "status": 400}
    routes = {
        "/console/api/workspaces/current/plugin/list": answer(400, said),
        "/console/api/account/profile": answer(200, {"email": "ops@example.com"}),
    }
    with serving(by_path(routes, answer(200, {"step": "finished", "data": []}))) as served:
        async with resources_at(stage.folder, replace(stage.context, url=served.url)) as resources:
            found = await check(resources, "instance.health")
    assert isinstance(found, Fail), found
    assert found.text.startswith("plugin daemon")


async def test_an_instance_that_is_not_there_fails_and_one_that_refuses_us_is_inconclusive(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Context(name="gone", url=f"http://127.0.0.1:{free_port()}", admin_key="env:X", workspace_id="w")
    async with resources_at(tmp_path / "a", gone) as resources:
        assert isinstance(await check(resources, "instance.health", patience="1s"), Fail)
    monkeypatch.setenv("CANARY_WRONG_KEY", "canary-wrong-key")
    refused = Context(
        name="emu", url=stage.url, admin_key="env:CANARY_WRONG_KEY", workspace_id=stage.emulator.workspace_id
    )
    async with resources_at(tmp_path / "b", refused) as resources:
        found = await check(resources, "instance.health")
    assert isinstance(found, Inconclusive), found


async def test_another_page_where_the_console_should_be_is_no_verdict_about_redis(stage: Stage) -> None:
    with serving(answer(200, b"<html>Welcome</html>")) as served:
        async with resources_at(stage.folder, replace(stage.context, url=served.url)) as resources:
            found = await check(resources, "instance.health")
    assert isinstance(found, Inconclusive), found
    assert "not a Dify console" in found.text


async def test_without_an_instance_health_is_inconclusive(tmp_path: Path) -> None:
    async with resources_at(tmp_path) as resources:
        assert isinstance(await check(resources, "instance.health"), Inconclusive)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({}, Pass),
        ({"expected": "1.13.0"}, Pass),
        ({"expected": "1.13.3"}, Fail),
        ({"at_least": "1.10"}, Pass),
        ({"at_least": "1.14.0"}, Fail),
        ({"below": "1.13.0"}, Fail),
        ({"below": "1.14"}, Pass),
    ],
)
async def test_the_version_is_held_to_what_is_expected(stage: Stage, parameters: dict[str, Any], kind: type) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "instance.version", **parameters)
    assert isinstance(found, kind), found


async def test_a_build_that_lies_about_its_version_is_a_warning(tmp_path: Path) -> None:
    with staged(tmp_path, version="1.13.0", reported_version="1.11.4") as stage:
        async with stage.resources() as resources:
            found = await check(resources, "instance.version")
    assert isinstance(found, Warn), found
    assert "DSL 0.6.0" in found.text


async def test_replicas_of_different_versions_fail(stage: Stage) -> None:
    with serving(_two_versions()) as served:
        async with resources_at(stage.folder, replace(stage.context, url=served.url)) as resources:
            found = await check(resources, "instance.version", samples=4)
    assert isinstance(found, Fail), found
    assert "1.13.0" in found.text
    assert "1.13.3" in found.text


def _two_versions() -> Any:
    body = {"step": "finished", "setup_at": None}
    old, new = answer(200, body, **{"X-Version": "1.13.0"}), answer(200, body, **{"X-Version": "1.13.3"})
    return in_turn(old, new, old, new, old, new)


async def test_documents_in_error_fail_and_ready_ones_pass(stage: Stage) -> None:
    instance = stage.emulator.instance
    dataset = new_dataset(instance, "handbook")
    good = new_document(instance, dataset, "good.txt", "Opening hours are nine to five.")
    good.ready_at = 0.0
    async with stage.resources() as resources:
        assert isinstance(await check(resources, "knowledge.indexing", datasets=["handbook"]), Pass)
        bad = new_document(instance, dataset, "bad.txt", "Refunds take ten days.")
        bad.ready_at, bad.broken = 0.0, True
        found = await check(resources, "knowledge.indexing")
        unknown = await check(resources, "knowledge.indexing", datasets=["nothing"])
    assert isinstance(found, Fail), found
    assert "bad.txt" in found.excerpt
    assert isinstance(unknown, Inconclusive)


async def test_a_document_that_waits_for_hours_fails_without_any_error(stage: Stage) -> None:
    instance = stage.emulator.instance
    slow = new_document(instance, new_dataset(instance, "handbook"), "slow.txt", "text")
    slow.ready_at, slow.created_at = instance.moment() + 9999, instance.now() - 7200
    async with stage.resources() as resources:
        found = await check(resources, "knowledge.indexing", max_age="30m")
        patient = await check(resources, "knowledge.indexing", max_age="3h")
    assert isinstance(found, Fail), found
    assert "slow.txt" in found.excerpt
    assert isinstance(patient, Pass)


async def test_a_known_question_finds_its_document(stage: Stage) -> None:
    instance = stage.emulator.instance
    dataset = new_dataset(instance, "handbook")
    document = new_document(instance, dataset, "hours.txt", "Opening hours are nine to five.")
    async with stage.resources() as resources:
        asked: dict[str, Any] = {"dataset": "handbook", "question": "What are the opening hours?", "keyword": True}
        assert isinstance(await check(resources, "knowledge.retrieval", **asked), Inconclusive)  # no dataset key yet
        new_key(instance, None)
        document.ready_at = 0.0
        assert isinstance(await check(resources, "knowledge.retrieval", **asked, document="hours.txt"), Pass)
        assert isinstance(await check(resources, "knowledge.retrieval", **asked, document="other.txt"), Fail)
        assert isinstance(await check(resources, "knowledge.retrieval", **asked, min_score=5.0), Fail)
        new_dataset(instance, "another")
        assert isinstance(await check(resources, "knowledge.retrieval", dataset="all", question="x"), Inconclusive)
        document.enabled = False
        found = await check(resources, "knowledge.retrieval", **asked)
        stage.emulator.control.fail(path="/retrieve", times=99, how="status:500")
        broken = await check(resources, "knowledge.retrieval", **asked)
    assert isinstance(found, Fail), found
    assert "finds nothing" in found.text
    assert isinstance(broken, Fail)


async def test_the_age_of_snapshots_is_that_of_the_last_look(stage: Stage) -> None:
    async with stage.resources() as resources:
        assert isinstance(await check(resources, "snapshot.age"), Fail)
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        assert isinstance(await check(resources, "snapshot.age", verified=True), Pass)
        old = await check(resources, "snapshot.age", max_age="0s")
    assert isinstance(old, Fail), old


async def test_a_snapshot_from_the_future_is_a_finding(stage: Stage) -> None:
    class Behind(SystemClock):
        def now(self) -> Any:
            return SystemClock.now(self) - timedelta(hours=30)

    async with stage.resources() as resources:
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        resources.clock = Behind()
        found = await check(resources, "snapshot.age")
    assert isinstance(found, Fail), found
    assert "clocks" in found.text


async def test_a_snapshot_of_one_app_makes_the_complete_one_before_neither_partial_nor_fresh(stage: Stage) -> None:
    class Then(SystemClock):
        def now(self) -> Any:
            return SystemClock.now(self) - timedelta(hours=20)

    async with stage.resources() as resources:
        instance, store, one = await resources.instance(), resources.make_store(), TakeOptions(selectors=("wf-llm",))
        await take(instance, store, one)
        assert isinstance(await check(resources, "snapshot.age"), Fail)
        await take(instance, store, TakeOptions(), clock=Then())
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Renamed"))
        await take(instance, store, one)
        found = await check(resources, "snapshot.age")
        old = await check(resources, "snapshot.age", max_age="10h")
    assert isinstance(found, Pass), found
    assert "20.0 h" in found.text
    assert isinstance(old, Fail), old


async def test_a_partial_snapshot_is_no_backup(stage: Stage) -> None:
    async with stage.resources() as resources:
        app = stage.emulator.app_named("wf-llm").id
        stage.emulator.control.fail(path=f"/apps/{app}", times=999, how="status:500")
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        found = await check(resources, "snapshot.age")
    assert isinstance(found, Fail), found
    assert "partial" in found.text


async def test_drift_names_the_app_and_a_missing_snapshot_is_inconclusive(stage: Stage) -> None:
    async with stage.resources() as resources:
        assert isinstance(await check(resources, "snapshot.drift"), Inconclusive)
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        assert isinstance(await check(resources, "snapshot.drift"), Pass)
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Renamed"))
        found = await check(resources, "snapshot.drift")
        stage.emulator.control.fail(path="/workflows", times=999, how="status:500")
        unread = await check(resources, "snapshot.drift", apps=["wf-llm"])
    assert isinstance(found, Fail), found
    assert "wf-llm" in found.text
    assert isinstance(unread, Inconclusive), unread


async def test_old_keys_fail_and_are_named_by_app_never_by_text(stage: Stage) -> None:
    key = stage.emulator.app_named("wf-llm").keys[0]
    async with stage.resources() as resources:
        assert isinstance(await check(resources, "secret.age"), Pass)
        key.created_at -= 100 * 86400
        found = await check(resources, "secret.age")
        warned = await check(resources, "secret.age", max_age="200d", warn_age="90d")
    assert isinstance(found, Fail), found
    assert "wf-llm" in found.text
    assert key.token not in found.text + found.excerpt
    assert isinstance(warned, Warn)


async def test_the_age_of_secrets_is_judged_in_a_first_dry_run_too_and_nothing_is_written(stage: Stage) -> None:
    stage.emulator.app_named("wf-llm").keys[0].created_at -= 100 * 86400
    async with stage.resources(ledger=False, dry_run=True) as resources:
        found = await check(resources, "secret.age")
        planned_so = await planned(resources, "secret.rotate", kind="app-key", target=["wf-llm"], probes=["wf-llm"])
        kept = [path for path in stage.folder.rglob("*") if path.is_file()]
        assert planned_so.apply is not None
        with pytest.raises(Refused, match="ledger"):
            await planned_so.apply()
    assert isinstance(found, Fail), found
    assert "rotate the" in planned_so.text
    assert not kept, kept
