"""Checks of apps and providers: passing, failing, inconclusive, timing out."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.emulator.providers import SECRET_FIELD, Credential
from difyops.runbook.result import Fail, Inconclusive, Pass, Warn
from difyops.snapshot.take import TakeOptions, take
from tests.runbook.runbook_tools import Stage, carried, change_live, check, from_text


async def test_an_app_that_answers_as_expected_passes_with_its_time(stage: Stage) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "app.answers", app="wf-echo", inputs={"text": "hello"}, expect=["HELLO"])
    assert isinstance(found, Pass), found
    assert {value.name for value in found.values} >= {"seconds"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"expect": ["GOODBYE"]}, "does not hold 'GOODBYE'"),
        ({"never": ["HELLO"]}, "which it must not"),
        ({"schema": {"type": "object", "required": ["missing"]}}, "does not fit the schema"),
        ({"max_seconds": 0.0001}, "more than 0.0001 s"),
    ],
)
async def test_an_app_that_answers_otherwise_fails(stage: Stage, asked: dict[str, Any], words: str) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "app.answers", app="wf-echo", inputs={"text": "hello"}, **asked)
    assert isinstance(found, Fail), found
    assert words in found.text


async def test_a_schema_that_fits_passes(stage: Stage) -> None:
    schema = {"type": "object", "minProperties": 1}
    async with stage.resources() as resources:
        found = await check(resources, "app.answers", app="wf-echo", inputs={"text": "hello"}, schema=schema)
    assert isinstance(found, Pass), found


async def test_a_run_that_fails_is_a_failure_and_says_why(stage: Stage) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "app.answers", app="wf-echo", inputs={"text": "boom"})
    assert isinstance(found, Fail)
    assert "boom" in found.text


async def test_a_cut_edge_succeeds_empty_and_fails_here(stage: Stage) -> None:
    change_live(stage, "wf-llm", lambda graph: graph["edges"].clear())
    async with stage.resources() as resources:
        found = await check(resources, "app.answers", app="wf-llm")
        wiring = await check(resources, "app.wiring", apps=["wf-llm"])
    assert isinstance(found, Fail)
    assert "empty answer" in found.text
    assert isinstance(wiring, Fail)
    assert "no edge leads to" in wiring.text


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"app": "wf-echo", "inputs": {"nope": "x"}}, "nope"), ({"app": "no-such-app"}, "no-such-app")],
)
async def test_a_wrong_question_is_inconclusive(stage: Stage, asked: dict[str, Any], words: str) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "app.answers", silence="2s", **asked)
    assert isinstance(found, Inconclusive), found
    assert words in found.text


async def test_an_app_without_a_key_is_inconclusive(stage: Stage) -> None:
    stage.emulator.app_named("wf-echo").keys.clear()
    async with stage.resources() as resources:
        found = await check(resources, "app.answers", app="wf-echo", inputs={"text": "x"})
        access = await check(resources, "app.access", apps=["wf-echo"])
    assert isinstance(found, Inconclusive)
    assert "no API key" in found.text
    assert isinstance(access, Warn)


def switch_off(stage: Stage) -> None:
    state = stage.emulator.app_named("wf-echo")
    state.enable_api = False
    state.changed()


async def test_a_switched_off_app_fails_and_names_the_switch(stage: Stage) -> None:
    async with stage.resources() as resources:
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        switch_off(stage)
        answers = await check(resources, "app.answers", app="wf-echo", inputs={"text": "x"})
        access = await check(resources, "app.access", apps=["all"])
    assert isinstance(answers, Fail)
    assert "disabled" in answers.text
    assert isinstance(access, Fail)
    assert "wf-echo" in access.text
    assert "switch is off" in access.text


@pytest.mark.parametrize("name", ["app.access", "app.wiring", "runs.stuck", "runs.failure_rate"])
async def test_about_no_app_at_all_nothing_is_said(stage: Stage, name: str) -> None:
    async with stage.resources() as resources:
        for apps in ([], [""], ["tag:nothing"]):
            assert isinstance(await check(resources, name, apps=apps), Inconclusive), apps


async def test_callers_get_in_everywhere(stage: Stage) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "app.access", apps=["all"])
    assert isinstance(found, Pass), found


async def test_a_silent_stream_fails_after_its_silence(stage: Stage) -> None:
    stage.emulator.control.mood("worker_down")
    async with stage.resources() as resources:
        found = await check(resources, "app.answers", app="wf-echo", inputs={"text": "x"}, silence="1s")
    assert isinstance(found, Fail), found
    assert "worker" in str(found.hint)


async def test_wiring_of_a_healthy_workspace_passes(stage: Stage) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "app.wiring", apps=["all"])
    assert isinstance(found, Pass), found


def _other_model(graph: dict[str, Any]) -> None:
    for node in graph["nodes"]:
        if node["data"]["type"] == "llm":
            node["data"]["model"]["name"] = "gpt-nothing"


def _other_provider(graph: dict[str, Any]) -> None:
    for node in graph["nodes"]:
        if node["data"]["type"] == "llm":
            node["data"]["model"]["provider"] = "acme/acme/acme"


def _gone_dataset(graph: dict[str, Any]) -> None:
    graph["nodes"].append(
        {"id": "kb", "data": {"type": "knowledge-retrieval", "title": "kb", "dataset_ids": ["gone-dataset"]}}
    )


def _gone_credential(graph: dict[str, Any]) -> None:
    tool = {"type": "tool", "title": "search", "provider_id": "langgenius/google/google", "provider_type": "builtin"}
    graph["nodes"].append({"id": "t", "data": {**tool, "tool_name": "google_search", "credential_id": "retired"}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_model, "gpt-nothing"),
        (_other_provider, "acme"),
        (_gone_dataset, "gone-dataset"),
        (_gone_credential, "the credential retired of the tool provider langgenius/google/google was deleted"),
    ],
)
async def test_what_an_app_refers_to_and_is_gone_is_named(stage: Stage, change: Any, words: str) -> None:
    change_live(stage, "wf-llm", change)
    async with stage.resources() as resources:
        found = await check(resources, "app.wiring", apps=["wf-llm"])
    assert isinstance(found, Fail), found
    assert words in found.text


async def test_wiring_that_cannot_be_read_is_inconclusive(stage: Stage) -> None:
    stage.emulator.control.fail(method="GET", path="/workflows/publish", times=99, how="status:500")
    async with stage.resources() as resources:
        found = await check(resources, "app.wiring", apps=["wf-llm"])
    assert isinstance(found, Inconclusive), found


async def test_a_working_key_is_really_validated(stage: Stage) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "provider.credential", provider="openai")
    assert isinstance(found, Pass), found
    assert stage.emulator.instance.provider.credentials[0].values[SECRET_FIELD] == "sk-good-1"


async def test_a_revoked_key_fails_though_its_status_is_active(stage: Stage) -> None:
    stage.emulator.control.revoke("sk-good-1")
    async with stage.resources() as resources:
        found = await check(resources, "provider.credential", provider="langgenius/openai/openai")
    assert isinstance(found, Fail), found
    assert "refuses" in found.text


async def test_a_key_that_an_old_one_stands_in_for_is_a_warning(stage: Stage) -> None:
    provider = stage.emulator.instance.provider
    second = Credential(id=stage.emulator.instance.new_id(), name="second", values={SECRET_FIELD: "sk-good-2"})
    provider.credentials.append(second)
    provider.use(second, stale=True)
    stage.emulator.control.mood("stale_switch")
    async with stage.resources() as resources:
        found = await check(resources, "provider.credential", provider="openai")
    assert isinstance(found, Warn | Pass), found


@pytest.mark.parametrize(("provider", "kind"), [("acme", Fail)])
async def test_a_provider_that_is_not_there_fails(stage: Stage, provider: str, kind: type) -> None:
    async with stage.resources() as resources:
        found = await check(resources, "provider.credential", provider=provider)
    assert isinstance(found, kind)


async def test_no_current_key_fails(stage: Stage) -> None:
    stage.emulator.instance.provider.use(None)
    async with stage.resources() as resources:
        found = await check(resources, "provider.credential", provider="openai")
    assert isinstance(found, Fail)
    assert "no current credential" in found.text


MEASURES: list[tuple[str, dict[str, Any]]] = [
    ("provider.credential", {"provider": "openai"}),
    ("app.access", {"apps": ["wf-echo"]}),
    ("app.wiring", {"apps": ["wf-echo"]}),
    ("instance.version", {}),
    ("secret.age", {"kinds": ["app-key"]}),
    ("knowledge.indexing", {}),
    ("runs.failure_rate", {"apps": ["wf-echo"]}),
    ("runs.latency", {"app": "wf-echo"}),
    ("runs.stuck", {"apps": ["wf-echo"]}),
    ("app.answers", {"app": "wf-echo", "inputs": {"text": "x"}}),
]


@pytest.mark.parametrize("how", ["status:500", "reset", "garbage"])
@pytest.mark.parametrize(("name", "parameters"), MEASURES)
async def test_an_instance_that_misbehaves_is_never_a_verdict(
    stage: Stage, name: str, parameters: dict[str, Any], how: str
) -> None:
    async with stage.resources() as resources:
        await resources.instance()
        await resources.apps()
        stage.emulator.control.fail(path="/(console/api|v1)/", times=10_000, how=how)
        found = await check(resources, name, **parameters)
    assert isinstance(found, Inconclusive), found


async def test_an_instance_that_dies_in_the_middle_leaves_what_was_measured_before(stage: Stage) -> None:
    steps = "".join(f"  - {{id: s{n}, check: app.access, with: {{apps: wf-echo, keys: false}}}}\n" for n in range(30))
    made = from_text("runbook: trial\ntitle: T\nwhy: W\nparallel: 2\nsteps:\n" + steps)
    stage.emulator.control.fail(method="GET", path="/console/api/apps/[0-9a-f-]+$", nth=11, times=9999, how="reset")
    async with stage.resources() as resources:
        record = await carried(made, resources)
    assert record.count("pass") == 10
    assert record.count("inconclusive") == 20
    assert record.error is not None
    assert record.error.exit_code == 3


async def test_a_dry_run_runs_no_app_and_saves_no_credential(stage: Stage) -> None:
    async with stage.resources(dry_run=True) as resources:
        await resources.apps()
        stage.emulator.control.reset_counts()
        assert (await check(resources, "app.answers", app="wf-echo")).word == "skipped"
        assert (await check(resources, "provider.credential", provider="openai")).word == "skipped"
        assert isinstance(await check(resources, "instance.health", worker_app="wf-echo"), Pass)
        routes = stage.emulator.control.counts()["routes"]
    assert isinstance(routes, dict)
    assert not [route for route in routes if route.startswith(("PUT", "POST"))], routes


async def test_an_api_that_is_off_on_purpose_is_no_failure(stage: Stage) -> None:
    async with stage.resources() as resources:
        switch_off(stage)
        unknown = await check(resources, "app.access", apps=["all"])
        excused = await check(resources, "app.access", apps=["all"], expected_off=["wf-echo"])
        resources.audit("app.disable", stage.emulator.app_named("wf-echo").id)
        told = await check(resources, "app.access", apps=["all"])
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        kept = await check(resources, "app.access", apps=["all"])
    assert isinstance(unknown, Warn), unknown
    assert "no snapshot says whether it should be" in unknown.text
    for found in (excused, told, kept):
        assert "off on purpose: wf-echo" in found.text
        assert found.word in ("pass", "warn"), found


async def test_what_difyops_switched_off_after_the_snapshot_is_told_with_who_and_when(stage: Stage) -> None:
    async with stage.resources() as resources:
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        switch_off(stage)
        resources.audit("app.disable", stage.emulator.app_named("wf-echo").id)
        found = await check(resources, "app.access", apps=["all"])
    assert isinstance(found, Fail), found
    assert "switched by runbook at 20" in found.text
