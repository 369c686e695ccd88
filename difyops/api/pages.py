"""The platform's paging styles as async iterators.

A: ``page,limit -> {page,limit,total,has_more,data}``; B: ``last_id,limit -> {limit,has_more,data}``; D: ``page,limit ->
{items,page,limit,has_more}``. Rows may repeat or slip between pages while others write; callers that need each thing
once get it: rows are deduplicated by ``id``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from difyops.errors import ServerFault

Fetch = Callable[[Mapping[str, Any]], Awaitable[Any]]
_MOST_PAGES = 10_000


async def by_number(fetch: Fetch, *, limit: int = 100, rows_in: str = "data") -> AsyncIterator[dict[str, Any]]:
    """Yield the rows of styles A (``rows_in="data"``) and D (``rows_in="items"``)."""
    seen: set[str] = set()
    for page in range(1, _MOST_PAGES):
        body = await fetch({"page": page, "limit": limit})
        rows = _rows(body, rows_in)
        for row in rows:
            if _is_new(row, seen):
                yield row
        if not body.get("has_more") or not rows:
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


def _rows(body: Any, rows_in: str) -> list[dict[str, Any]]:
    rows = body.get(rows_in) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise ServerFault("A list was expected and something else came; is this address the instance's own?")
    return [row for row in rows if isinstance(row, dict)]


def _is_new(row: Mapping[str, Any], seen: set[str]) -> bool:
    key = str(row.get("id"))
    if key in seen:
        return False
    seen.add(key)
    return True
