"""What triggers started, from the logs of apps. Run lists and statistics leave these runs out (seen to 1.16.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.runs import DEAD_AFTER, RunWindow, runs_in
from difyops.errors import DifyopsError
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.trigger.listing import may_have_triggers

_AHEAD = timedelta(minutes=5)  # the server's clock may be ahead of ours
SOURCES = ("schedule", "webhook", "plugin")


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggeredRun:
    """One run that a trigger started. The log does not name the trigger, only its kind."""

    app: str
    app_id: str
    id: str
    kind: str
    status: str
    started: datetime
    seconds: float | None
    tokens: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggeredRuns:
    """The runs, newest first; ``cut``: apps with more runs than are read at once; ``failed``: apps not read."""

    since: datetime
    until: datetime
    runs: tuple[TriggeredRun, ...]
    cut: tuple[str, ...] = ()
    failed: tuple[tuple[str, DifyopsError], ...] = ()


async def triggered_runs(
    instance: Instance, apps: Sequence[App], since: datetime, until: datetime, kinds: Sequence[str] = SOURCES
) -> TriggeredRuns:
    """Return the runs that triggers of ``apps`` started from ``since`` to ``until`` (now).

    Raises:
        NotSupported: the server has no triggers (before 1.10).
    """
    instance.capabilities.require("triggers", "Triggers")
    runs: list[TriggeredRun] = []
    cut: list[str] = []
    failed: list[tuple[str, DifyopsError]] = []

    async def one(app: App) -> RunWindow:
        return await runs_in(instance, app, since, until + _AHEAD, dead_after=DEAD_AFTER + _AHEAD.total_seconds())

    options = FanoutOptions(limit=instance.context.max_in_flight)
    async for item in fan_out([app for app in apps if may_have_triggers(app)], one, options):
        match item:
            case Done(item=app, value=window):
                runs += _chosen(app, window, kinds)
                cut += [] if window.complete else [app.name]
            case Failed(item=app, error=error):
                failed.append((app.name, error))
    runs.sort(key=lambda run: (-run.started.timestamp(), run.app, run.id))
    return TriggeredRuns(
        since=since, until=until, runs=tuple(runs), cut=tuple(sorted(cut)), failed=tuple(sorted(failed, key=_name))
    )


def _name(pair: tuple[str, DifyopsError]) -> str:
    return pair[0]


def _chosen(app: App, window: RunWindow, kinds: Sequence[str]) -> list[TriggeredRun]:
    return [
        TriggeredRun(
            app=app.name,
            app_id=app.id,
            id=run.id,
            kind=run.source,
            status=run.status,
            started=datetime.fromtimestamp(run.started, UTC),
            seconds=run.seconds,
            tokens=run.tokens,
            error=run.error,
        )
        for run in window.runs
        if run.source in kinds
    ]
