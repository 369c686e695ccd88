"""The platform's paging styles as async iterators.

A: ``page,limit -> {page,limit,total,has_more,data}``; B: ``last_id,limit -> {limit,has_more,data}``; D: ``page,limit ->
{items,page,limit,has_more}``. Rows may repeat or slip between pages while others write; callers that need each thing
once get it: rows are deduplicated by ``id``, and a list whose total changed on the way is read once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.errors import ServerFault

Fetch = Callable[[Mapping[str, Any]], Awaitable[Any]]
_MOST_PAGES = 10_000
_MOST_SWEEPS = 3
_MOST_BARREN = 3


async def by_number(fetch: Fetch, *, limit: int = 100, rows_in: str = "data") -> AsyncIterator[dict[str, Any]]:
    """Yield the rows of styles A (``rows_in="data"``) and D (``rows_in="items"``).

    A row that somebody deletes moves the others up, and one slips between two pages unseen. Where the answers carry a
    ``total`` that moved on the way, or that was not reached, the list is read again (three times at most) and what is
    new is yielded.
    """
    seen: set[str] = set()
    for _ in range(_MOST_SWEEPS):
        sweep = _Sweep()
        async for row in _swept(fetch, limit, rows_in, sweep):
            if _is_new(row, seen):
                yield row
        if sweep.steady:
            return


async def by_last_id(fetch: Fetch, *, limit: int = 100) -> AsyncIterator[dict[str, Any]]:
    """Yield the rows of style B, newest first."""
    seen: set[str] = set()
    cursor: dict[str, Any] = {}
    for _ in range(_MOST_PAGES):
        body = await fetch({"limit": limit, **cursor})
        rows = _rows(body, "data")
        fresh = [row for row in rows if _is_new(row, seen)]
        for row in fresh:
            yield row
        if not body.get("has_more") or not fresh:
            return
        cursor = {"last_id": rows[-1].get("id")}


def rows_of(body: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects in the list ``body[name]``; nothing when the answer has another shape."""
    rows = body.get(name) if isinstance(body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


@dataclass(slots=True)
class _Sweep:
    """One reading of all pages: the totals that the pages named, the ids that came."""

    pages: int = 0
    totals: set[int] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    nameless: bool = False

    @property
    def steady(self) -> bool:
        """Say whether the list stood still and came whole, as far as it can be told."""
        if self.pages <= 1 or not self.totals or self.nameless:
            return True
        return len(self.totals) == 1 and len(self.ids) >= max(self.totals)

    def take(self, body: Any, rows: list[dict[str, Any]]) -> bool:
        """Count one page; says whether it held anything that was not on the pages before."""
        self.pages += 1
        if isinstance(body.get("total"), int):
            self.totals.add(body["total"])
        before = len(self.ids)
        self.ids.update(str(row["id"]) for row in rows if row.get("id") is not None)
        nameless = any(row.get("id") is None for row in rows)
        self.nameless = self.nameless or nameless
        return nameless or len(self.ids) > before


async def _swept(fetch: Fetch, limit: int, rows_in: str, sweep: _Sweep) -> AsyncIterator[dict[str, Any]]:
    barren = 0
    for page in range(1, _MOST_PAGES):
        body = await fetch({"page": page, "limit": limit})
        rows = _rows(body, rows_in)
        # a server that ignores the page number would send the first page for ever
        barren = 0 if sweep.take(body, rows) else barren + 1
        for row in rows:
            yield row
        if not body.get("has_more") or not rows or barren == _MOST_BARREN:
            return


def _rows(body: Any, rows_in: str) -> list[dict[str, Any]]:
    rows = body.get(rows_in) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise ServerFault("A list was expected and something else came; is this address the instance's own?")
    return [row for row in rows if isinstance(row, dict)]


def _is_new(row: Mapping[str, Any], seen: set[str]) -> bool:
    if row.get("id") is None:
        return True
    key = str(row["id"])
    if key in seen:
        return False
    seen.add(key)
    return True
