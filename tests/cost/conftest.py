"""A history of known runs, written as a sync writes it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from difyops.cost.leaves import Leaves
from difyops.cost.prices import Prices, load_prices
from difyops.cost.runs import PricedQuestion
from difyops.cost.spending import Spending
from difyops.cost.summary import summarise
from difyops.history.apps import find_apps
from difyops.history.rows import Row
from difyops.history.store import Batch, History, Stretch
from difyops.history.tables import NODE, RUN

CONTEXT = "emu"
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
DAY = 86400.0
OPENAI = "langgenius/openai/openai"
_EMPTY: dict[str, Any] = {
    "context": CONTEXT, "source": "app-run", "status": "succeeded", "elapsed": 1.0, "version": "v1", "tokens": 0,
    "steps": 1, "exceptions": 0, "error_kind": "", "user": "", "conversation": "", "message": "", "idx": 1,
    "type": "llm", "attempt": 0, "container": "", "round": None, "price": "", "currency": "", "prompt_tokens": None,
    "completion_tokens": None, "provider": "", "model": "", "first_token": None, "finish_reason": "",
    "input_hash": "", "input_size": 0, "output_hash": "", "output_size": 0, "prompt_hash": "", "prompt_size": 0,
    "prefix_hash": "",
}  # fmt: skip


def node(name: str = "draft", prompt: int = 0, completion: int = 0, price: str = "", **fields: Any) -> dict[str, Any]:
    """Return a node row; ``model=""`` for one that tells none."""
    tokens = fields.pop("tokens", prompt + completion)
    told = {"prompt_tokens": prompt, "completion_tokens": completion} if prompt or completion else {}
    known = {"provider": OPENAI, "model": "gpt-4o-mini", "currency": "USD" if price else "", "title": name.title()}
    return {**known, **told, "node": name, "tokens": tokens, "price": price, **fields}


@dataclass
class Book:
    """Writes runs into a history and asks what they cost."""

    history: History
    prices: Prices
    numbers: Iterator[int] = field(default_factory=itertools.count)
    context: str = CONTEXT

    def app(self, name: str, mode: str = "workflow", gone: float | None = None) -> None:
        self.history.note_app(self.context, name, name=name, mode=mode, gone=gone)

    def run(self, app: str, *nodes: dict[str, Any], at: float = NOON, chance: float | None = 1.0, **fields: Any) -> str:
        """Write a run; ``chance=None`` leaves its nodes unread."""
        run = str(fields.pop("id", f"run-{next(self.numbers):06}"))
        tokens = fields.pop("tokens", sum(row["tokens"] for row in nodes))
        row = self._row(RUN, {"app": app, "id": run, "started": at, "logged": at, "tokens": tokens, **fields})
        rows = [self._node(app, run, at, number, item) for number, item in enumerate(nodes)]
        with self.history.changing():
            read = {"node": rows} if chance is not None else {}
            self.history.write_into(self.context, app, "logs", Batch(rows={"run": [row], **read}))
            if chance is not None:
                self.history.sample_into(self.context, app, [(run, "drawn", chance, at)])
        return run

    def _node(self, app: str, run: str, at: float, number: int, item: dict[str, Any]) -> Row:
        place = {"app": app, "run": run, "id": f"{run}-{number}", "idx": number, "started": at, "finished": at + 1}
        return self._row(NODE, {**place, **item})

    def _row(self, columns: tuple[str, ...], values: dict[str, Any]) -> Row:
        known = {**_EMPTY, "context": self.context, "finished": values.get("started", NOON) + 1, **values}
        return tuple(known[name] for name in columns)

    def cover(self, app: str, since: float, until: float) -> None:
        self.history.write(self.context, app, "logs", Batch(rows={}, stretch=Stretch(t0=since, t1=until)))

    def question(self, *apps: str, since: float = NOON - DAY, until: float = NOON + DAY) -> PricedQuestion:
        found = tuple(find_apps(self.history, self.context, apps or ("all",)))
        return PricedQuestion(context=self.context, apps=found, since=since, until=until)

    def cost(self, *apps: str, since: float = NOON - DAY, until: float = NOON + DAY, **fields: Any) -> Spending:
        with Leaves(self.history, self.prices) as leaves:
            question = self.question(*apps, since=since, until=until)
            return summarise(self.history, leaves, question, fields.pop("prices", self.prices), **fields)


@pytest.fixture(scope="session")
def prices() -> Prices:
    return load_prices()


@pytest.fixture
def book(tmp_path: Path, prices: Prices) -> Iterator[Book]:
    with History.open(tmp_path / "state") as history:
        made = Book(history, prices)
        made.app("shop")
        yield made
