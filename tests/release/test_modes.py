"""Releases of apps without versions in their logs, and of apps with a schedule."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from difyops.dsl.load import dump_yaml, load_dsl
from difyops.emulator import Emulator
from difyops.release.plan import Gates, WatchRules
from difyops.release.status import abort
from tests.api.frozen import FrozenClock
from tests.conftest import Cli
from tests.release.conftest import Rig, timed_rig
from tests.snapshot.agent_author import AgentAuthor
from tests.snapshot.colleague import Colleague


@pytest.fixture
async def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Rig, FrozenClock]]:
    monkeypatch.setenv("EMULATED_PASSWORD", Emulator().password)
    async with timed_rig(tmp_path / "state") as opened:
        yield opened


async def test_a_chat_app_that_fails_is_taken_back(timed: tuple[Rig, FrozenClock], tmp_path: Path) -> None:
    rig, clock = timed
    await rig.ask("chat-basic", 30)
    clock.seconds += 10
    app = rig.app_id("chat-basic")
    former = (await rig.console.app(app)).model_config
    path = tmp_path / "next.yml"
    dsl = load_dsl(await rig.console.export(app))
    dsl["model_config"]["pre_prompt"] = "Another one."
    path.write_text(dump_yaml(dsl))
    plan = await rig.plan("chat-basic", source="file", word=str(path), watch=WatchRules(events=8, least=3))
    assert (await rig.apply(plan)).state == "held"
    for _ in range(2):
        clock.seconds += 70  # a server that does not tell its time: a minute of doubt
        assert await rig.ask("chat-basic", 6, said="[[fail=bad]]") == 6
        found = await rig.apply(plan)
    assert (found.verdict, found.state) == ("fail", "rolled back"), found
    assert "of 30 before" in found.text
    now = (await rig.console.app(app)).model_config
    assert {**now, "updated_at": 0, "created_at": 0, "id": 0} == {**former, "updated_at": 0, "created_at": 0, "id": 0}
    assert rig.open == []


@pytest.mark.parametrize("name", ["chat-basic", "completion-basic"])
async def test_a_dearer_model_of_an_app_without_nodes_is_seen_in_the_watch(
    timed: tuple[Rig, FrozenClock], tmp_path: Path, name: str
) -> None:
    rig, clock = timed
    inputs = {"query": "hi"} if name == "completion-basic" else {}
    await rig.ask(name, 12, **inputs)
    clock.seconds += 10
    path = tmp_path / "next.yml"
    dsl = load_dsl(await rig.console.export(rig.app_id(name)))
    dsl["model_config"]["model"]["name"] = "gpt-4o"
    path.write_text(dump_yaml(dsl))
    gates = Gates(slower=1e6, alpha=0.05, pricier=0.25)
    watch = WatchRules(events=10, least=3, every=0.01, seconds=60.0)
    plan = await rig.plan(name, source="file", word=str(path), gates=gates, watch=watch)
    assert (await rig.apply(plan)).state == "held"
    for _ in range(2):
        clock.seconds += 70
        assert await rig.ask(name, 8, **inputs) == 0
        found = await rig.apply(plan)
    assert (found.verdict, found.state) == ("fail", "rolled back"), found
    assert "price: " in found.text


async def test_a_release_waits_while_a_schedule_is_due(timed: tuple[Rig, FrozenClock]) -> None:
    rig, clock = timed
    app = rig.app_id("wf-cron")
    for trigger in await rig.console.triggers(app):
        await rig.console.set_trigger(app, trigger.id, enabled=True)
    await rig.edit("wf-cron", lambda document: document["graph"]["nodes"][0]["data"].update(title="Begin"))
    plan = await rig.plan("wf-cron")
    clock.seconds += 296  # four seconds before the slot of five past
    found = await rig.apply(plan)
    assert found.state == "held"
    assert [round(seconds) for seconds in clock.slept if seconds > 60] == [95]
    assert [item.status for item in await rig.console.triggers(app)] == ["enabled"]
    clock.seconds += 600 - clock.seconds % 300
    await abort(rig.workspace, "wf-cron")
    assert len([seconds for seconds in clock.slept if seconds > 60]) == 2
    rig.past("wf-cron", 30)
    later = replace(await rig.plan("wf-cron"), wait_for_slots=False)
    clock.seconds += 300 - clock.seconds % 300
    assert (await rig.apply(later)).state == "held"
    assert len([seconds for seconds in clock.slept if seconds > 60]) == 2
    clock.seconds += 200  # the run of that slot never comes; later ones do
    for _ in range(12):
        await rig.emulator.tick()
    clock.seconds += 70
    found = await rig.apply(later)
    assert (found.state, len(found.missed)) == ("passed", 1), found
    assert found.error is not None
    assert found.error.exit_code == 3


class TestAgents:
    """Agent apps: a soul with versions, watched by time."""

    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator("1.16.1")

    def test_the_draft_of_an_agent_app_goes_live_and_comes_back(
        self, cli: Cli, emulator: Emulator, connected: str
    ) -> None:
        colleague = Colleague(connected, str(emulator.admin_key), emulator.workspace_id)
        helper = AgentAuthor(colleague)
        helper.fill()
        helper.publish("first")
        helper.say("You are another helper.")
        planned = cli("release", "plan", "helper", "--plan", "p.yaml", "--no-shadow", "-o", "json")
        assert planned.code == 0, planned.err
        assert any("time of publishing" in text for text in planned.json["warnings"])
        assert "canary" not in Path("p.yaml").read_text()
        assert cli("release", "apply", "p.yaml", "--yes", "--wait", "0s").code == 3
        live = colleague.call("GET", f"/agent/{helper.agent_id}/versions/{helper.live_id()}")
        assert live["config_snapshot"]["prompt"]["system_prompt"] == "You are another helper."
        assert cli("release", "abort", "helper", "--yes").code == 0
        live = colleague.call("GET", f"/agent/{helper.agent_id}/versions/{helper.live_id()}")
        assert live["config_snapshot"]["prompt"]["system_prompt"] == "You are a helper."
        assert helper.soul()["prompt"]["system_prompt"] == "You are another helper."
