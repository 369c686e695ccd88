"""Budgets: over, kept, or not known; held before and settled after, whoever begins at the same time."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from difyops.cost import budgets_file
from difyops.cost.budget import HEADING, KEPT, OVER, SOFT, UNKNOWN, Books, BudgetState, judge
from difyops.cost.budgets_file import Budget
from difyops.cost.holding import Cheaper, hold, left
from difyops.cost.leaves import Leaves
from difyops.cost.money import UNMIXED, Rates
from difyops.cost.reserving import Reserving, reservations
from difyops.errors import AnswerIsNo, ConfigError, OutOfBudget, PartialFailure, UsageError
from difyops.history.rows import hash_of
from difyops.ledger import Ledger
from tests.cost.conftest import CONTEXT, DAY, NOON, Book, node

NOW = datetime.fromtimestamp(NOON, UTC)  # 10 November 2026, a Tuesday
MONTH = Budget(name="all", context=CONTEXT, hard=Decimal(100), soft=Decimal(80), price="dify")


def spend(book: Book, amount: str, at: float = NOON - 3600, **fields) -> None:
    book.run("shop", node("draft", 100, 10, amount, **fields.pop("node", {})), at=at, **fields)


def state(book: Book, budget: Budget = MONTH, reserved=(), rates: Rates = UNMIXED, **fields) -> BudgetState:
    with Leaves(book.history, book.prices) as leaves:
        books = Books(history=book.history, leaves=leaves, prices=book.prices, rates=rates)
        return judge(books, [budget], reserved, now=fields.pop("now", NOW), **fields).budgets[0]


def test_the_states_of_a_budget(book: Book) -> None:
    spend(book, "10", at=NOON - 10 * DAY)  # last month
    assert state(book).spent == 0
    spend(book, "10", at=NOON - 6 * DAY)
    found = state(book)
    assert (found.state, found.spent, found.share) == (KEPT, Decimal(10), 0.1)
    assert found.exhausted is None
    spend(book, "60")
    found = state(book)
    assert (found.state, found.spent) == (HEADING, Decimal(70))
    assert found.projected is not None
    assert found.projected > 200  # 70 in six days, twenty to come
    assert found.exhausted is not None
    assert NOW < found.exhausted < NOW + timedelta(days=4)
    spend(book, "15")
    assert state(book).state == SOFT
    spend(book, "15")
    assert state(book).state == OVER


def test_periods_are_those_of_utc(book: Book) -> None:
    for hours in range(0, 24 * 12, 6):
        spend(book, "1", at=NOON - hours * 3600)
    day, week, month = (state(book, replace(MONTH, period=name)) for name in ("day", "week", "month"))
    assert [item.spent for item in (day, week, month)] == [Decimal(n) for n in (2, 6, 38)]
    assert week.since.isoformat() == "2026-11-09T00:00:00+00:00"
    assert month.until.isoformat() == "2026-12-01T00:00:00+00:00"


def test_by_app_and_by_end_user(book: Book) -> None:
    book.app("other")
    book.run("other", node("draft", 1, 1, "50"), at=NOON - 60)
    spend(book, "5", user=hash_of("user-1", book.history.salt))
    spend(book, "7", user=hash_of("user-2", book.history.salt))
    assert state(book, replace(MONTH, apps=("shop",))).spent == 12
    assert state(book, replace(MONTH, user="user-1")).spent == 5
    assert state(book, replace(MONTH, user="nobody")).spent == 0
    with pytest.raises(UsageError, match="no app"):
        state(book, replace(MONTH, apps=("gone",)))


def test_what_nobody_can_judge_is_its_own_answer(book: Book) -> None:
    spend(book, "10", at=NOON - 7 * DAY + 60)
    assert state(book).state == KEPT
    book.run("shop", node("draft", 1, 1, "1"), at=NOON - 60, chance=None)
    unread = state(book)
    assert (unread.state, unread.why) == (UNKNOWN, ("the nodes of 1 run were not read",))
    spend(book, "90")
    assert state(book).state == OVER  # more cannot make it less
    assert state(book, replace(MONTH, hard=Decimal(1000), soft=Decimal(900))).state == UNKNOWN


def test_unpriced_and_foreign_money_are_not_0(book: Book) -> None:
    spend(book, "0", node={"model": "house", "provider": "ollama"})
    found = state(book, replace(MONTH, price="list"))
    assert (found.state, found.unpriced) == (UNKNOWN, 110)
    assert "unpriced" in found.why[0]
    spend(book, "5", node={"currency": "RMB"})
    found = state(book)
    assert found.state == UNKNOWN
    assert any("CNY" in text for text in found.why)
    rates = Rates(currency="USD", worth={"CNY": Decimal("0.1")})
    assert state(book, rates=rates).spent == Decimal("0.5")


def test_gaps_and_an_old_sync(book: Book) -> None:
    spend(book, "10", at=NOON - 7 * DAY + 60)
    book.cover("shop", NOON - 5 * DAY, NOON - 4 * DAY)
    book.cover("shop", NOON - 2 * DAY, NOON - DAY)
    found = state(book)
    assert found.state == UNKNOWN
    assert "was not read" in found.why[0]
    book.cover("shop", NOON - 40 * DAY, NOON - DAY)
    assert state(book).state == KEPT
    old = state(book, oldest=3600.0)
    assert (old.state, old.why) == (UNKNOWN, ("the newest sync is too old",))


def test_the_answers_are_errors_for_cron(book: Book) -> None:
    spend(book, "90")
    with Leaves(book.history, book.prices) as leaves:
        books = Books(history=book.history, leaves=leaves, prices=book.prices)
        found = judge(books, [MONTH, replace(MONTH, name="small", hard=Decimal(50), soft=Decimal(1))], (), now=NOW)
        alone = judge(books, [MONTH], (), now=NOW)
    assert [item.state for item in found.budgets] == [OVER, SOFT]
    assert isinstance(found.error(), AnswerIsNo)
    assert alone.error() is None
    assert isinstance(alone.error(fail_on=SOFT), AnswerIsNo)
    book.run("shop", node("draft", 1, 1, "1"), at=NOON - 60, chance=None)
    with Leaves(book.history, book.prices) as leaves:
        books = Books(history=book.history, leaves=leaves, prices=book.prices)
        assert isinstance(judge(books, [MONTH], (), now=NOW).error(), PartialFailure)


def test_what_is_held_counts_until_history_has_it(book: Book, tmp_path: Path) -> None:
    spend(book, "60", at=NOON - 2 * DAY, tokens=110)
    with Ledger.open(tmp_path / "state" / "ledger.sqlite3") as ledger, Leaves(book.history, book.prices) as leaves:
        books = Books(history=book.history, leaves=leaves, prices=book.prices)

        def rest(budget, held):
            return left(books, budget, held, now=NOW)

        reserving = Reserving(ledger=ledger, state=tmp_path / "state", left=rest)
        taken = reserving.take([MONTH], Decimal(30), what="a broadcast", now=NOW)
        assert state(book, reserved=reservations(ledger, CONTEXT, now=NOW)).reserved == 30
        with pytest.raises(OutOfBudget, match="has 10 left"):
            reserving.take([MONTH], Decimal(11), what="another", now=NOW)
        reserving.settle(taken, Decimal(4), now=NOW)
        assert state(book, reserved=reservations(ledger, CONTEXT, now=NOW)).reserved == 4
        book.cover("shop", NOON - 40 * DAY, NOON + 60)  # the sync that has those runs
        later = NOW + timedelta(minutes=2)
        assert state(book, reserved=reservations(ledger, CONTEXT, now=later), now=later).reserved == 0
        tried = reserving.take([MONTH], Decimal(10), what="a trial", now=NOW)
        reserving.settle(tried, Decimal(1), copies=Decimal(3), now=NOW)
        held = reservations(ledger, CONTEXT, now=later)
        assert state(book, reserved=held, now=later).reserved == 3  # no history will ever hold the runs of copies
        gone = NOW + timedelta(days=31)  # another month: another budget
        assert state(book, reserved=reservations(ledger, CONTEXT, now=gone), now=gone).reserved == 0
        reserving.take([MONTH], Decimal(10), what="killed", now=NOW)
        assert reservations(ledger, CONTEXT, now=NOW + timedelta(hours=7)) == [
            item for item in reservations(ledger, CONTEXT, now=NOW + timedelta(hours=7)) if item.settled
        ]  # ends by itself


def test_many_runs_hold_what_such_runs_took(book: Book, tmp_path: Path) -> None:
    for _ in range(10):
        spend(book, "2", at=NOON - DAY)
    with Ledger.open(tmp_path / "state" / "ledger.sqlite3") as ledger, Leaves(book.history, book.prices) as leaves:
        books = Books(history=book.history, leaves=leaves, prices=book.prices)
        reserving = Reserving(
            ledger=ledger, state=tmp_path / "state", left=lambda one, taken: left(books, one, taken, now=NOW)
        )
        held = hold(books, reserving, [MONTH], {"shop": 20, "elsewhere": 5}, what="x", now=NOW)
        assert held[0].taken[0].amount == 40
        assert held[0].cost({"shop": 55}) == 1  # half of a run's tokens
        half = {"shop": Cheaper(tokens=55, saved={"USD": Decimal(1)})}  # another model, at half of the price of a run
        listed = replace(held[0], budget=replace(MONTH, price="list"))
        assert listed.cost({"shop": 110}, half) == Decimal("1.5")
        assert listed.cost({"shop": 55}, {"shop": replace(half["shop"], saved={"CNY": Decimal(1)})}) == 1
        assert listed.cost({"shop": 55}, {"shop": replace(half["shop"], saved={"USD": Decimal(9)})}) == 0
        assert held[0].cost({"shop": 110}, half) == 2  # what Dify will say of the other model is not known beforehand
        tight = replace(MONTH, name="tight", hard=Decimal(50), soft=Decimal(1))
        before = len(reservations(ledger, CONTEXT, now=NOW))
        with pytest.raises(OutOfBudget):
            hold(
                books,
                reserving,
                [replace(MONTH, name="wide", hard=Decimal(500)), tight],
                {"shop": 20},
                what="x",
                now=NOW,
            )
        given_back = [item for item in reservations(ledger, CONTEXT, now=NOW) if item.budget == "wide"]
        assert len(reservations(ledger, CONTEXT, now=NOW)) == before + 1
        assert [item.amount for item in given_back] == [0]


def test_of_many_that_begin_at_once_no_more_than_fit_begin(book: Book, tmp_path: Path) -> None:
    book.run("shop", node("draft", 1, 1, "0.5"), at=NOON - 60)
    begun: list[Decimal] = []

    def begin() -> None:
        with Ledger.open(tmp_path / "state" / "ledger.sqlite3") as ledger, Leaves(book.history, book.prices) as leaves:
            books = Books(history=book.history, leaves=leaves, prices=book.prices)
            reserving = Reserving(
                ledger=ledger, state=tmp_path / "state", left=lambda one, taken: left(books, one, taken, now=NOW)
            )
            with contextlib.suppress(OutOfBudget):
                begun.append(reserving.take([MONTH], Decimal(30), what="a batch", now=NOW)[0].amount)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(begun) == 90  # three of thirty fit in 99.5


def test_a_check_while_two_syncs_write_sees_whole_runs_only(book: Book) -> None:
    """Each run costs 1, in two halves on two nodes: a half seen would be a fraction."""
    seen: list[BudgetState] = []
    over = threading.Event()

    def write(first: int) -> None:
        for number in range(first, first + 40):
            halves = (node("a", 10, 1, "0.5"), node("b", 10, 1, "0.5"))
            book.run("shop", *halves, at=NOON - number, id=f"r{number}")

    def look() -> None:
        while not over.is_set():
            seen.append(state(book))

    looking = threading.Thread(target=look)
    writers = [threading.Thread(target=write, args=(first,)) for first in (1, 1001)]
    for thread in (looking, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    looking.join()
    assert seen
    assert all(item.spent == int(item.spent) for item in seen)
    assert [item.spent for item in seen] == sorted(item.spent for item in seen)
    assert state(book).spent == 80


@pytest.mark.parametrize(
    "row",
    [
        "3", '{"name": "x"}', '{"name": "x", "context": "c", "hard": "much"}',
        '{"name": "x", "context": "c", "hard": 1, "soft": 2}',
        '{"name": "x", "context": "c", "hard": 1, "soft": 1, "apps": {"all": 1}}',
        '{"name": "x", "context": "c", "hard": 1, "soft": 1, "period": "year"}',
    ],
)  # fmt: skip
def test_a_broken_file_is_a_sentence(tmp_path: Path, row: str) -> None:
    file = tmp_path / budgets_file.FILE
    file.write_text(f'{{"budgets": [{row}]}}')
    with pytest.raises(ConfigError, match=r"budgets\[0\]"):
        budgets_file.read_budgets(file)
