"""Windows of runs for several apps at once: what ``runs.failure_rate``, ``runs.latency`` and ``runs.stuck`` look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from difyops.api.model import App
from difyops.api.runs import DEAD_AFTER, RunWindow, day_of
from difyops.errors import DifyopsError, UsageError
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.history.reading import runs_through
from difyops.runbook.parameters import seconds
from difyops.runbook.resources import Resources
from difyops.setting_problems import BadSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was read: a window per app, and the apps that could not be read."""

    since: datetime
    until: datetime
    windows: tuple[tuple[App, RunWindow], ...]
    unread: tuple[tuple[App, DifyopsError], ...] = ()

    @property
    def unread_text(self) -> str:
        """Say which apps could not be read, blank when all were."""
        if not self.unread:
            return ""
        app, error = self.unread[0]
        more = f" and {len(self.unread) - 1} more" if len(self.unread) > 1 else ""
        return f"; {app.name}{more} could not be read: {error.message}"


async def traffic(
    resources: Resources, apps: list[str], window: str, *, back: int = 0, dead_after: float = DEAD_AFTER
) -> Traffic:
    """Read the runs of apps in a window: a duration up to now, ``today`` or ``yesterday`` in the account's time zone.

    ``back`` moves the window so many of its own lengths into the past.

    Raises:
        SelectorError: no such app. UsageError: not a window. DifyopsError: the app list cannot be read.
    """
    chosen = await resources.chosen(apps)
    since, until = await edges(resources, window, back=back)
    instance = await resources.instance()
    needs_zone = any(app.mode == "completion" for app in chosen)
    timezone = await resources.timezone() if needs_zone else "UTC"

    async def read(app: App) -> RunWindow:
        state = resources.config.state
        return await runs_through(instance, state, app, since, until, dead_after=dead_after, timezone=timezone)

    windows: list[tuple[App, RunWindow]] = []
    unread: list[tuple[App, DifyopsError]] = []
    async for result in fan_out(chosen, read, FanoutOptions(limit=instance.context.max_in_flight)):
        match result:
            case Done(item=app, value=value):
                windows.append((app, value))
            case Failed(item=app, error=error):
                unread.append((app, error))
    if chosen and not windows:
        raise unread[0][1]
    windows.sort(key=lambda pair: (pair[0].name, pair[0].id))
    return Traffic(since=since, until=until, windows=tuple(windows), unread=tuple(unread))


async def edges(resources: Resources, window: str, *, back: int = 0) -> tuple[datetime, datetime]:
    """Return the beginning and end of a window in UTC.

    Raises:
        UsageError: it is neither a duration nor ``today`` nor ``yesterday``.
    """
    now = resources.clock.now()
    if window in ("today", "yesterday"):
        timezone = await resources.timezone()
        start, end = day_of(now, timezone)
        for _ in range(back + (window == "yesterday")):
            start, end = day_of(start - timedelta(hours=1), timezone)
        return start, min(end, now)
    try:
        length = timedelta(seconds=seconds(window))
    except BadSetting as error:
        raise UsageError(f"window: {error}, today or yesterday.") from error
    return now - length * (back + 1), now - length * back
