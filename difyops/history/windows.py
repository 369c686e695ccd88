"""The logs of a workflow app in closed windows, sized by how dense the rows are.

A window has fixed ends in the past, so its pages do not shift while others write. Page 1 says how many rows there are:
above 1,000 the window is made smaller (OFFSET and COUNT stay cheap), else the rest is read, and the window counts as
covered only when as many different runs came as were counted. Rows of equal time may change places between two pages;
then the window is read again, and again in halves.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from difyops.api.instance import Instance
from difyops.api.run_feed import PAGE, FeedPage, log_page
from difyops.api.run_records import LoggedRun
from difyops.history.gaps import Gap
from difyops.history.pace import Pace, together

MOST_ROWS = 1000
_WANTED = 0.9  # of the most: the next window is a guess, and one too dense costs a call
_GROWTH = 4  # times at most from a window to the next: nights end
_SWEEPS = 3
_SMALLEST = 1.0  # seconds: bounds are whole ones


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncWindow:
    """The runs of a closed window. ``whole``: as many came as the server counted."""

    t0: float
    t1: float
    runs: tuple[LoggedRun, ...]
    total: int
    calls: int
    whole: bool


@dataclass(slots=True)
class LogReader:
    """Reads one app's logs through a pace."""

    instance: Instance
    app_id: str
    pace: Pace
    _width: float = field(default=0.0)

    async def windows(self, gap: Gap) -> AsyncIterator[SyncWindow]:
        """Yield the windows of a gap, oldest first; one that is not whole is yielded as such and stays a gap."""
        low, width = gap.t0, self._width or gap.t1 - gap.t0
        while low < gap.t1:
            high = min(gap.t1, low + max(_SMALLEST, math.floor(width)))
            first = await self._page(1, low, high)
            total = first.total or 0
            span = high - low
            if total > (most := self._most()) and span > _SMALLEST:
                width = span * most * _WANTED / total
                continue
            window = await self._rest(first, low, high)
            if not window.whole and span > _SMALLEST:
                width = span / 2
                continue
            yield window
            low = high
            widest = span * _GROWTH
            width = self._width = min(span * self._most() * _WANTED / total if total else widest, widest)

    def _most(self) -> int:
        """Return how many rows a window may hold: no more than what is left of the budget reads, or a small budget
        would be spent on the same window each time.
        """
        return min(MOST_ROWS, PAGE * max(1, (self.pace.max_calls - self.pace.calls) // 2))

    async def between(self, low: float, high: float) -> list[LoggedRun]:
        """Return the runs logged between two moments near each other, without saying that they are all."""
        return list((await self._rest(await self._page(1, low, high), low, high)).runs)

    async def _rest(self, first: FeedPage, low: float, high: float) -> SyncWindow:
        found: dict[str, LoggedRun] = {}
        calls = 0
        for sweep in range(_SWEEPS):
            if sweep:
                first = await self._page(1, low, high)
            pages = math.ceil((first.total or 0) / PAGE)
            others = await together(self._page(number, low, high) for number in range(2, pages + 1))
            calls += 1 + len(others)
            for page in (first, *others):
                for row in page.rows:
                    record = LoggedRun.of_log(row)
                    if record is not None:
                        found[record.id] = record
            if len(found) >= (first.total or 0):
                break
        total = first.total or 0
        return SyncWindow(
            t0=low, t1=high, runs=tuple(found.values()), total=total, calls=calls, whole=len(found) >= total
        )  # fmt: skip

    async def _page(self, number: int, low: float, high: float) -> FeedPage:
        return await self.pace.call(
            lambda: log_page(self.instance, self.app_id, page=number, after=low, before=high)
        )  # fmt: skip
