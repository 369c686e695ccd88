"""The leaves of a context, made once and kept: what a question about money reads instead of a million node rows.

``cost.sqlite3`` in the state folder is derived from the history and nothing else: deleted, it is made again. For each
app a mark says from which node records it was made; where the history moved on, only runs that are new, were read again
or are gone are made anew. ``daily`` adds up, by day, what the runs read with certainty cost; a run that stands for
others (chance below 1) stays by itself, for its weight changes with every sync.
"""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from difyops.cost.leaf_making import DAY, SUMS, LeafMaking
from difyops.cost.leaf_rows import TOOL, LeafKind
from difyops.cost.prices import Prices
from difyops.history.apps import KeptApp
from difyops.history.store import History
from difyops.ledger.database import Layout, connect, faults, immediate

FILE = "cost.sqlite3"
_SUMS = ", ".join(SUMS)
_ONES = ", ".join(f"leaf.{name}" for name in SUMS)
_TOTALS = ", ".join(f"sum(leaf.{name})" for name in SUMS)
_LAYOUT = Layout(
    word="cost",
    mark=0x44464F43,  # "DFOC"
    version=1,
    synchronous="OFF",  # derived: what a power cut takes is made again
    tables=(
        "CREATE TABLE app (id INTEGER PRIMARY KEY, context TEXT, app TEXT, mark TEXT, UNIQUE (context, app))",
        "CREATE TABLE kind (id INTEGER PRIMARY KEY, app INTEGER, node TEXT, type TEXT, version TEXT, source TEXT,"
        " provider TEXT, model TEXT, currency TEXT,"
        " UNIQUE (app, node, type, version, source, provider, model, currency))",
        "CREATE TABLE title (app INTEGER, node TEXT, title TEXT, PRIMARY KEY (app, node)) WITHOUT ROWID",
        "CREATE TABLE read (id INTEGER PRIMARY KEY, app INTEGER, run TEXT, read_at REAL, chance REAL, started REAL,"
        " tokens INTEGER, version TEXT, source TEXT, user TEXT, UNIQUE (app, run))",
        # with all that counting needs, and the few that are drawn by themselves: neither reads the rows
        "CREATE INDEX read_started ON read (app, started, chance, version, source, tokens)",
        "CREATE INDEX read_drawn ON read (app, started) WHERE chance > 0 AND chance < 1",
        "CREATE TABLE leaf (app INTEGER, day INTEGER, kind INTEGER, slot INTEGER, run INTEGER, began REAL, ended REAL,"
        " calls INTEGER, tokens INTEGER, prompt INTEGER, completion INTEGER, unsplit INTEGER, silent INTEGER,"
        " price INTEGER, PRIMARY KEY (app, day, kind, slot, run)) WITHOUT ROWID",
        "CREATE INDEX leaf_run ON leaf (app, run)",
        "CREATE TABLE daily (app INTEGER, day INTEGER, kind INTEGER, slot INTEGER, calls INTEGER, tokens INTEGER,"
        " prompt INTEGER, completion INTEGER, unsplit INTEGER, silent INTEGER, price INTEGER,"
        " PRIMARY KEY (app, day, kind, slot)) WITHOUT ROWID",
    ),
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Leaves that were added up: of one kind, on one day, in one slot of the price list; ``run`` when of one run."""

    kind: int
    day: int
    slot: int
    calls: int
    tokens: int
    prompt: int
    completion: int
    unsplit: int
    silent: int
    price: int
    run: int = 0
    began: float | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class ReadRun:
    """A run whose node records were read, with its chance of that."""

    id: int
    run: str
    chance: float
    started: float
    tokens: int
    version: str
    source: str
    user: str


class Leaves:
    """The open file. Also a context manager."""

    def __init__(self, history: History, prices: Prices) -> None:
        self.path = history.path.with_name(FILE)
        self._history, self._prices = history, prices
        self._connection = connect(self.path, _LAYOUT)

    def number(self, context: str, app: KeptApp) -> int:
        """Bring the leaves of an app up to date with the history; return its number here."""
        mark = self._mark(context, app.id)
        with faults(self.path):
            row = self._one("SELECT id, mark FROM app WHERE context = ? AND app = ?", [context, app.id])
            if row is not None and row[1] == mark:
                return int(row[0])
            with immediate(self._connection):
                # looked at again under the lock: another process may have been first, and the history moved on
                LeafMaking(self._connection, self._history, self._prices, context, app.id).make(
                    self._mark(context, app.id)
                )
                return int(self._one("SELECT id FROM app WHERE context = ? AND app = ?", [context, app.id])[0])

    def _mark(self, context: str, app: str) -> str:
        count, read, chance = self._history.all(
            "SELECT count(*), total(read_at), total(chance) FROM sample WHERE context = ? AND app = ?"
            " AND reason <> 'gone'", [context, app],
        )[0]  # fmt: skip
        packs = self._history.one("SELECT count(*) FROM pack WHERE context = ? AND app = ?", [context, app])
        table = zlib.crc32(repr((self._prices.table["from"], self._prices.thresholds)).encode())
        return f"{count}:{read!r}:{chance!r}:{packs}:{table}"

    def kinds(self, app: int) -> dict[int, LeafKind]:
        """Return the kinds of an app by number."""
        columns = "id, node, type, version, source, provider, model, currency"
        rows = self._all(f"SELECT {columns} FROM kind WHERE app = ?", [app])
        return {row[0]: LeafKind(*row[1:]) for row in rows}

    def titles(self, app: int) -> dict[str, str]:
        """Return what people call the nodes of an app."""
        return dict(self._all("SELECT node, title FROM title WHERE app = ?", [app]))

    def certain(self, app: int, since: float, until: float) -> Iterator[Leaf]:
        """Yield what the runs read with certainty add up to, tools left out: whole days, then the days at the ends."""
        first, last = -(-since // DAY), until // DAY
        if first < last:
            query = f"SELECT kind, day, slot, {_SUMS} FROM daily WHERE app = ? AND day >= ? AND day < ?"
            yield from (Leaf(*row) for row in self._each(query, [app, first, last]))
        ends = [(since, until)] if first >= last else [(since, first * DAY), (last * DAY, until)]
        for low, high in ends:
            query = (
                f"SELECT leaf.kind, day, slot, {_TOTALS} FROM leaf"
                " CROSS JOIN read ON read.id = leaf.run CROSS JOIN kind ON kind.id = leaf.kind"
                " WHERE leaf.app = ? AND day >= ? AND day <= ?"
                " AND read.started >= ? AND read.started < ? AND chance >= 1 AND kind.type <> ?"
                " GROUP BY leaf.kind, day, slot"
            )
            given = [app, low // DAY, high // DAY, low, high, TOOL]
            yield from (Leaf(*row) for row in self._each(query, given))

    def drawn(self, app: int, since: float, until: float) -> Iterator[Leaf]:
        """Yield the leaves of drawn runs, tools left out, run by run."""
        query = (
            f"SELECT leaf.kind, leaf.day, leaf.slot, {_ONES}, leaf.run FROM read CROSS JOIN leaf INDEXED BY leaf_run"
            " ON leaf.app = read.app AND leaf.run = read.id CROSS JOIN kind ON kind.id = leaf.kind WHERE read.app = ?"
            f" AND read.started >= ? AND read.started < ? AND chance > 0 AND chance < 1 AND kind.type <> '{TOOL}'"
        )
        yield from (Leaf(*row) for row in self._each(query, [app, since, until]))

    def every(self, app: int, since: float, until: float) -> Iterator[Leaf]:
        """Yield all leaves of the days of a time, tools left out, run by run: also of runs outside of it."""
        tools = {row[0] for row in self._all("SELECT id FROM kind WHERE app = ? AND type = ?", [app, TOOL])}
        query = f"SELECT kind, day, slot, {_SUMS}, run FROM leaf WHERE app = ? AND day >= ? AND day <= ?"
        for row in self._each(query, [app, since // DAY, until // DAY]):
            if row[0] not in tools:
                yield Leaf(*row)

    def tools(self, app: int, since: float, until: float) -> Iterator[Leaf]:
        """Yield the calls of tools that used tokens, each by itself."""
        kinds = [row[0] for row in self._all("SELECT id FROM kind WHERE app = ? AND type = ?", [app, TOOL])]
        if not kinds:
            return
        query = (
            f"SELECT leaf.kind, leaf.day, leaf.slot, {_ONES}, leaf.run, leaf.began, leaf.ended FROM leaf"
            " CROSS JOIN read ON read.id = leaf.run WHERE leaf.app = ? AND leaf.day = ? AND leaf.kind = ?"
            " AND read.started >= ? AND read.started < ? AND read.chance > 0"
        )
        for day in range(int(since // DAY), int(until // DAY) + 1):
            for kind in kinds:
                yield from (Leaf(*row) for row in self._each(query, [app, day, kind, since, until]))

    def read(self, app: int, since: float, until: float, *, drawn: bool = False) -> Iterator[ReadRun]:
        """Yield the runs that were read with a known chance; with ``drawn`` only those that stand for others."""
        query = (
            "SELECT id, run, chance, started, tokens, version, source, user FROM read WHERE app = ? AND started >= ?"
            f" AND started < ? AND chance > 0{' AND chance < 1' if drawn else ''}"
        )
        yield from (ReadRun(*row) for row in self._each(query, [app, since, until]))

    def certain_runs(self, app: int, since: float, until: float) -> list[tuple[str, str, int, int, int]]:
        """Return version, source, day, how many runs were read with certainty, and their tokens."""
        return self._all(
            f"SELECT version, source, CAST(started / {DAY} AS INTEGER), count(*), sum(tokens) FROM read WHERE app = ?"
            " AND started >= ? AND started < ? AND chance >= 1 GROUP BY 1, 2, 3", [app, since, until],
        )  # fmt: skip

    def _all(self, query: str, values: Sequence[Any]) -> list[Any]:
        with faults(self.path):
            return self._connection.execute(query, values).fetchall()

    def _one(self, query: str, values: Sequence[Any]) -> Any:
        return next(iter(self._all(query, values)), None)

    def _each(self, query: str, values: Sequence[Any]) -> Iterator[Any]:
        with faults(self.path):
            yield from self._connection.execute(query, values)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Leaves:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
