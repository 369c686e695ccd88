"""A window of an app's runs, from the history where it covers and from the live log for the rest.

History closes its windows two minutes late, so the newest rows always come live; a run that was still going on when it
was kept is a reason to read the whole window live. Error texts are not kept: what comes from history has their kind.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.runs import DEAD_AFTER, Run, RunWindow, runs_in
from difyops.errors import StoreError
from difyops.history.feeds import LOGS, MESSAGES, RUNS
from difyops.history.store import FILE, OPEN, History

_OVERLAP = 5.0  # seconds: a log row is written a moment after its run began
_WORTH_IT = 300  # runs: fewer are read live with as many calls as it takes to look


async def runs_through(
    instance: Instance,
    state: Path,
    app: App,
    since: datetime,
    until: datetime,
    *,
    dead_after: float = DEAD_AFTER,
    timezone: str = "UTC",
) -> RunWindow:
    """Return the production runs of ``app`` in a window, as ``runs_in`` does, with fewer calls where history covers.

    Raises:
        DifyopsError: the feed cannot be read.
    """
    kept, upto = _kept(state, instance.name, app, since, until)
    if not kept:
        return await runs_in(instance, app, since, until, dead_after=dead_after, timezone=timezone)
    fresh_from = datetime.fromtimestamp(max(since.timestamp(), upto - _OVERLAP), UTC)
    fresh: tuple[Run, ...] = ()
    complete = True
    if fresh_from < until:
        live = await runs_in(instance, app, fresh_from, until, dead_after=dead_after, timezone=timezone)
        fresh, complete = live.runs, live.complete
    seen = {run.id for run in fresh}
    both = [*fresh, *(run for run in kept if run.id not in seen)]
    both.sort(key=lambda run: (-run.started, run.id))
    return RunWindow(app_id=app.id, since=since, until=until, runs=tuple(both), complete=complete)


def _kept(state: Path, context: str, app: App, since: datetime, until: datetime) -> tuple[list[Run], float]:
    """Return the runs that are kept from ``since`` on and up to when they are all; none when history is of no use."""
    if not (state / FILE).is_file():
        return [], 0.0
    try:
        with History.open(state) as history:
            return _covered(history, context, app, since.timestamp(), until.timestamp())
    except StoreError:  # the log itself can still be read
        return [], 0.0


def _covered(history: History, context: str, app: App, low: float, high: float) -> tuple[list[Run], float]:
    feed = {"workflow": LOGS, "advanced-chat": RUNS}.get(app.mode, MESSAGES)
    stretches = history.stretches(context, app.id, feed)
    upto = next((min(item.t1, high) for item in stretches if item.t0 <= low < item.t1), 0.0)
    packed = history.one("SELECT 1 FROM pack WHERE context = ? AND app = ? LIMIT 1", [context, app.id])
    if upto <= low or packed:
        return [], 0.0
    rows = history.all(
        "SELECT id, status, started, elapsed, source, version, tokens, error_kind FROM run WHERE context = ?"
        " AND app = ? AND started >= ? AND started < ? AND source <> 'debugging'",
        [context, app.id, low, upto],
    )
    if len(rows) < _WORTH_IT or any(row[1] in OPEN for row in rows):
        return [], 0.0
    told = _told(history, context, app, low, upto)
    return [
        Run(
            id=row[0], status=row[1], started=row[2], seconds=row[3], source=row[4], version=row[5], tokens=row[6],
            error=row[7], **told.get(row[0], {}),
        )
        for row in rows
    ], upto  # fmt: skip


def _told(history: History, context: str, app: App, low: float, upto: float) -> dict[str, dict[str, Any]]:
    """Return what messages took, by their ids: the parts of a run that only apps without nodes have."""
    if app.has_workflow:
        return {}
    rows = history.all(
        "SELECT id, prompt_tokens, price, currency FROM message WHERE context = ? AND app = ? AND started >= ?"
        " AND started < ?",
        [context, app.id, low, upto],
    )
    return {row[0]: {"prompt_tokens": row[1], "price": row[2] or "", "currency": row[3] or ""} for row in rows}
