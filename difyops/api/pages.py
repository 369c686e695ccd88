"""The platform's paging styles as async iterators, read until it can be said that all came.

A: ``page,limit -> {page,limit,total,has_more,data}``; B: ``last_id,limit -> {limit,has_more,data}``; D: ``page,limit ->
{items,page,limit,has_more}``. Rows may repeat or slip between pages while others write; callers that need each thing
once get it: rows are deduplicated by ``id``. A list whose rows do not agree with its total, on one page or on many, is
read once more; one that contradicts itself again is unreadable, never short.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.shapes import count, fit, flag, obj, rows, whole
from difyops.counting import counted
from difyops.errors import UnreadableAnswer

Fetch = Callable[[Mapping[str, Any]], Awaitable[Any]]
_MOST_PAGES = 10_000
_MOST_SWEEPS = 3
_MOST_BARREN = 3
_DOING = "read a list"


async def by_number(fetch: Fetch, *, limit: int = 100, rows_in: str = "data") -> AsyncIterator[dict[str, Any]]:
    """Yield the rows of styles A (``rows_in="data"``) and D (``rows_in="items"``).

    A row that somebody deletes moves the others up, and one slips between two pages unseen. Where the answers carry a
    ``total`` that moved on the way, or that was not reached, the list is read again (three times at most) and what is
    new is yielded.

    Raises:
        UnreadableAnswer: the answer is no list, or its total stands still and is not reached.
    """
    seen: set[str] = set()
    sweep = _Sweep()
    for _ in range(_MOST_SWEEPS):
        sweep = _Sweep()
        async for row in _swept(fetch, limit, rows_in, sweep):
            if _is_new(row, seen):
                yield row
        if sweep.is_whole:
            return
    if sweep.contradicts_itself:
        wanted = counted(max(sweep.totals), "row") if sweep.totals else "more rows"
        raise UnreadableAnswer(f"{_DOING}: it says that there are {wanted}, and {sweep.counted} came.")


async def by_last_id(fetch: Fetch, *, limit: int = 100) -> AsyncIterator[dict[str, Any]]:
    """Yield the rows of style B, newest first.

    Raises:
        UnreadableAnswer: the answer is no list, or says that there is more and gives nothing new, twice.
    """
    seen: set[str] = set()
    cursor: dict[str, Any] = {}
    barren = 0
    for _ in range(_MOST_PAGES):
        body = await fetch({"limit": limit, **cursor})
        found = _rows(body, "data")
        fresh = [row for row in found if _is_new(row, seen)]
        for row in fresh:
            yield row
        if not _has_more(body, len(seen)):
            return
        barren = 0 if fresh else barren + 1
        if barren == 2:
            raise UnreadableAnswer(
                f"{_DOING}: it says that there is more after {counted(len(seen), 'row')}; nothing new came."
            )
        if fresh:
            cursor = {"last_id": found[-1].get("id")}
    raise UnreadableAnswer(f"{_DOING}: it does not end.")


def rows_of(body: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects in the list ``body[name]``.

    Raises:
        UnreadableAnswer: there is no such list, or something else is in it.
    """
    return _rows(body, name)


@dataclass(slots=True)
class _Sweep:
    """One reading of all pages: the totals that the pages named, the ids that came, rows that have none."""

    totals: list[int] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    nameless: int = 0
    was_cut: bool = False

    @property
    def counted(self) -> int:
        """Return how many different rows came."""
        return len(self.ids) + self.nameless

    @property
    def is_whole(self) -> bool:
        """Say whether the list came whole: it stood still or only grew, and what it named first was reached."""
        if self.was_cut:
            return False
        if not self.totals:
            return True
        return self.totals == sorted(self.totals) and self.counted >= self.totals[0]

    @property
    def contradicts_itself(self) -> bool:
        """Say whether nothing moved on the way and yet rows are missing."""
        return self.was_cut or (len(set(self.totals)) == 1 and self.counted < self.totals[0])

    def take(self, body: Mapping[str, Any], found: list[dict[str, Any]]) -> bool:
        """Count one page; says whether it held anything that was not on the pages before."""
        if (total := whole(body.get("total"))) is not None:
            self.totals.append(total)
        before = self.counted
        self.ids.update(str(row["id"]) for row in found if row.get("id") is not None)
        self.nameless += sum(row.get("id") is None for row in found)
        return self.counted > before


async def _swept(fetch: Fetch, limit: int, rows_in: str, sweep: _Sweep) -> AsyncIterator[dict[str, Any]]:
    barren = 0
    for page in range(1, _MOST_PAGES):
        body = await fetch({"page": page, "limit": limit})
        found = _rows(body, rows_in)
        # a server that ignores the page number would send the first page for ever
        barren = 0 if sweep.take(body, found) else barren + 1
        for row in found:
            yield row
        if not _has_more(body, sweep.counted):
            return
        if not found or barren == _MOST_BARREN:
            break
    sweep.was_cut = True


def _has_more(body: Mapping[str, Any], counted: int) -> bool:
    """Say whether there are more pages. Without the flag the total decides."""
    if "has_more" in body:
        return bool(body["has_more"])
    total = whole(body.get("total"))
    if total is None:
        raise UnreadableAnswer(f"{_DOING}: it does not say whether there is more.")
    return counted < total


def _rows(body: Any, rows_in: str) -> list[dict[str, Any]]:
    shape = obj({rows_in: rows()}, has_more=flag, total=count)  # a page alone, or a list without pages
    found: list[dict[str, Any]] = fit(body, shape, doing=_DOING)[rows_in]
    return found


def _is_new(row: Mapping[str, Any], seen: set[str]) -> bool:
    if row.get("id") is None:
        return True
    key = str(row["id"])
    if key in seen:
        return False
    seen.add(key)
    return True
