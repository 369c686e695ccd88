"""Runs by cursor, newest first: those of a chatflow, and the editor's debug runs. There is no date filter.

The cursor means "strictly older than this run", so runs of the same microsecond as the last one of a page are lost:
the next page begins one step back, before the last one's second. What a page reached down to is covered at once, so a
sync that is cut off goes on from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import runs_page
from difyops.api.run_records import LoggedRun
from difyops.history.gaps import Gap
from difyops.history.pace import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPiece:
    """The runs of one page inside the gap, and the stretch that is complete with them."""

    t0: float
    t1: float
    runs: tuple[LoggedRun, ...]


async def pieces(
    instance: Instance, app: App, pace: Pace, gap: Gap, *, source: str, cursor: str | None
) -> AsyncIterator[WindowPiece]:
    """Yield the pages that lie in a gap; ``cursor`` is a run above it that is known, ``None`` begins at the newest."""
    top = gap.t1
    while top > gap.t0:
        page = await pace.call(partial(runs_page, instance, app, source=source, last_id=cursor))
        runs = [LoggedRun.of_run(row, source) for row in page.rows]
        inside = tuple(run for run in runs if gap.t0 <= run.started <= gap.t1)
        ended = not page.more or not runs or runs[-1].started < gap.t0
        bottom = gap.t0 if ended else max(gap.t0, runs[-1].started + 1)
        yield WindowPiece(t0=min(bottom, top), t1=top, runs=inside)
        if ended:
            return
        top = min(top, bottom)
        following = _one_step_back(runs)
        if following == cursor:
            return  # a server that ignores the cursor would send the same page for ever
        cursor = following


def _one_step_back(runs: list[LoggedRun]) -> str:
    last = runs[-1]
    earlier = [run for run in runs if int(run.started) > int(last.started)]
    return earlier[-1].id if len(earlier) > len(runs) // 2 else last.id
