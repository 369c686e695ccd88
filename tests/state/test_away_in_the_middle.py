"""PostgreSQL goes away in the middle of a rollback: nothing more is done, nothing is lost, and finish ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from difyops import config
from difyops.api.instance import ConnectOptions, connect
from difyops.errors import StateAway
from difyops.git_store import GitStore
from difyops.shared_state import open_ledger
from difyops.snapshot.history import kept_app
from difyops.snapshot.rollback import RollbackOptions, roll_back
from difyops.workspace import Workspace
from tests.conftest import Cli
from tests.runbook.servers import PG_CANARY
from tests.snapshot.colleague import Colleague
from tests.snapshot.conftest import colleague, v1
from tests.snapshot.test_faults import spoiled
from tests.snapshot.test_killed import WORKFLOW_STEPS
from tests.snapshot.test_races import unpublished
from tests.state.gate import Gate

__all__ = ["colleague", "v1"]
IN_THE_SUITE = ("after write draft", "before publish")


def away_at(step: str, gate: Gate) -> StateAway:
    """Roll back to v1, with the server going away at a numbered step; return how it ended."""

    def checkpoint(name: str) -> None:
        if name == step:
            gate.shut()

    async def work() -> None:
        settings = config.load()
        store = GitStore.open(settings.store)
        instance = await connect(settings.context(), ConnectOptions(state=settings.state))
        ledger = open_ledger(settings)
        try:
            kept = kept_app(store, store.resolve("v1", branch=instance.name), "wf-llm")
            workspace = Workspace(instance=instance, state=settings.state, ledger=ledger, actor="tester", store=store)
            await roll_back(workspace, kept, "v1", RollbackOptions(checkpoint=checkpoint))
        finally:
            ledger.close()
            await instance.close()

    with pytest.raises(StateAway) as caught:
        asyncio.run(work())
    return caught.value


@pytest.mark.parametrize(
    "step", [step if step in IN_THE_SUITE else pytest.param(step, marks=pytest.mark.long) for step in WORKFLOW_STEPS]
)
def test_a_rollback_that_loses_its_journal_stops_and_is_finished_later(
    v1: str,
    colleague: Colleague,
    cli: Cli,
    gate: Gate,
    tmp_path: Path,
    shared_url: str,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = shared_url.rpartition(":")[2].partition("/")[0]
    monkeypatch.setenv("DIFYOPS_STATE", shared_url.replace(port, str(gate.port)))
    monkeypatch.setenv("DIFYOPS_STATE_PASSWORD", PG_CANARY)
    monkeypatch.setenv("DIFYOPS_STATE_FOLDER", str(tmp_path / "machine"))
    monkeypatch.setenv("DIFYOPS_STATE_PATIENCE", "1")
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoiled(colleague)
    unpublished(colleague, app)
    error = away_at(step, gate)
    assert "was cut off" in error.message or step == WORKFLOW_STEPS[-1]  # it was done, and only that is not written yet
    assert ("written down in" in error.message) is (tmp_path / "machine" / "ledger.spool").exists()
    gate.open()
    monkeypatch.setenv("DIFYOPS_STATE_PATIENCE", "60")
    shown = cli("changes", "list", "-o", "json").json["data"]
    if shown:
        assert cli("changes", "finish", "--yes").code == 0
    assert colleague.live(app)["graph"] == target
    assert not cli("changes", "list", "-o", "json").json["data"]
    with open_ledger(config.load()) as ledger:
        assert ledger.check() == []
