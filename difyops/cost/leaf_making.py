"""Making the leaves of one app out of its node records, and making them anew only where the history moved on."""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from difyops.cost.leaf_rows import COLUMNS, TOOL, LeafKind, NodeRow, sums
from difyops.cost.prices import Prices
from difyops.history import archive
from difyops.history.apps import PRODUCTION
from difyops.history.store import History

DAY = 86400
SUMS = ("calls", "tokens", "prompt", "completion", "unsplit", "silent", "price")
_MANY = 500
_END_OF_TIME = 253370764800.0
_KIND = ("app", "node", "type", "version", "source", "provider", "model", "currency")


class LeafMaking:
    """One app's leaves while they are made, inside a transaction."""

    def __init__(self, connection: Any, history: History, prices: Prices, context: str, app: str) -> None:
        self._write, self._history, self._prices = connection, history, prices
        self._context, self._app = context, app
        connection.execute("INSERT OR IGNORE INTO app (context, app, mark) VALUES (?, ?, '')", [context, app])
        self._number: int = connection.execute(
            "SELECT id FROM app WHERE context = ? AND app = ?", [context, app]
        ).fetchone()[0]
        self._days: set[int] = set()
        self._kinds: dict[LeafKind, int] = {}
        self._titles: dict[str, str] = {}

    def make(self, mark: str) -> None:
        """Make what is missing or changed, take away what is gone, and write from what it was made."""
        table = mark.rpartition(":")[2]
        before = self._write.execute("SELECT mark FROM app WHERE id = ?", [self._number]).fetchone()[0]
        if before and before.rpartition(":")[2] != table:
            self._forget_all()  # another price list has other slots
        wanted = self._sampled()
        known = {
            run: (number, read_at, chance, started)
            for run, number, read_at, chance, started in self._write.execute(
                "SELECT run, id, read_at, chance, started FROM read WHERE app = ?", [self._number]
            )
        }
        again = [run for run, row in known.items() if run not in wanted or wanted[run][0] != row[1]]
        self._remove([(known[run][0], known[run][3]) for run in again])
        gone = set(again)
        for run, (_, chance) in wanted.items():
            if run in known and run not in gone and known[run][2] != chance:
                self._write.execute("UPDATE read SET chance = ? WHERE id = ?", [chance, known[run][0]])
                self._days.add(int(known[run][3] // DAY))
        new = sorted(run for run in wanted if run not in known or run in gone)
        for start in range(0, len(new), _MANY):
            self._add(new[start : start + _MANY], wanted)
        self._add_up()
        self._write.execute("UPDATE app SET mark = ? WHERE id = ?", [mark, self._number])

    def _forget_all(self) -> None:
        for table in ("leaf", "daily", "read", "kind"):
            self._write.execute(f"DELETE FROM {table} WHERE app = ?", [self._number])

    def _sampled(self) -> dict[str, tuple[float, float]]:
        rows = self._history.all(
            "SELECT run, coalesce(read_at, 0), coalesce(chance, 0) FROM sample WHERE context = ? AND app = ?"
            " AND reason <> 'gone'", [self._context, self._app],
        )  # fmt: skip
        return {run: (read_at, chance) for run, read_at, chance in rows}

    def _remove(self, runs: Iterable[tuple[int, float]]) -> None:
        for number, started in runs:
            self._write.execute("DELETE FROM leaf WHERE app = ? AND run = ?", [self._number, number])
            self._write.execute("DELETE FROM read WHERE id = ?", [number])
            self._days.add(int(started // DAY))

    def _add(self, ids: Sequence[str], wanted: dict[str, tuple[float, float]]) -> None:
        marks = ", ".join("?" * len(ids))
        given = [self._context, self._app, *ids]
        columns = "id, started, tokens, version, source, user"
        runs = self._rows("run", columns, f"context = ? AND app = ? AND id IN ({marks})", given)
        rows = self._rows("node", COLUMNS, f"context = ? AND app = ? AND run IN ({marks})", given)
        nodes = {
            run: [NodeRow(*row) for row in group]
            for run, group in itertools.groupby(sorted(rows, key=lambda row: row[0]), key=lambda row: row[0])
        }
        for run, started, tokens, version, source, user in runs:
            if source in PRODUCTION:
                self._add_run(run, started, (tokens, version, source, user), wanted[run], nodes.get(run, []))

    def _rows(self, table: str, columns: str, test: str, given: Sequence[Any]) -> Iterator[Any]:
        place = archive.ArchivePlace(context=self._context, app=self._app, since=0.0, until=_END_OF_TIME)
        return archive.both(self._history, table, columns, test, given, place)

    def _add_run(
        self, run: str, started: float, rest: tuple[int, str, str, str], sampled: tuple[float, float],
        nodes: Sequence[NodeRow],
    ) -> None:  # fmt: skip
        tokens, version, source, user = rest
        number = self._write.execute(
            "INSERT INTO read (app, run, read_at, chance, started, tokens, version, source, user)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [self._number, run, *sampled, started, tokens or 0, version or "", source, user or ""],
        ).lastrowid
        day = int(started // DAY)
        self._days.add(day)
        for (kind, slot), total in sums(nodes, version=version or "", source=source, prices=self._prices).items():
            row = [
                self._number, day, self._kind(kind), slot, number, total.began, total.ended, total.calls, total.tokens,
                total.prompt, total.completion, total.unsplit, total.silent, total.price,
            ]  # fmt: skip
            self._write.execute(f"INSERT INTO leaf VALUES ({', '.join('?' * len(row))})", row)
        self._titles.update((node.node, node.title) for node in nodes if node.tokens and node.title)

    def _kind(self, kind: LeafKind) -> int:
        if kind not in self._kinds:
            row = [
                self._number, kind.node, kind.type, kind.version, kind.source, kind.provider, kind.model, kind.currency
            ]  # fmt: skip
            marks, tests = ", ".join("?" * len(row)), " AND ".join(f"{name} = ?" for name in _KIND)
            self._write.execute(f"INSERT OR IGNORE INTO kind ({', '.join(_KIND)}) VALUES ({marks})", row)
            self._kinds[kind] = self._write.execute(f"SELECT id FROM kind WHERE {tests}", row).fetchone()[0]
        return self._kinds[kind]

    def _add_up(self) -> None:
        """Add up anew the days on which something changed."""
        totals = ", ".join(f"sum(leaf.{name})" for name in SUMS)
        for day in sorted(self._days):
            self._write.execute("DELETE FROM daily WHERE app = ? AND day = ?", [self._number, day])
            self._write.execute(
                f"INSERT INTO daily SELECT leaf.app, leaf.day, leaf.kind, leaf.slot, {totals} FROM leaf"
                " CROSS JOIN read ON read.id = leaf.run CROSS JOIN kind ON kind.id = leaf.kind"
                " WHERE leaf.app = ? AND leaf.day = ? AND chance >= 1 AND kind.type <> ? GROUP BY leaf.kind, leaf.slot",
                [self._number, day, TOOL],
            )
        rows = [(self._number, node, title) for node, title in self._titles.items()]
        self._write.executemany("INSERT OR REPLACE INTO title VALUES (?, ?, ?)", rows)
