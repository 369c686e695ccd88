"""``History``: the file beside the ledger. What a stretch of time held is written with the stretch, or not at all.

One transaction holds the rows of a window and the note that it is covered, so a process killed anywhere leaves no gap
that passes for covered. A window read twice changes nothing but what moved on (a run that was running).
"""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from difyops.history.tables import COLUMNS, LAYOUT
from difyops.ledger.database import connect, faults, immediate

if TYPE_CHECKING:
    from difyops.history.rows import Row

FILE = "history.sqlite3"
OPEN = ("running", "paused")
_ALL_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of time of one feed, both ends included, with how many rows it held and the calls it took."""

    t0: float
    t1: float
    rows: int = 0
    calls: int = 0
    read_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows that are written together: by table, the content kept, and the stretch that they cover, if they do."""

    rows: dict[str, list[Row]]
    content: Sequence[Row] = ()
    stretch: Stretch | None = None


class History:
    """The open history of all contexts. Safe for several threads and processes; also a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._turn = threading.RLock()

    @classmethod
    def open(cls, state: Path) -> History:
        """Open the history in the state folder; it is made when missing (0600).

        Raises:
            StoreError: it is damaged, another program's, a newer difyops's, or cannot be written. It is never deleted.
        """
        path = state / FILE
        return cls(path, connect(path, LAYOUT))

    @property
    def packs(self) -> Path:
        """Return the folder of packed months."""
        return self.path.parent / "history"

    @property
    def salt(self) -> bytes:
        """Return the salt of the hashes, made at first use."""
        with self.changing() as connection:
            connection.execute("INSERT OR IGNORE INTO fact VALUES ('salt', ?)", [secrets.token_hex(16)])
        return bytes.fromhex(str(self.one("SELECT value FROM fact WHERE name = 'salt'")))

    def write(self, context: str, app: str, feed: str, batch: Batch) -> None:
        """Write the rows of a batch and, if it covers a stretch, that it does: all or nothing."""
        with self.changing():
            self.write_into(context, app, feed, batch)

    def write_into(self, context: str, app: str, feed: str, batch: Batch) -> None:
        """Write a batch inside a block of ``changing``."""
        connection = self._connection
        with faults(self.path):
            for table, rows in batch.rows.items():
                marks = ", ".join("?" * len(COLUMNS[table]))
                connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
            connection.executemany("INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?, ?, ?, ?)", batch.content)
            if batch.stretch is not None:
                it = batch.stretch
                row = [context, app, feed, it.t0, it.t1, it.rows, it.calls, it.read_at]
                connection.execute("INSERT INTO covered VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def stretches(self, context: str, app: str, feed: str) -> list[Stretch]:
        """Return what is covered of one feed, in order; stretches that meet or overlap are joined."""
        rows = self.all(
            "SELECT t0, t1, rows, calls, read_at FROM covered WHERE context = ? AND app = ? AND feed = ? ORDER BY t0",
            [context, app, feed],
        )
        joined: list[Stretch] = []
        for t0, t1, count, calls, read_at in rows:
            last = joined[-1] if joined else None
            if last is not None and t0 <= last.t1:
                joined[-1] = Stretch(
                    t0=last.t0, t1=max(last.t1, t1), rows=last.rows + count, calls=last.calls + calls,
                    read_at=max(last.read_at, read_at),
                )  # fmt: skip
            else:
                joined.append(Stretch(t0=t0, t1=t1, rows=count, calls=calls, read_at=read_at))
        return joined

    def uncover(self, context: str, app: str, feed: str, *, after: float) -> int:
        """Forget that anything later than ``after`` is covered (the server's clock went back); return how many."""
        with self.changing() as connection:
            given = [context, app, feed, after]
            where = "context = ? AND app = ? AND feed = ? AND t1 > ?"
            found = connection.execute(f"UPDATE covered SET t1 = {after!r} WHERE t0 < {after!r} AND {where}", given)
            gone = connection.execute(f"DELETE FROM covered WHERE {where}", given)
            return int(found.rowcount + gone.rowcount)

    def note_app(self, context: str, app: str, *, name: str, mode: str, gone: float | None = None) -> None:
        """Write what an app is called, and since when it is gone."""
        with self.changing() as connection:
            connection.execute("INSERT OR REPLACE INTO app VALUES (?, ?, ?, ?, ?)", [context, app, name, mode, gone])

    def sample_into(self, context: str, app: str, chosen: Iterable[tuple[str, str, float, float]]) -> None:
        """Write, inside a block of ``changing``, runs whose node records were read: (run, reason, chance, when)."""
        rows = [(context, app, *item) for item in chosen]
        with faults(self.path):
            self._connection.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?, ?, ?)", rows)

    def note_conversation(self, context: str, app: str, conversation: str, changed: float) -> None:
        """Write up to which change a conversation was read."""
        with self.changing() as connection:
            row = [context, app, conversation, changed]
            connection.execute("INSERT OR REPLACE INTO conversation VALUES (?, ?, ?, ?)", row)

    def note_graph(self, context: str, app: str, version: str, shape: dict[str, Any]) -> None:
        """Write the shape of a version's graph."""
        with self.changing() as connection:
            row = [context, app, version, json.dumps(shape, separators=(",", ":"))]
            connection.execute("INSERT OR REPLACE INTO graph VALUES (?, ?, ?, ?)", row)

    def graph(self, context: str, app: str, version: str) -> dict[str, Any] | None:
        """Return the shape of a version's graph."""
        text = self.one(
            "SELECT shape FROM graph WHERE context = ? AND app = ? AND version = ?", [context, app, version]
        )
        return dict(json.loads(text)) if text else None

    def begin_visit(self, context: str, source: str, began: float) -> int:
        """Write that a sync began; return its number."""
        with self.changing() as connection:
            row = [context, source, began]
            return int(
                connection.execute(
                    "INSERT INTO visit (context, source, began, calls) VALUES (?, ?, ?, 0)", row
                ).lastrowid
                or 0
            )

    def end_visit(self, number: int, ended: float, calls: int, stopped: str) -> None:
        """Write how a sync ended."""
        with self.changing() as connection:
            connection.execute(
                "UPDATE visit SET ended = ?, calls = ?, stopped = ? WHERE id = ?", [ended, calls, stopped, number]
            )

    def forget(self, context: str, app: str | None, *, before: float | None = None) -> dict[str, int]:
        """Delete what is kept of a context, of one app, or what began before a moment; return rows by table.

        Packed months go when they lie before it as a whole.
        """
        with self.changing() as connection:
            gone = _forgotten(connection, context, app, before)
            files = _unpacked(connection, context, app, before)
        for file in files:
            path = self.packs / file
            shutil.rmtree(path if path.is_dir() else path.parent, ignore_errors=True)
        return gone

    def holds(self, context: str, app: str | None, *, before: float | None = None) -> dict[str, int]:
        """Return what ``forget`` would delete; nothing is."""
        with self._turn, faults(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                return _forgotten(self._connection, context, app, before)
            finally:
                self._connection.execute("ROLLBACK")

    def all(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a query."""
        with self._turn, faults(self.path):
            return self._connection.execute(query, values).fetchall()

    def one(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the first value of the first row, ``None`` when there is none."""
        rows = self.all(query, values)
        return rows[0][0] if rows else None

    def each(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the rows of a query without holding them all."""
        with self._turn, faults(self.path):
            cursor = self._connection.execute(query, values)
            while rows := cursor.fetchmany(_ALL_AT_ONCE):
                yield from rows

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock for a block; commit at its end, or take everything back."""
        with self._turn, faults(self.path), immediate(self._connection):
            yield self._connection

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        with self._turn:
            self._connection.close()

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _forgotten(
    connection: sqlite3.Connection, context: str, app: str | None, before: float | None
) -> dict[str, int]:  # fmt: skip
    where, given = "context = ?" + (" AND app = ?" if app else ""), [context, *([app] if app else [])]
    runs = where + ("" if before is None else f" AND started < {before!r}")
    inside = f"{where} AND run IN (SELECT id FROM run WHERE {runs})"
    steps: list[tuple[str, str, list[str]]] = [
        ("node", inside, [*given, *given]),
        ("sample", inside, [*given, *given]),
        ("message", runs, given),
        ("run", runs, given),
        ("covered", where if before is None else f"{where} AND t1 <= {before!r}", given),
    ]
    if before is None:
        steps += [(name, where, given) for name in ("content", "conversation", "graph")]
    else:
        left = "id NOT IN (SELECT id FROM run UNION SELECT id FROM node UNION SELECT id FROM message)"
        steps.append(("content", f"{where} AND {left}", given))
        connection.execute(
            f"UPDATE covered SET t0 = {before!r} WHERE {where} AND t0 < {before!r} AND t1 > {before!r}", given
        )
    gone = {table: connection.execute(f"DELETE FROM {table} WHERE {test}", it).rowcount for table, test, it in steps}
    if before is None:
        connection.execute(f"DELETE FROM app WHERE context = ?{' AND id = ?' if app else ''}", given)
    return gone


def _unpacked(connection: sqlite3.Connection, context: str, app: str | None, before: float | None) -> list[str]:
    test, given = "context = ?" + (" AND app = ?" if app else ""), [context, *([app] if app else [])]
    if before is not None:
        test, given = test + " AND month < strftime('%Y-%m', ?, 'unixepoch')", [*given, str(before)]
    files = [row[0] for row in connection.execute(f"SELECT file FROM pack WHERE {test}", given)]
    connection.execute(f"DELETE FROM pack WHERE {test}", given)
    return files
