"""What both versions did, straight from the log: ended runs with their class, in the order in which they ended.

Versions are told apart by the version that a run is logged with; apps without versions (chat, agent-chat, completion,
agent) by the time of publishing: a run that began before it is the old one's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_records import error_kind
from difyops.api.runs import DEAD, Run, runs_in
from difyops.fanout import Done, FanoutOptions, fan_out
from difyops.history.failures import OURS, PAUSED, RUNNING, FailedRun, by_status, whose
from difyops.history.live_failures import failure_of
from difyops.history.reading import runs_through
from difyops.release.gates import GateEvent

ENOUGH = 1000  # runs of the old version
_WINDOWS = (3600.0, 6 * 3600.0, 86400.0)
_MOST_READ = 40  # failed runs whose nodes are read
_EARLY = timedelta(seconds=5)
PriceOfRun = Callable[[Run], tuple[Decimal, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSource:
    """The log of one app. ``timezone``: the account's, for completion apps. ``price``: what a run cost, where that is
    wanted and the log tells it.
    """

    instance: Instance
    app: App
    timezone: str = "UTC"
    price: PriceOfRun | None = None

    @property
    def has_versions(self) -> bool:
        """Say whether its runs are logged with their version."""
        return self.app.mode == "workflow" or (
            self.app.mode == "advanced-chat" and self.instance.capabilities.can("runs_by_trigger")
        )

    async def old(self, state: Path, label: str, now: datetime, back: float) -> list[GateEvent]:
        """Return the newest runs of the version that is live, newest first, up to ``ENOUGH``; ``label`` names it."""
        runs: Sequence[Run] = ()
        for window in (*[item for item in _WINDOWS if item < back], back):
            since = now - timedelta(seconds=window)
            found = await runs_through(self.instance, state, self.app, since, now, timezone=self.timezone)
            runs = [run for run in found.runs if not self.has_versions or not label or run.version == label]
            if len(runs) >= ENOUGH:
                break
        return (await self._events(runs[:ENOUGH]))[::-1]

    async def new(self, label: str, since: datetime, until: datetime) -> list[GateEvent]:
        """Return the runs of the new version that ended, in the order in which they ended."""
        found = await runs_in(self.instance, self.app, since - _EARLY, until, timezone=self.timezone)
        if self.has_versions and label:
            runs = [run for run in found.runs if run.version == label]
        else:
            runs = [run for run in found.runs if run.started >= since.timestamp()]
        return await self._events(runs)

    async def _events(self, runs: Sequence[Run]) -> list[GateEvent]:
        classes = {run.id: OURS if run.status == DEAD else by_status(run.status) for run in runs}
        failed = [run for run in runs if classes[run.id] is None]
        judged = whose(await self._failures(failed))
        events = []
        for run in runs:
            outcome = classes[run.id] or judged[run.id]
            if outcome not in (RUNNING, PAUSED):
                cost = self.price(run) if self.price is not None else None
                events.append(
                    GateEvent(
                        id=run.id, outcome=outcome, ended=run.started + (run.seconds or 0.0), seconds=run.seconds,
                        tokens=run.tokens, price=float(cost[0]) if cost else None, currency=cost[1] if cost else "",
                    )
                )  # fmt: skip
        return sorted(events, key=lambda event: (event.ended, event.id))

    async def _failures(self, failed: Sequence[Run]) -> dict[str, FailedRun]:
        """Return what is known of failed runs: by their nodes of the newest ones, by their error text of the rest."""
        found = {
            run.id: FailedRun(kind=error_kind(run.error) or "other", has_nodes=self.app.has_workflow) for run in failed
        }

        async def read(run: Run) -> FailedRun:
            return await failure_of(self.instance, self.app, run.id, run.error)

        async for result in fan_out(failed[:_MOST_READ], read, FanoutOptions(limit=2)):
            if isinstance(result, Done):
                found[result.item.id] = result.value
        return found


async def timezone_of(instance: Instance, app: App) -> str:
    """Return the account's time zone where the log of an app is asked with it."""
    return (await instance.workspace.identify()).timezone if app.mode == "completion" else "UTC"


def as_kept(events: Sequence[GateEvent]) -> list[dict[str, Any]]:
    """Return events as a private file holds them."""
    return [asdict(event) for event in events]


def from_kept(rows: Sequence[dict[str, Any]]) -> list[GateEvent]:
    """Return the events that ``as_kept`` wrote."""
    return [GateEvent(**row) for row in rows]


def moment(seconds: float) -> datetime:
    """Return a time from unix seconds."""
    return datetime.fromtimestamp(seconds, UTC)
