"""``trigger.slots`` in a runbook: slots that ran pass, a lost one fails, what nobody can tell is inconclusive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from difyops.runbook.result import Fail, Inconclusive, Pass, Warn
from tests.runbook.runbook_tools import check, staged
from tests.trigger.conftest import NOW, At, hours, named, ran, schedule, stands

__all__ = ["stands"]


async def test_slots_in_a_runbook(tmp_path: Path, stands: Callable[[datetime], None]) -> None:
    stands(NOW)
    with staged(tmp_path, clock=At()) as stage:
        app = named(stage.emulator, "wf-cron")
        schedule(stage.emulator, app, "0 * * * *", since=NOW - timedelta(days=9))
        ran(app, hours(0, 12))
        async with stage.resources(clock=At()) as resources:
            passed = await check(resources, "trigger.slots", since="12h")
            assert isinstance(passed, Pass), passed
            app.runs = [run for run in app.runs if run.created_at != int(hours(7, 7)[0].timestamp())]
            missed = await check(resources, "trigger.slots", since="12h", apps=["wf-cron"])
            assert isinstance(missed, Fail), missed
            assert "1 slot missed" in missed.text
            ran(app, [hours(7, 7)[0] + timedelta(minutes=9)])
            assert isinstance(await check(resources, "trigger.slots", since="12h"), Warn)
            next(iter(app.triggers.values())).enabled = False
            app.runs = app.runs[:9]
            assert isinstance(await check(resources, "trigger.slots", since="12h"), Inconclusive)
