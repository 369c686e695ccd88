"""A window through history is the window that the live log gives, with fewer calls."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from difyops.api.runs import runs_in
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.history.reading import runs_through
from difyops.history.store import History
from tests.history.conftest import DAY, Sync, now, open_instance


@pytest.mark.parametrize("name", ["wf-echo", "flow-chat"])
async def test_history_covers_the_past_and_the_log_the_rest(
    emulator: Emulator, history: History, synced: Sync, tmp_path: Path, name: str
) -> None:
    app = emulator.app_named(name)
    load_past(emulator.instance, app, Past(count=800, since=now() - DAY, until=now() - 400))
    await synced(name, nodes=False)
    load_past(emulator.instance, app, Past(count=5, since=now() - 100, until=now() - 10, seed=5))
    instance = await open_instance(emulator, tmp_path / "state")
    try:
        (found,) = [item async for item in instance.console.apps() if item.name == name]
        since, until = datetime.fromtimestamp(now() - DAY / 2, UTC), datetime.fromtimestamp(now(), UTC)
        live = await runs_in(instance, found, since, until)
        emulator.control.reset_counts()
        through = await runs_through(instance, tmp_path / "state", found, since, until)
        calls = emulator.control.counts()["total"]
        assert [(run.id, run.status, run.seconds) for run in through.runs] == [
            (run.id, run.status, run.seconds) for run in live.runs
        ]
        assert isinstance(calls, int)
        assert calls <= 2
        with history.changing() as connection:  # a run that went on when it was kept: all of it is read live
            connection.execute("UPDATE run SET status = 'running' WHERE id = ?", [through.runs[-1].id])
        assert (await runs_through(instance, tmp_path / "state", found, since, until)).runs == live.runs
        elsewhere = await runs_through(instance, tmp_path / "nothing", found, since, until)
        assert elsewhere.runs == live.runs
    finally:
        await instance.close()
