"""Paged lists while others write: every row once, and none lost that was there all the time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.api.pages import by_last_id, by_number
from difyops.errors import ServerFault, UnreadableAnswer

Row = dict[str, Any]


class Shelf:
    """A list on a server; ``events`` happen before the n-th call: ``("delete", index)`` or ``("create", id)``."""

    def __init__(self, count: int, events: Mapping[int, tuple[str, int]] | None = None) -> None:
        self.rows = [{"id": f"{number}"} for number in range(count)]
        self.events, self.calls = dict(events or {}), 0

    def happen(self) -> None:
        self.calls += 1
        what, value = self.events.get(self.calls, ("", 0))
        if what == "delete" and self.rows:
            del self.rows[value % len(self.rows)]
        elif what == "create":
            self.rows.insert(0, {"id": f"new-{value}-{self.calls}"})

    async def numbered(self, params: Mapping[str, Any]) -> Any:
        self.happen()
        start = (params["page"] - 1) * params["limit"]
        rows = self.rows[start : start + params["limit"]]
        return {"data": rows, "total": len(self.rows), "has_more": start + params["limit"] < len(self.rows)}

    async def after(self, params: Mapping[str, Any]) -> Any:
        self.happen()
        ids = [row["id"] for row in self.rows]
        start = ids.index(params["last_id"]) + 1 if "last_id" in params else 0
        rows = self.rows[start : start + params["limit"]]
        return {"data": rows, "has_more": start + params["limit"] < len(self.rows)}


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
async def test_all_rows_come_once_with_as_few_calls_as_it_takes(count: int) -> None:
    shelf = Shelf(count)
    assert [row["id"] async for row in by_number(shelf.numbered)] == [f"{number}" for number in range(count)]
    assert shelf.calls == max(1, -(-count // 100))


async def test_a_row_that_slips_because_another_was_deleted_is_found_again() -> None:
    shelf = Shelf(25, {2: ("delete", 0)})
    found = {row["id"] async for row in by_number(shelf.numbered, limit=10)}
    assert {row["id"] for row in shelf.rows} <= found


async def test_a_row_that_moves_down_because_another_was_created_comes_once() -> None:
    shelf = Shelf(25, {2: ("create", 1), 3: ("create", 2)})
    found = [row["id"] async for row in by_number(shelf.numbered, limit=10)]
    assert len(found) == len(set(found))


@given(
    st.integers(0, 60),
    st.dictionaries(
        st.integers(1, 12), st.tuples(st.sampled_from(["delete", "create"]), st.integers(0, 59)), max_size=1
    ),
)
async def test_what_was_there_all_the_time_is_never_missed(count: int, happenings: dict[int, tuple[str, int]]) -> None:
    shelf = Shelf(count, happenings)
    before = {row["id"] for row in shelf.rows}
    found = [row["id"] async for row in by_number(shelf.numbered, limit=7)]
    assert before & {row["id"] for row in shelf.rows} <= set(found)
    assert len(found) == len(set(found))


async def test_a_server_that_ignores_the_page_number_is_not_asked_for_ever() -> None:
    calls = 0

    async def same(params: Mapping[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        return {"data": [{"id": "a"}, {"id": "b"}], "has_more": True}

    with pytest.raises(UnreadableAnswer, match="more rows, and 2 came"):
        _ = [row async for row in by_number(same)]
    assert calls < 15


async def test_a_total_that_is_never_reached_does_not_lead_round_in_circles() -> None:
    calls = 0

    async def fewer(params: Mapping[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        rows = [{"id": f"{params['page']}"}] if params["page"] < 3 else []
        return {"data": rows, "has_more": params["page"] < 3, "total": 40}

    with pytest.raises(UnreadableAnswer, match="40 rows, and 2 came"):
        _ = [row async for row in by_number(fewer)]
    assert calls <= 9


@pytest.mark.parametrize(
    "body",
    [
        {"data": [], "total": 8, "has_more": False},
        {"data": [{"id": "a"}, {"id": "a"}], "total": 2, "has_more": False},
        {"data": [{"id": "a"}, None], "total": 1, "has_more": False},
        {"data": [{"id": "a"}], "total": "1", "has_more": False},
        {"data": [{"id": "a"}], "total": -1, "has_more": False},
        {"data": [{"id": "a"}], "has_more": "false"},
        {"data": [{"id": "a"}]},
        {"data": [], "has_more": True},
    ],
)
async def test_a_page_that_contradicts_itself_is_unreadable_never_short(body: Any) -> None:
    async def page(params: Mapping[str, Any]) -> Any:
        return body

    with pytest.raises(UnreadableAnswer):
        _ = [row async for row in by_number(page)]


async def test_a_page_that_was_short_once_is_read_again() -> None:
    answers = iter([[], [{"id": "a"}]])

    async def page(params: Mapping[str, Any]) -> Any:
        return {"data": next(answers), "total": 1, "has_more": False}

    assert [row async for row in by_number(page)] == [{"id": "a"}]


async def test_rows_without_an_id_are_all_kept() -> None:
    async def nameless(params: Mapping[str, Any]) -> Any:
        return {"items": [{"n": 1}, {"n": 2}], "has_more": params["page"] < 2}

    assert len([row async for row in by_number(nameless, rows_in="items")]) == 4


@pytest.mark.parametrize("count", [0, 1, 100, 101, 230])
async def test_lists_by_last_id_come_whole(count: int) -> None:
    shelf = Shelf(count)
    assert len([row async for row in by_last_id(shelf.after)]) == count


async def test_a_server_that_ignores_the_last_id_is_not_asked_for_ever() -> None:
    async def same(params: Mapping[str, Any]) -> Any:
        return {"data": [{"id": "a"}], "has_more": True}

    with pytest.raises(UnreadableAnswer, match="nothing new came"):
        _ = [row async for row in by_last_id(same)]


@pytest.mark.parametrize("body", [None, [], "text", 7, {}, {"data": None}, {"data": {"a": 1}}])
async def test_something_else_than_a_list_is_a_server_fault(body: Any) -> None:
    async def other(params: Mapping[str, Any]) -> Any:
        return body

    for pages in (by_number, by_last_id):
        with pytest.raises(ServerFault, match=r"list was expected|object was expected|is missing"):
            _ = [row async for row in pages(other)]
