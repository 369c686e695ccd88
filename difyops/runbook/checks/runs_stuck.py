"""``runs.stuck``: runs that say running and will never end."""

from __future__ import annotations

from difyops.api.runs import DEAD, DEAD_AFTER, RUNNING
from difyops.clock import from_unix, iso
from difyops.counting import counted
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Inconclusive, Result, Value, held
from difyops.runbook.traffic import traffic


async def check(
    resources: Resources,
    *,
    apps: list[str],
    window: str = "7d",
    older_than: Duration = DEAD_AFTER,
    max_stuck: int = 0,
) -> Result:
    """Count runs that say running for longer than the server lets anything run (1200 s by default).

    They are left behind when a worker is killed; stopping them answers success and changes nothing, and they spoil
    statistics. ``older_than`` is the server's APP_MAX_EXECUTION_TIME where that was raised.
    """
    seen = await traffic(resources, apps, window, dead_after=older_than)
    stuck = [(app, run) for app, item in seen.windows for run in item.runs if run.status == DEAD]
    alive = sum(item.count(RUNNING) for _, item in seen.windows)
    value = Value(name="stuck", value=len(stuck), unit="runs", fail=max_stuck)
    others = (Value(name="running", value=alive, unit="runs"),)
    text = f"{counted(len(stuck), 'run')} of {counted(len(seen.windows), 'app')} never ended, {alive} are running"
    listed = "; ".join(f"{app.name} {run.id} since {_when(run.started)}" for app, run in stuck[:10])
    hint = "They are dead: exclude them from statistics; flask clean-workflow-runs on the server removes old ones."
    result = held(value, text + seen.unread_text, excerpt=listed, hint=hint, others=others)
    if seen.unread and result.word == "pass":
        return Inconclusive(text=text + seen.unread_text, values=(value, *others))
    return result


def _when(started: float) -> str:
    moment = from_unix(started)
    return iso(moment) if moment else "an unknown time"
