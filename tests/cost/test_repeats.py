"""Repeats: exact, within the lifetime of the type, only where everything was read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from difyops.cost.repeats import LIFETIMES, CacheReport, look
from tests.cost.conftest import DAY, NOON, Book, node

HOUR = 3600.0


def asked(text: str, kind: str = "llm", **fields: Any) -> dict[str, Any]:
    return node(kind, 100, 100, "0.01", type=kind, input_hash=text, elapsed=2.0, **fields)


def report(book: Book, **fields: Any) -> CacheReport:
    return look(book.history, book.question(since=NOON - 30 * DAY), book.prices, **fields)


def ask(book: Book, text: str, at: float, kind: str = "llm", **fields: Any) -> None:
    chance = fields.pop("chance", 1.0)
    version = fields.pop("version", "v1")
    book.run("shop", asked(text, kind, **fields), at=at, chance=chance, version=version)


@pytest.mark.parametrize(
    ("kind", "hours"), [("llm", 24), ("code", 168), ("http-request", 1), ("knowledge-retrieval", 12)]
)
def test_a_repeat_within_its_lifetime(book: Book, kind: str, hours: int) -> None:
    assert LIFETIMES[kind] == hours * HOUR
    first = NOON - 20 * DAY
    ask(book, "a", first, kind)
    ask(book, "a", first + 1 + hours * HOUR - 1, kind)  # the answer was there a second later
    ask(book, "a", first + 1 + hours * HOUR + 1, kind)  # too old: asked again, and kept anew
    ask(book, "a", first + 1 + hours * HOUR + 9, kind)
    ask(book, "b", first + 2, kind)
    (row,) = report(book).rows
    assert (row.type, row.calls, row.repeats, row.seconds) == (kind, 5, 2, 4.0)
    assert row.said[0].amount == Decimal("0.02")


def test_what_is_no_repeat(book: Book) -> None:
    at = NOON - DAY
    ask(book, "a", at)
    ask(book, "a", at)  # at the same time: the first answer is not there yet
    ask(book, "a", at + 60, version="v2")  # another version
    ask(book, "a", at + 60, model="gpt-4o")
    ask(book, "", at + 60)  # nothing known of what was asked
    book.run("shop", asked("a", attempt=1, status="retry"), at=at + 60)
    book.run("shop", asked("c", status="failed"), at=at)
    ask(book, "c", at + 60)  # a failure is no answer
    assert sum(row.repeats for row in report(book).rows) == 0


def test_from_a_sample_there_is_no_figure(book: Book) -> None:
    for number in range(60):
        ask(book, "same", NOON - DAY + number * 60, chance=1.0 if number % 3 else None)
    found = report(book)
    assert found.rows == ()
    assert found.left_out == ("shop",)


def test_a_long_stretch_that_was_read_whole_is_enough(book: Book) -> None:
    for number in range(60):
        ask(book, "same", NOON - DAY + number * 60, chance=1.0 if number >= 30 or number % 3 else None)
    found = report(book)
    (row,) = found.rows
    assert (row.calls, row.repeats) == (32, 31)
    assert [item.runs for item in found.whole] == [32]


def test_a_gap_parts_what_is_compared(book: Book) -> None:
    book.cover("shop", NOON - 2 * DAY, NOON - DAY)
    book.cover("shop", NOON - DAY + 2 * HOUR, NOON)
    ask(book, "same", NOON - DAY - 60)
    ask(book, "same", NOON - DAY + 2 * HOUR + 60)
    ask(book, "same", NOON - DAY + 2 * HOUR + 90)
    (row,) = report(book).rows
    assert (row.calls, row.repeats) == (3, 1)


def test_top_is_by_node_and_the_same_beginning_is_counted(book: Book) -> None:
    for number in range(4):
        ask(book, f"q{number}", NOON - 500 + number, prefix_hash="p")
        book.run("shop", {**asked("x"), "node": "second", "title": "Second"}, at=NOON - 400 + number * 5)
    first, second = report(book, by="node").rows
    assert (first.name, first.repeats, first.same_start) == ("Second (shop)", 3, 0)
    assert (second.repeats, second.same_start) == (0, 3)
