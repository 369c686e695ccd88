"""Advice on cost: each rule finds what it is for, in money by the list, and leaves the rest alone."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from difyops.cost.advice import RULES, CostAdvice
from difyops.cost.advise import CostAdvised, advise
from difyops.cost.knowledge import DatasetFacts, Retrieval
from difyops.history.apps import find_apps
from difyops.history.store import Batch
from tests.conftest import Cli
from tests.cost.conftest import CONTEXT, DAY, NOON, OPENAI, Book, node


def graph(book: Book, **reads: list[str]) -> None:
    """Keep a graph in which each named node reads these nodes."""
    shape = {"nodes": [{"id": name, "reads": sources} for name, sources in reads.items()], "edges": []}
    with book.history.changing() as connection:
        connection.execute("INSERT INTO graph VALUES (?, 'shop', 'v1', ?)", [CONTEXT, json.dumps(shape)])


def look(book: Book) -> CostAdvised:
    (app,) = find_apps(book.history, CONTEXT, ["shop"])
    return advise(book.history, CONTEXT, app, book.prices, since=NOON - DAY, until=NOON + DAY)


def fill(book: Book, *rows: dict[str, Any], runs: int = 30, **fields: Any) -> list[str]:
    return [book.run("shop", *rows, at=NOON - 60 * number, **fields) for number in range(runs)]


def only(found: CostAdvised) -> CostAdvice:
    (one,) = found.advice
    return one


def test_a_stable_prefix_is_worth_what_the_list_says(book: Book) -> None:
    fill(book, node("draft", 2000, 50, prompt_size=8000, prefix_hash="same"))
    one = only(look(book))
    rate = book.prices.rate(OPENAI, "gpt-4o-mini", int(NOON // DAY))
    assert rate is not None
    assert rate.cached is not None
    assert one.rule == "stable_prefix"
    assert one.saving is not None
    assert one.saving.high == 2000 * 1000 * (rate.input - rate.cached)
    assert one.saving.low == one.saving.high * 1024 / 8000
    other = Book(book.history, book.prices)
    other.app("shop")
    for number in range(60):
        book.run("shop", node("draft", 2000, 50, prompt_size=8000, prefix_hash=f"p{number}"), at=NOON - number)
    assert look(book).advice == ()


def test_output_that_nobody_uses(book: Book) -> None:
    graph(book, label=["draft"], draft=["start"])
    fill(
        book,
        node("draft", 500, 1000, output_size=4000),
        {**node("label"), "type": "code", "output_size": 40, "tokens": 0, "model": ""},
    )
    one = only(look(book))
    rate = book.prices.rate(OPENAI, "gpt-4o-mini", int(NOON // DAY))
    assert rate is not None
    assert rate.output is not None
    assert one.rule == "unused_output"
    assert one.saving is not None
    assert one.saving.low == 0
    assert one.saving.high == 990 * 1000 * rate.output
    assert one.evidence["read by"] == "Label"


def test_output_for_the_user_is_left_alone(book: Book) -> None:
    graph(book, end=["draft"])
    fill(
        book, node("draft", 500, 1000, output_size=4000), {**node("end"), "type": "end", "output_size": 40, "model": ""}
    )
    assert look(book).advice == ()


def test_retrieval_that_fills_the_prompt_and_repeats_itself(book: Book) -> None:
    graph(book, draft=["search"])
    runs = fill(
        book,
        {**node("search"), "type": "knowledge-retrieval", "output_size": 6000, "tokens": 0, "model": ""},
        node("draft", 2000, 50, prompt_size=8000),
    )
    one = only(look(book))
    rate = book.prices.rate(OPENAI, "gpt-4o-mini", int(NOON // DAY))
    assert rate is not None
    assert one.saving is not None
    assert one.rule == "retrieval"
    assert one.saving.low == 0
    assert one.saving.high == Decimal(750) * 1000 * rate.input  # half of the 1,500 tokens that it fills
    assert one.evidence["repeated"] == "not known"
    answer = json.dumps({"result": [{"content": "the same text"}, {"content": "the  same text"}]})
    content = [(CONTEXT, "shop", "node", f"{run}-0", "", answer, "") for run in runs]
    book.history.write(CONTEXT, "shop", "logs", Batch(rows={}, content=content))
    known = only(look(book))
    assert known.evidence["repeated"] == 0.5
    assert known.saving is not None
    assert known.saving.low == known.saving.high == Decimal(750) * 1000 * rate.input


def test_chunks_that_barely_fit_settings_and_documents_that_stand_twice(book: Book) -> None:
    graph(book, draft=["search"])
    runs = fill(
        book,
        {**node("search"), "type": "knowledge-retrieval", "output_size": 2000, "tokens": 0, "model": ""},
        node("draft", 2000, 50, prompt_size=8000),
    )
    assert look(book).advice == ()  # a quarter of the prompt: no matter
    chunks = [("best " * 20, 0.9, "a"), ("weak one " * 10, 0.3, "b"), ("weak two " * 10, 0.2, "b")]
    answer = {"result": [{"content": text, "metadata": {"score": score, "document_name": name}}
                         for text, score, name in chunks]}  # fmt: skip
    content = [(CONTEXT, "shop", "node", f"{run}-0", "", json.dumps(answer), "") for run in runs]
    book.history.write(CONTEXT, "shop", "logs", Batch(rows={}, content=content))
    one = only(look(book))
    assert one.evidence["barely fits"] == pytest.approx(178 / 277, abs=1e-3)
    assert one.evidence["chunks a call"] == 3
    assert "Switch a score threshold on" in one.steps[0]
    dataset = DatasetFacts(id="d", name="Prices", documents=9, chunk=500, twice=(("new.md", "old.md"),), compared=2)
    known = Retrieval(top_k=8, threshold=0.5, reranks=True, datasets=(dataset,))
    (app,) = find_apps(book.history, CONTEXT, ["shop"])
    told = only(advise(
        book.history, CONTEXT, app, book.prices, since=NOON - DAY, until=NOON + DAY, retrievals={"search": known}
    ))  # fmt: skip
    assert (told.evidence["top_k"], told.evidence["score threshold"]) == (8, 0.5)
    assert told.evidence["dataset Prices"] == "9 documents, cut at 500 tokens, 2 compared"
    assert "1 text stands in its datasets twice" in told.title
    assert told.steps[0].startswith("Lower top_k from 8")
    assert told.steps[-1] == "Remove one of each: new.md = old.md"
    assert told.saving is not None
    assert told.saving.low == 0 < told.saving.high


def test_too_few_calls_and_unpriced_models(book: Book) -> None:
    fill(book, node("draft", 2000, 50, prompt_size=8000, prefix_hash="same"), runs=5)
    assert look(book).advice == ()
    fill(book, node("own", 2000, 50, prompt_size=8000, prefix_hash="same", model="my-own", provider="acme/a/a"))
    assert only(look(book)).saving is None


def test_a_part_of_the_runs_counts_for_all(book: Book) -> None:
    fill(book, node("draft", 2000, 50, prompt_size=8000, prefix_hash="same"), chance=0.1)
    whole = only(look(book)).saving
    assert whole is not None
    rate = book.prices.rate(OPENAI, "gpt-4o-mini", int(NOON // DAY))
    assert rate is not None
    assert rate.cached is not None
    assert whole.high == 2000 * 1000 * (rate.input - rate.cached)


def test_the_command(cli: Cli, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(RULES.names()) == {"retrieval", "stable_prefix", "unused_output"}
    monkeypatch.setenv("DIFY_BASE_URL", "http://emu.test")
    refused = cli("cost", "advise", "nobody")
    assert refused.code == 2
    assert "nobody" in refused.err
