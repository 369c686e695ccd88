"""Releases of apps without versions in their logs, and of apps with a schedule."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from difyops.dsl.load import dump_yaml, load_dsl
from difyops.emulator import Emulator
from difyops.ledger import Ledger
from difyops.release.plan import WatchRules
from difyops.release.status import abort
from difyops.workspace import Workspace
from tests.api.frozen import FrozenClock
from tests.conftest import Cli
from tests.history.conftest import open_instance
from tests.release.conftest import Rig
from tests.snapshot.agent_author import AgentAuthor
from tests.snapshot.colleague import Colleague


@pytest.fixture
async def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Rig, FrozenClock]]:
    """An instance whose time goes on when it is told to; ours is the same."""
    clock = FrozenClock()
    emulator = Emulator(clock=clock)
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    state = tmp_path / "state"
    instance = await open_instance(emulator, state, clock=clock)
    ledger = Ledger.open(state / "ledger.sqlite3")
    workspace = Workspace(instance=instance, state=state, ledger=ledger, actor="test", clock=clock)
    try:
        yield Rig(emulator, workspace), clock
    finally:
        await instance.close()
        ledger.close()


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
    later = replace(await rig.plan("wf-cron"), wait_for_slots=False)
    clock.seconds += 300 - clock.seconds % 300
    assert (await rig.apply(later)).state == "held"
    assert len([seconds for seconds in clock.slept if seconds > 60]) == 2


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
