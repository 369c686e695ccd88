"""What the apps cost: every token once, no price made up, nothing unread passed over."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from difyops.cost.leaves import FILE
from difyops.cost.money import Rates
from difyops.cost.own_prices import OwnPrice
from difyops.cost.spending import Amount, CostLine
from difyops.cost.summary import BY
from difyops.history.packing import pack
from tests.cost.conftest import CONTEXT, DAY, NOON, Book, node


def said(line: CostLine) -> dict[str, str]:
    return {item.currency: format(item.amount.normalize(), "f") for item in line.said}


def listed(line: CostLine) -> dict[str, str]:
    return {item.currency: format(item.amount.normalize(), "f") for item in line.listed}


def test_three_columns_of_one_call(book: Book) -> None:
    book.run("shop", node("draft", 1000, 500, "0.0004"))  # gpt-4o-mini: 0.15 and 0.60 a million
    found = book.cost()
    (line,) = found.lines
    assert (line.calls, line.tokens, line.exact, line.silent, line.unpriced) == (1, 1500, True, 0, 0)
    assert said(line) == {"USD": "0.0004"}
    assert listed(line) == {"USD": "0.00045"}
    assert [format(item.amount.normalize(), "f") for item in line.difference] == ["0.00005"]
    assert said(found.total) == said(line)


def test_no_price_and_price_0_are_tokens_not_money(book: Book) -> None:
    for price in ("", "0", "0E-7", "0.0", "NaN", "free", "-1"):
        book.run("shop", node("odd", 700, 300, price, model="house-llm", provider="acme/x/ollama", currency="USD"))
    (line,) = book.cost().lines
    assert (line.said, line.listed, line.difference) == ((), (), ())
    assert (line.silent, line.unpriced, line.tokens) == (7000, 7000, 7000)


def test_currencies_are_never_mixed_without_rates(book: Book) -> None:
    book.run("shop", node("a", 1000, 0, "0.5", currency="RMB", provider="langgenius/tongyi/tongyi", model="qwen-max"))
    book.run("shop", node("b", 1000, 0, "0.2"))
    book.run("shop", node("c", 1000, 0, "0.25", currency="EUR"))
    (line,) = book.cost().lines
    assert said(line) == {"CNY": "0.5", "EUR": "0.25", "USD": "0.2"}
    assert [item.currency for item in line.difference] == ["USD"]
    rates = Rates(currency="USD", worth={"CNY": Decimal("0.1")})
    (line,) = book.cost(rates=rates).lines
    assert said(line) == {"EUR": "0.25", "USD": "0.25"}  # what has no rate stays what it is


def test_a_retry_that_repeats_the_price_of_the_end_counts_once(book: Book) -> None:
    tried = node("draft", 1000, 500, "0.0004", attempt=1, status="retry")
    book.run("shop", tried, {**tried, "attempt": 2}, node("draft", 1000, 500, "0.0004"), tokens=1500)
    (line,) = book.cost().lines
    assert (line.calls, line.tokens, said(line)) == (1, 1500, {"USD": "0.0004"})


@pytest.mark.parametrize("kind", ["iteration", "loop"])
def test_a_container_repeats_its_children(book: Book, kind: str) -> None:
    around = node("each", tokens=300, price="0.3", type=kind, model="", provider="")
    inside = [node("item", 60, 40, "0.1", container="each", round=number) for number in range(3)]
    book.run("shop", around, *inside, tokens=300)
    (line,) = book.cost(by="node").lines
    assert (line.name, line.calls, line.tokens, said(line)) == ("Item (shop)", 3, 300, {"USD": "0.3"})


def test_a_container_inside_a_container(book: Book) -> None:
    outer = node("outer", tokens=100, price="0.1", type="loop", model="")
    inner = node("inner", tokens=100, price="0.1", type="iteration", model="", container="outer")
    book.run("shop", outer, inner, node("item", 60, 40, "0.1", container="inner"), tokens=100)
    assert said(book.cost().total) == {"USD": "0.1"}


def test_a_container_without_its_children_counts(book: Book) -> None:
    book.run("shop", node("each", tokens=300, price="0.3", type="iteration", model=""), node("merge", type="code"))
    assert said(book.cost().total) == {"USD": "0.3"}


def test_a_workflow_used_as_a_tool_counts_once(book: Book) -> None:
    book.app("helper")
    tool = node("call", tokens=150, price="0.4", type="tool", model="", provider="", finished=NOON + 9)
    for number in range(3):
        book.run(
            "shop", {**tool, "started": NOON + 20 * number, "finished": NOON + 20 * number + 9}, at=NOON + 20 * number
        )
    for number in range(2):  # the third inner run is not in the history
        inner = node("draft", 100, 50, "0.4", started=NOON + 20 * number + 2)
        book.run("helper", inner, at=NOON + 20 * number + 1, finished=NOON + 20 * number + 8)
    found = book.cost()
    assert {line.name: said(line) for line in found.lines} == {"helper": {"USD": "0.8"}, "shop": {"USD": "0.4"}}
    assert found.inner == 300
    assert said(book.cost("shop").total) == {"USD": "0.4"}  # asked alone, too


def test_a_run_of_the_same_tokens_elsewhere_is_no_inner_run(book: Book) -> None:
    book.app("helper")
    book.run("shop", node("call", tokens=150, price="0.4", type="tool", model=""))
    book.run("helper", node("draft", 100, 50, "0.4"), at=NOON + 500)  # later
    book.run("shop", node("draft", 100, 50, "0.4"), at=NOON)  # the same app
    assert said(book.cost().total) == {"USD": "1.2"}


def test_a_price_that_changed_in_the_middle(book: Book) -> None:
    own = [
        OwnPrice(provider="openai", model="gpt-4o-mini", input=Decimal(price), output=Decimal(0), currency="USD",
                 since=since)
        for price, since in (("1", "2026-11-10"), ("3", "2026-11-11"))
    ]  # fmt: skip
    for at in (NOON - DAY, NOON, NOON + DAY - 1):
        book.run("shop", node("draft", 1_000_000, 0, "0.15"), at=at)
    prices = replace(book.prices, own=tuple(reversed(own)))
    days = book.cost(by="day", since=NOON - 2 * DAY, prices=prices).lines
    assert [(line.name, listed(line)) for line in days] == [
        ("2026-11-09", {"USD": "0.15"}), ("2026-11-10", {"USD": "1"}), ("2026-11-11", {"USD": "3"}),
    ]  # fmt: skip


def test_the_list_itself_knows_days_sizes_and_hours(book: Book) -> None:
    big = {"provider": "langgenius/gemini/google", "model": "gemini-2.5-pro"}
    book.run("shop", node("draft", 200_000, 0, "1", **big), node("draft", 200_001, 0, "1", **big))
    (line,) = book.cost().lines
    assert listed(line) == {"USD": "0.7500025"}  # 1.25 up to 200,000 tokens, 2.50 for the whole call above


def test_every_grouping_has_the_same_total(book: Book) -> None:
    book.app("other")
    for number in range(40):
        app = ("shop", "other")[number % 2]
        book.run(
            app, node(f"n{number % 3}", 100 + number, 50, "0.01"), node("plain", 10, 1, ""), user=f"u{number % 5}",
            version=f"v{number % 3}", source=("app-run", "webhook")[number % 2], at=NOON - number * 3600,
        )  # fmt: skip
    whole = book.cost(since=NOON - 3 * DAY).total
    assert whole.calls == 80
    for by in BY:
        found = book.cost(by=by, since=NOON - 3 * DAY)
        assert found.total == whole
        for column in ("said", "listed", "difference"):
            assert sum(item.amount for line in found.lines for item in getattr(line, column)) == sum(
                item.amount for item in getattr(whole, column)
            )
        assert sum(line.tokens for line in found.lines) == whole.tokens


def test_a_window_that_begins_and_ends_within_a_day(book: Book) -> None:
    for number in range(72):
        book.run("shop", node("draft", 10, 0, "0.01"), at=NOON - 36 * 3600 + number * 3600)
    for since, until in ((NOON - 3600, NOON + 3600), (NOON - 30 * 3600, NOON + 7 * 3600), (NOON - DAY, NOON + 60)):
        found = book.cost(since=since, until=until)
        wanted = sum(since <= NOON - 36 * 3600 + number * 3600 < until for number in range(72))
        assert (found.total.calls, found.runs, found.read) == (wanted, wanted, wanted)


def test_half_of_the_runs_have_no_nodes_yet(book: Book) -> None:
    for number in range(10):
        book.run("shop", node("draft", 100, 0, "0.01"), chance=1.0 if number % 2 else None)
    found = book.cost()
    (line,) = found.lines
    assert (said(line), line.unread, line.exact) == ({"USD": "0.05"}, 5, False)
    assert (found.runs, found.read, found.total.unread) == (10, 5, 5)
    book.app("silent")
    book.run("silent", node("draft", 100, 0, "0.01"), chance=None)
    shown = {line.name: line.unread for line in book.cost().lines}
    assert shown == {"shop": 5, "silent": 1}  # an app of which nothing was read is there


def test_time_that_was_never_read_is_told(book: Book) -> None:
    book.run("shop", node("draft", 100, 0, "0.01"))
    book.cover("shop", NOON - DAY, NOON - DAY / 2)
    book.cover("shop", NOON - 600, NOON + 600)
    found = book.cost(since=NOON - 2 * DAY)
    assert [(gap.since.timestamp() - NOON, gap.until.timestamp() - NOON) for gap in found.gaps] == [
        (-2 * DAY, -DAY), (-DAY / 2, -600),
    ]  # fmt: skip
    assert found.upto is not None
    assert found.upto.timestamp() == NOON + 600


def test_an_app_that_was_deleted_still_cost_what_it_cost(book: Book) -> None:
    book.app("old", gone=NOON - 3600)
    book.run("old", node("draft", 100, 0, "0.01"), at=NOON - 7200)
    book.cover("old", NOON - DAY, NOON - 3600)
    found = book.cost()
    assert [(line.name, said(line)) for line in found.lines] == [("old (deleted)", {"USD": "0.01"})]
    assert found.gaps == ()


def test_messages_of_apps_without_a_workflow(book: Book) -> None:
    book.app("chat", mode="chat")
    for number, price in enumerate(("0.0000024", "0E-7", "")):
        book.run("chat", source="chat", id=f"m{number}", tokens=30, chance=None, user="u")
        with book.history.changing() as connection:
            connection.execute(
                "INSERT INTO message (context, app, id, run, status, started, prompt_tokens, answer_tokens, price,"
                ' currency, "user") VALUES (?, ?, ?, ?, ?, ?, 10, 20, ?, ?, ?)',
                [CONTEXT, "chat", f"m{number}", "", "succeeded", NOON, price, "USD", "u"],
            )
    found = book.cost(by="model")
    (line,) = found.lines
    assert (line.name, line.calls, line.tokens, said(line)) == ("not told (message)", 3, 90, {"USD": "0.0000024"})
    assert (line.silent, line.unpriced, line.unread, found.runs) == (60, 90, 0, 3)


def draw(book: Book, share: float, rng: random.Random, count: int = 400) -> Decimal:
    """Write runs of which a part is read by chance; return what all of them cost."""
    cost = Decimal(0)
    for number in range(count):
        tokens = int(rng.lognormvariate(6, 0.8))
        price = Decimal(tokens) * Decimal(rng.choice(["0.000001", "0.0000012"]))
        cost += price
        row = node(f"n{number % 2}", tokens, 0, format(price, "f"))
        book.run("shop", row, at=NOON - number * 60, chance=share if rng.random() < share else None, tokens=tokens)
    return cost


def test_from_a_part_of_the_runs_with_an_interval(book: Book) -> None:
    cost = draw(book, 0.25, random.Random(7))
    for by in ("app", "node", "model"):
        found = book.cost(by=by)
        (total,) = found.total.said
        assert total.low is not None
        assert total.high is not None
        assert total.low <= cost <= total.high
        assert abs(total.amount / cost - 1) < Decimal("0.05")
        assert not found.total.exact
        shown = sum((item.amount for line in found.lines for item in line.said), Decimal(0))
        assert abs(shown / total.amount - 1) < Decimal("0.0001")


def test_a_chance_that_grew_and_runs_that_were_read_again(book: Book) -> None:
    draw(book, 0.5, random.Random(3), count=60)
    before = book.cost().total
    with book.history.changing() as connection:
        connection.execute("UPDATE sample SET chance = chance * 0.5")
    assert book.cost().total.said != before.said or before.exact
    run = book.history.one("SELECT run FROM sample ORDER BY run LIMIT 1")
    with book.history.changing() as connection:
        connection.execute("UPDATE sample SET chance = 1, read_at = read_at + 1")
        connection.execute("UPDATE node SET price = '5', currency = 'USD' WHERE run = ?", [run])
    cost = book.history.one("SELECT sum(CAST(price AS REAL)) FROM node")
    assert float(book.cost().total.said[0].amount) == pytest.approx(cost)


def test_what_was_forgotten_costs_nothing_and_the_file_is_made_again(book: Book) -> None:
    book.run("shop", node("draft", 100, 0, "0.01"), at=NOON - 3600)
    book.run("shop", node("draft", 100, 0, "0.02"))
    assert said(book.cost().total) == {"USD": "0.03"}
    book.history.forget(CONTEXT, "shop", before=NOON - 60)
    assert said(book.cost().total) == {"USD": "0.02"}
    for file in book.history.path.parent.glob(f"{FILE}*"):
        file.unlink()
    assert said(book.cost().total) == {"USD": "0.02"}


def test_packed_months_cost_the_same(book: Book) -> None:
    pytest.importorskip("duckdb")
    for number in range(12):
        book.run(
            "shop", node("draft", 100 + number, 7, "0.01"), at=NOON - number * 5 * DAY, chance=(1.0, 0.5)[number % 2]
        )
    before = book.cost(since=NOON - 90 * DAY)
    pack(book.history, context=CONTEXT, now=NOON)
    assert book.history.one("SELECT count(*) FROM node") < 12
    assert book.cost(since=NOON - 90 * DAY) == before
    for file in book.history.path.parent.glob(f"{FILE}*"):
        file.unlink()
    assert book.cost(since=NOON - 90 * DAY) == before


def test_many_at_once_make_the_leaves_once(book: Book, tmp_path: Path) -> None:
    draw(book, 1.0, random.Random(5), count=120)
    wanted = book.history.one("SELECT sum(CAST(price AS REAL)) FROM node")
    found: list[tuple[Amount, ...]] = []

    def ask() -> None:
        found.append(book.cost().total.said)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert {item.amount for (item,) in found} == {found[0][0].amount}
    assert float(found[0][0].amount) == pytest.approx(wanted)


def test_nothing_at_all(book: Book) -> None:
    found = book.cost()
    assert (found.lines, found.runs, found.total.said, found.total.tokens) == ((), 0, (), 0)
