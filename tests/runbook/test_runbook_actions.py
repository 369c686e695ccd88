"""Actions against the emulated instance: what they do is read back, and their undo takes it back."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from difyops.emulator.providers import SECRET_FIELD, Credential
from difyops.emulator.routes.service_datasets import new_dataset, new_document
from difyops.errors import DifyopsError, NotFound, Refused, ServerFault
from difyops.runbook.history import run as past
from difyops.runbook.undoing import undoing
from tests.conftest import Cli
from tests.faults import answer, free_port, serving
from tests.runbook.runbook_tools import (
    Stage,
    applied,
    carried,
    change_live,
    consent,
    from_text,
    planned,
    resources_at,
    results,
    undone,
)

HEAD = "runbook: trial\ntitle: T\nwhy: W\nsteps:\n"


async def test_switching_an_api_off_and_on_again(stage: Stage) -> None:
    state = stage.emulator.app_named("wf-echo")
    async with stage.resources() as resources:
        off = await planned(resources, "app.disable_api", app="wf-echo")
        assert state.enable_api, "planning changes nothing"
        await applied(off)
        assert not state.enable_api
        assert (await planned(resources, "app.disable_api", app="wf-echo")).apply is None
        await undone(resources, off)
        assert state.enable_api
        assert (await planned(resources, "app.enable_api", app="wf-echo")).apply is None


async def test_triggers_are_switched_by_name_or_all_of_them(stage: Stage) -> None:
    async with stage.resources() as resources:
        instance, app = await resources.instance(), await resources.app("wf-hook")
        off = await planned(resources, "trigger.disable", app="wf-hook")
        await applied(off)
        assert {item.status for item in await instance.console.triggers(app.id)} == {"disabled"}
        assert (await planned(resources, "trigger.disable", app="wf-hook", trigger=["webhook"])).apply is None
        await undone(resources, off)
        assert {item.status for item in await instance.console.triggers(app.id)} == {"enabled"}
        for name in ("trigger.enable", "trigger.disable"):
            with pytest.raises(NotFound, match="it has: Webhook"):
                await planned(resources, name, app="wf-hook", trigger=["no-such"])


async def test_a_trigger_that_was_off_before_stays_off_when_the_others_are_switched_back(stage: Stage) -> None:
    def another(graph: dict[str, Any]) -> None:
        node = next(item for item in graph["nodes"] if item["data"]["type"] == "trigger-webhook")
        graph["nodes"].append({**node, "id": "second", "data": {**node["data"], "title": "Second"}})

    change_live(stage, "wf-hook", another)
    async with stage.resources() as resources:
        instance, app = await resources.instance(), await resources.app("wf-hook")
        assert len(await instance.console.triggers(app.id)) == 2
        await applied(await planned(resources, "trigger.disable", app="wf-hook", trigger=["Second"]))
        before = {item.id: item.status for item in await instance.console.triggers(app.id)}
        off = await planned(resources, "trigger.disable", app="wf-hook")
        await applied(off)
        assert {item.status for item in await instance.console.triggers(app.id)} == {"disabled"}
        await undone(resources, off)
        assert {item.id: item.status for item in await instance.console.triggers(app.id)} == before


def _second_key(stage: Stage, key: str = "sk-good-2") -> None:
    instance = stage.emulator.instance
    item = Credential(id=instance.new_id(), name="fallback", values={SECRET_FIELD: key})
    instance.provider.credentials.append(item)


async def test_another_stored_key_is_used_even_when_the_first_switch_is_stale(stage: Stage) -> None:
    _second_key(stage)
    provider = stage.emulator.instance.provider
    async with stage.resources() as resources:
        plan = await planned(resources, "provider.switch_credential", provider="openai", to="fallback", settle=0.01)
        await applied(plan)
        assert provider.current is not None
        assert provider.current.name == "fallback"
        assert (await planned(resources, "provider.switch_credential", provider="openai", to="fallback")).apply is None
        await undone(resources, plan)
        assert provider.current.name == "primary"
        stage.emulator.control.mood("stale_switch")
        await applied(plan)
        assert provider.cached == {SECRET_FIELD: "sk-good-2"}
        with pytest.raises(Refused, match="it has"):
            await planned(resources, "provider.switch_credential", provider="openai", to="nothing")
        with pytest.raises(NotFound):
            await planned(resources, "provider.switch_credential", provider="acme", to="fallback")


async def test_failed_documents_are_indexed_again(stage: Stage) -> None:
    instance = stage.emulator.instance
    document = new_document(instance, new_dataset(instance, "handbook"), "bad.txt", "text")
    document.ready_at, document.broken = 0.0, True
    async with stage.resources() as resources:
        plan = await planned(resources, "knowledge.retry_indexing", datasets=["handbook"], wait=0.3)
        stage.emulator.control.mood("indexing_fails")
        with pytest.raises(ServerFault, match="failed again"):
            await applied(plan)
        stage.emulator.control.mood("happy")
        await applied(await planned(resources, "knowledge.retry_indexing", wait=0.3))
        assert (await planned(resources, "knowledge.retry_indexing")).apply is None
    assert not document.broken


async def test_stopping_a_run_asks_and_promises_nothing(stage: Stage) -> None:
    async with stage.resources() as resources:
        said = await applied(await planned(resources, "run.stop", app="wf-echo", task="some-task"))
    assert "asked to stop" in said
    assert stage.emulator.instance.tasks["some-task"].stop_requested


async def test_people_are_told_every_way_and_one_that_fails_does_not_stop_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(answer(200, {})) as served:
        monkeypatch.setenv("HOOK", f"{served.url}/hook")
        monkeypatch.setenv("PING", f"{served.url}/ping")
        monkeypatch.setenv("GONE", f"http://127.0.0.1:{free_port()}/canary-hook-path")
        async with stage.resources() as resources:
            tell = {"message": "it is over", "phase": "failure"}
            await applied(await planned(resources, "notify", webhook="env:HOOK", ping_url="env:PING", **tell))
            with pytest.raises(DifyopsError, match="1 of 2 ways failed") as caught:
                await applied(await planned(resources, "notify", webhook="env:GONE", ping_url="env:PING", **tell))
            assert (await planned(resources, "notify", message="x")).apply is None
        assert [item.path for item in served.asked] == ["/hook", "/ping/fail", "/ping/fail"]
        assert json.loads(served.asked[0].body) == {"text": "it is over"}
    assert "canary-hook-path" not in caught.value.message


async def test_mail_goes_through_smtp_and_no_password_without_tls(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.runbook.letterbox import letterbox

    monkeypatch.setenv("MAIL_PASSWORD", "canary-mail-pass")
    with letterbox() as (port, letters):
        mail = {"email": ["ops@example.com"], "smtp": f"127.0.0.1:{port}", "sender": "difyops@example.com"}
        async with resources_at(tmp_path) as resources:
            await applied(await planned(resources, "notify", message="first line\nsecond\r\nBcc: x@y", **mail))
            secret = {"smtp_user": "me", "smtp_password": "env:MAIL_PASSWORD"}
            with pytest.raises(DifyopsError, match="no TLS"):
                await applied(await planned(resources, "notify", message="x", **mail, **secret))
            with pytest.raises(DifyopsError, match="host:port"):
                await applied(await planned(resources, "notify", message="x", **{**mail, "smtp": "nowhere"}))
    assert len(letters) == 1
    head, _, body = letters[0].partition("\n\n")
    assert "Subject: first line" in head
    assert "Bcc" not in head
    assert "second" in body
    assert "canary-mail-pass" not in letters[0]


def test_a_mail_server_that_hangs_does_not_keep_the_program_from_ending(
    cli: Cli, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = tmp_path / "hang.yaml"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        smtp = f"127.0.0.1:{silent.getsockname()[1]}"
        book.write_text(
            "runbook: hang\ntitle: T\nwhy: W\nsteps:\n  - {id: tell, action: notify, timeout: 1s,"
            f" with: {{message: hi, email: [a@example.com], sender: b@example.com, smtp: '{smtp}'}}}}\n"
        )
        assert cli("runbook", "run", str(book), "--act").code == 5


async def test_a_program_that_fails_fails_the_action(tmp_path: Any) -> None:
    async with resources_at(tmp_path) as resources:
        plan = await planned(resources, "command", argv=["sh", "-c", "echo no; exit 3"], undo="rm it")
        assert plan.undo is not None
        assert plan.undo.text == "rm it"
        with pytest.raises(DifyopsError, match="ended with 3: no"):
            await applied(plan)
        assert "ended with 0" in await applied(await planned(resources, "command", argv=["true"]))
    async with resources_at(tmp_path / "b", trusts_commands=False) as resources:
        with pytest.raises(Refused):
            await planned(resources, "command", argv=["true"])


async def test_waiting_and_approving(tmp_path: Any) -> None:
    async with resources_at(tmp_path) as resources:
        plan = await planned(resources, "wait", seconds=0.01)
        assert not plan.asks
        assert "waited" in await applied(plan)
        assert (await planned(resources, "approve", question="Really?")).approval


async def test_a_whole_run_is_taken_back_newest_first(stage: Stage) -> None:
    _second_key(stage)
    text = HEAD + (
        "  - {id: off, action: app.disable_api, with: {app: wf-echo}}\n"
        "  - {id: key, action: provider.switch_credential, with: {provider: openai, to: fallback, settle: 0.01},"
        " needs: [off]}\n"
    )
    state, provider = stage.emulator.app_named("wf-echo"), stage.emulator.instance.provider
    async with stage.resources() as resources:
        record = await carried(from_text(text), resources, allow=consent(act=True))
        assert results(record) == {"off": "pass", "key": "pass"}
        assert not state.enable_api
        assert resources.ledger is not None
        kept = past(resources.ledger, resources.config.state, record.id)
        back = undoing(kept)
        assert [step.id for step in back.steps] == ["undo_key", "undo_off"]
        undone = await carried(back, resources, allow=consent(act=True))
        assert undone.verdict == "pass"
        assert state.enable_api
        assert provider.current is not None
        assert provider.current.name == "primary"
        with pytest.raises(Refused):
            undoing(await carried(from_text(HEAD + "  - {id: d, check: disk}\n"), resources))
        trail = [entry.action for entry in resources.ledger.audit_trail()]
    assert trail == ["app.disable", "provider.switch", "provider.switch", "app.enable"]


async def test_an_action_on_a_server_that_dies_says_that_its_state_is_unknown(stage: Stage) -> None:
    text = HEAD + "  - {id: off, action: app.disable_api, with: {app: wf-echo}}\n"
    stage.emulator.control.fail(method="POST", path="/api-enable", how="reset")
    async with stage.resources() as resources:
        record = await carried(from_text(text), resources, allow=consent(act=True))
        assert resources.ledger is not None
        assert "unknown" in past(resources.ledger, resources.config.state, "trial").steps[0].text
    assert record.steps[0].result == "fail"
    assert record.steps[0].undo
    assert record.steps[0].undo.startswith("app.enable_api")


async def test_an_app_key_is_rotated_up_to_its_grace_period_and_delivered(stage: Stage) -> None:
    delivered = stage.folder / "delivered-key"
    state = stage.emulator.app_named("wf-echo")
    former = state.keys[0].token
    async with stage.resources() as resources:
        plan = await planned(
            resources,
            "secret.rotate",
            kind="app-key",
            target=["wf-echo"],
            deliver=[f"file:{delivered}"],
            probes=["wf-echo"],
        )
        assert [key.token for key in state.keys] == [former]
        assert plan.apply is not None
        acted = await plan.apply()
        assert acted.undo is not None
        assert acted.undo.text.startswith("difyops secret revert ")
        with pytest.raises(DifyopsError, match="value_from"):
            await planned(resources, "secret.rotate", kind="provider", target=["openai"])
    assert len(state.keys) == 2
    assert delivered.read_text().strip() in {key.token for key in state.keys} - {former}
    assert delivered.read_text().strip() not in acted.text
