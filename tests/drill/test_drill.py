"""What a drill proves, what it finds, what it leaves: nothing."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from difyops.asking import Smoke
from difyops.drill.model import DIFFERS, LACKS, SMOKE
from difyops.drill.report import report
from difyops.drill.run import subject_of
from difyops.emulator import Emulator
from difyops.emulator.routes.service_datasets import new_dataset
from difyops.errors import LockHeld
from difyops.publishing.config import STAMPS
from difyops.scratch.effects import effects_of
from difyops.sealing.access import Access
from difyops.sealing.age import new_identity
from difyops.snapshot.seals import NewSeal, set_recipients
from difyops.snapshot.take import TakeOptions, take
from tests.conftest import Cli
from tests.drill.broken_store import faults, is_found
from tests.drill.conftest import MODES, Killed, Place, counting, killing
from tests.plugins_of_dify.conftest import PLUGIN, use_plugin


async def test_all_five_modes_come_back_are_proven_run_and_are_gone(place: Place) -> None:
    before = place.apps()
    found = await place.drill(*MODES, at_once=3, allow_effects=True)
    assert place.apps() == before
    assert [app.name for app in found.apps] == sorted(MODES, key=list(before.values()).index) or len(found.apps) == 5
    assert {(app.mode, app.proven, app.smoke) for app in found.apps} == {
        (mode, True, "passed") for mode in ("workflow", "advanced-chat", "chat", "agent-chat", "completion")
    }, found.findings
    assert found.verdict == "pass"
    assert found.error is None
    assert found.rpo is not None
    assert found.rto > 0
    assert found.files > 5
    kept = report(place.workspace.ledger, "emu", found.began.replace(year=2000))
    assert [row["id"] for row in kept.drills] == [found.id]
    assert kept.last_passed == kept.drills[0]["ended"]
    assert kept.last is not None
    assert kept.last["rto"] == found.rto
    assert place.workspace.journal.open() == []


async def test_what_a_lost_instance_would_lack_is_listed(place: Place) -> None:
    found = await place.drill("wf-llm")
    assert [(item.word, item.kind) for item in found.findings if item.kind == LACKS] == [("warn", LACKS)]
    assert "API_TOKEN" in found.findings[0].text
    provider = place.emulator.instance.provider
    provider.credentials.clear()
    provider.use(None)
    found = await place.drill("wf-llm")
    assert any(item.word == "fail" and "model" in item.text for item in found.findings), found.findings
    assert found.verdict == "fail"


async def test_datasets_and_plugins_that_a_lost_instance_would_lack(place: Place) -> None:
    instance = place.emulator.instance
    handbook, identifier = new_dataset(instance, "handbook"), instance.daemon.install(PLUGIN, "0.0.9")
    app = place.emulator.app_named("wf-echo")
    use_plugin(place.emulator, app, identifier)
    assert app.live is not None
    graph = app.live.graph
    graph["nodes"].append({"id": "look", "data": {"type": "knowledge-retrieval", "dataset_ids": [handbook.id]}})
    app.live.store_graph(graph, app.live.features)
    app.changed()
    await take(place.workspace.instance, place.store, TakeOptions())
    there = await place.drill("wf-echo", smoke=False)
    assert not [item for item in there.findings if "plugin" in item.text or "dataset" in item.text], there.findings
    instance.datasets.clear()
    instance.daemon.rows.clear()
    gone = await place.drill("wf-echo", smoke=False)
    said = [item.text for item in gone.findings if (item.word, item.kind) == ("fail", LACKS)]
    assert any(handbook.id in text for text in said), said
    assert any(PLUGIN in text for text in said), said


@pytest.mark.parametrize(
    ("data", "acts"),
    [
        ({"type": "http-request", "method": "POST", "title": "Book"}, "Book (http-request POST)"),
        ({"type": "http-request", "method": "get", "title": "Look"}, None),
        ({"type": "tool", "title": "Mail", "tool_name": "send"}, "Mail (tool)"),
        ({"type": "agent", "title": "Helper"}, "Helper (agent)"),
        ({"type": "llm", "title": "Answer"}, None),
    ],
)
def test_what_acts_outside_is_named(data: dict[str, str], acts: str | None) -> None:
    document = {"graph": {"nodes": [{"id": "n", "data": data}]}}
    assert effects_of(document) == ([acts] if acts else [])


async def test_nodes_with_effects_run_only_when_they_are_allowed(place: Place) -> None:
    instance = place.workspace.instance
    app = next(app_id for app_id, name in place.apps().items() if name == "agent")
    config = dict((await instance.console.app(app)).model_config or {})
    tool = {"enabled": True, "provider_id": "time", "provider_type": "builtin", "tool_name": "current_time"}
    config["agent_mode"] = {**config["agent_mode"], "enabled": True, "tools": [tool]}
    await instance.console.set_model_config(app, {key: config[key] for key in config if key not in STAMPS})
    await take(instance, place.store, TakeOptions())
    held = await place.drill("agent")
    assert held.apps[0].smoke.startswith("not run: it acts outside: tools of the agent")
    allowed = await place.drill("agent", allow_effects=True)
    assert not allowed.apps[0].smoke.startswith("not run")


async def test_a_smoke_run_that_fails_is_a_failure_and_the_app_is_removed(place: Place) -> None:
    before = place.apps()
    found = await place.drill("wf-echo", smokes={"wf-echo": Smoke(expect="something else")})
    assert found.verdict == "fail"
    assert [item.kind for item in found.findings] == [SMOKE]
    assert found.apps[0].proven
    assert place.apps() == before


async def test_two_drills_at_once_on_one_instance(place: Place) -> None:
    journal = place.workspace.journal
    held = journal.lock(subject_of(place.workspace.instance), holding="a restore drill of 'emu'")
    with held, pytest.raises(LockHeld) as caught:
        await place.drill("wf-echo")
    assert "restore drill" in caught.value.message
    assert caught.value.exit_code == 8
    assert (await place.drill("wf-echo")).apps[0].proven


@pytest.mark.parametrize("name", ["wf-echo", "chat-basic"])
async def test_killed_at_every_step_nothing_is_left_after_the_next_one(
    place: Place, name: str, points: Iterable[int]
) -> None:
    before = place.apps()
    checkpoint, count = counting()
    await place.drill(name, checkpoint=checkpoint)
    assert 10 < count() < 99
    for step in (point for point in points if point <= count()):
        with pytest.raises(Killed):
            await place.drill(name, checkpoint=killing(step))
        found = await place.drill("completion-basic", smoke=False)
        assert place.apps() == before, step
        assert place.workspace.journal.open() == [], step
        assert found.swept, step


async def test_only_what_it_made_is_removed(place: Place) -> None:
    """A killed drill's app that somebody copied, and one that somebody renamed, are theirs now."""
    checkpoint, count = counting()
    await place.drill("wf-echo", checkpoint=checkpoint)
    with pytest.raises(Killed):
        await place.drill("wf-echo", checkpoint=killing(count() - 2))
    (scratch,) = [app for app in place.emulator.instance.apps.values() if app.name.startswith("drill ")]
    theirs = copy.copy(scratch)
    theirs.id = place.emulator.instance.new_id()
    place.emulator.instance.apps[theirs.id] = theirs
    found = await place.drill("chat-basic", smoke=False)
    assert scratch.id not in place.apps()
    assert theirs.id in place.apps()
    assert any("was not made by this drill" in text for text in found.swept)
    with pytest.raises(Killed):
        await place.drill("wf-echo", checkpoint=killing(count() - 2))
    adopted = next(
        app
        for app in place.emulator.instance.apps.values()
        if app.name.endswith("wf-echo") and app.id != theirs.id and app.name.startswith("drill ")
    )
    adopted.name = "kept on purpose"
    adopted.changed()
    found = await place.drill("chat-basic", smoke=False)
    assert adopted.id in place.apps(), found.swept
    assert place.apps()[adopted.id] == "kept on purpose"
    assert any("renamed" in text for text in found.swept)


async def test_content_that_comes_back_otherwise_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that loses a part of what it imports: the proof by reading back says so, and the app is removed."""
    console = type(place.workspace.instance.console)
    real = console.import_dsl

    async def losing(self, text: str, **fields: str):
        return await real(self, text.replace("pre_prompt: ", "pre_prompt: 'x' # "), **fields)

    monkeypatch.setattr(console, "import_dsl", losing)
    found = await place.drill("chat-basic", smoke=False)
    assert [item.kind for item in found.findings] == [DIFFERS]
    assert found.verdict == "fail"
    assert not [name for name in place.apps().values() if name.startswith("drill ")]


async def test_a_damaged_store_is_found(place: Place) -> None:
    """The bench damages it in hundreds of ways; here one of each."""
    for fault in faults(place.store.path, seed=1, count=6):
        assert await is_found(place, fault), fault
    assert (await place.drill("wf-echo", smoke=False)).verdict == "pass"


def test_the_command_line(cli: Cli, connected: str, emulator: Emulator) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    assert cli("drill", "run").code == 8  # nobody said yes
    plan = cli("drill", "run", "--dry-run", "-o", "json")
    assert plan.code == 0
    assert "wf-echo" in plan.json["data"]["apps"]
    before = {app.id for app in emulator.instance.apps.values()}
    Path("smoke.yaml").write_text("wf-echo:\n  inputs: {text: hello}\n  query: hi\n")
    done = cli("drill", "run", "wf-echo", "chat-basic", "--yes", "--inputs", "smoke.yaml", "-o", "json")
    assert done.code == 0, (done.out, done.err)
    assert [app["proven"] for app in done.json["data"]["apps"]] == [True, True]
    assert {app.id for app in emulator.instance.apps.values()} == before
    assert cli("drill", "run", "wf-echo", "--yes", "--as", "junit").out.count("<testcase") == 2
    told = cli("drill", "report", "-o", "markdown")
    assert told.code == 0
    assert "| pass" in told.out
    for form in ("table", "json", "yaml", "ndjson", "markdown", "name"):
        assert cli("drill", "report", "-o", form).out
    Path("smoke.yaml").write_text("wf-echo:\n  ask: x\n")
    bad = cli("drill", "run", "wf-echo", "--yes", "--inputs", "smoke.yaml")
    assert bad.code == 2
    assert "smoke.yaml:2: wf-echo.ask" in bad.err


def test_a_scratch_context_that_is_production_is_refused(cli: Cli, connected: str, emulator: Emulator) -> None:
    added = cli("context", "add", "again", "--user", "--url", connected, "--email", emulator.email,
                "--password", "env:DIFY_PASSWORD")  # fmt: skip
    assert added.code == 0, added.err
    assert cli("context", "add", "prod", "--user", "--url", connected, "--email", emulator.email,
               "--password", "env:DIFY_PASSWORD").code == 0  # fmt: skip
    assert cli("snapshot", "create", "-q", "-c", "prod").code == 0
    refused = cli("drill", "run", "wf-echo", "-c", "prod", "--into", "again", "--yes")
    assert refused.code == 8
    assert "is where the snapshot is from" in refused.err


def test_a_scratch_context_elsewhere(cli: Cli, connected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Emulator(basics=False, seed=99)
    monkeypatch.setenv("OTHER_PASSWORD", other.password)
    with other.listening() as url:
        for name, where, email, word in (
            ("prod", connected, "", "DIFY_PASSWORD"), ("scratch", url, other.email, "OTHER_PASSWORD"),
        ):  # fmt: skip
            mail = email or __import__("os").environ["DIFY_EMAIL"]
            assert cli("context", "add", name, "--user", "--url", where, "--email", mail,
                       "--password", f"env:{word}").code == 0  # fmt: skip
        assert cli("snapshot", "create", "-q", "-c", "prod").code == 0
        done = cli("drill", "run", "wf-echo", "-c", "prod", "--into", "scratch", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert done.json["data"]["into"] == "scratch"
    assert other.instance.apps == {}


async def test_a_lost_secret_is_back_where_the_identity_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = await place.drill("wf-llm", smoke=False)
    assert any("API_TOKEN" in item.text for item in lacking.findings)
    mine, other = new_identity(), new_identity()
    monkeypatch.setenv("SEAL_IDENTITY", mine.secret.reveal())
    access = Access(state=place.workspace.state, identity="env:SEAL_IDENTITY")
    wanted = NewSeal(recipients=(str(mine.recipient), str(other.recipient)))
    set_recipients(place.store, "emu", wanted, access, place.workspace.clock)
    await take(place.workspace.instance, place.store, TakeOptions(access=access))
    place.workspace = replace(place.workspace, access=access)
    whole = await place.drill("wf-llm", smoke=False)
    assert [item.text for item in whole.findings if "API_TOKEN" in item.text] == []
    assert whole.apps[0].proven
