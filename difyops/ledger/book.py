"""``Ledger``: appending and reading. It knows the two tables' columns; the file is ``database``'s business."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from difyops import dry_run
from difyops.errors import StoreError
from difyops.ledger import anchor
from difyops.ledger.anchor import Anchor
from difyops.ledger.database import connect, faults, immediate, one_view
from difyops.ledger.records import GENESIS, AuditEntry, Event, as_json, link, moment, plain, stamp

_REPAIR = "Somebody edited the file by hand: move it away with its -wal and -shm; the next run starts a new one."


_EVENTS_APART = 256  # events between two anchors: one costs two flushes of the disk


class Ledger:
    """An open ledger. Safe for several threads and processes at once; also a context manager.

    Every method raises ``StoreError`` when the file is damaged, locked for too long, or the disk is full; what was
    acknowledged before stays.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._turn = threading.Lock()
        self._former: dict[str, str] = {}
        self._anchored = 0  # the number of events at which the anchor was last moved

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open the ledger file ``path``; it is made when missing (0600, its folder 0700).

        Raises:
            StoreError: it is damaged, another program's, a newer difyops's, or cannot be written. It is never deleted.
        """
        return cls(path, connect(path))

    def takes_over(self, context: str, former: str) -> None:
        """Let ``context`` see what was written when it was called ``former``."""
        self._former[context] = plain(former).replace("'", "''")

    def _of_context(self, context: str | None) -> dict[str, str | None]:
        former = self._former.get(context or "")
        return {"context = ?": context} if former is None else {f"context IN (?, '{former}')": context}

    def append(self, event: Event) -> int:
        """Write one event and return its number; it is on disk when this returns."""
        return self.append_all([event])[0]

    def append_all(self, events: Iterable[Event]) -> list[int]:
        """Write several events, all or none, with one flush; return their numbers."""
        rows = [(stamp(e.when), plain(e.kind), plain(e.subject), plain(e.context), as_json(e.data)) for e in events]
        statement = 'INSERT INTO event ("when", kind, subject, context, data) VALUES (?, ?, ?, ?, ?)'
        with self._transaction() as connection:
            numbers = [connection.execute(statement, row).lastrowid or 0 for row in rows]
        if numbers and numbers[-1] >= self._anchored + (_EVENTS_APART if self._anchored else 0):
            self._anchored = numbers[-1]
            self._move_anchor()
        return numbers

    def events(
        self,
        kind: str | None = None,
        since: datetime | None = None,
        subject: str | None = None,
        *,
        context: str | None = None,
        limit: int = 1000,
    ) -> list[Event]:
        """Return the newest ``limit`` events that match everything given, oldest first.

        A ``kind`` that ends in ``.*`` takes the whole family (``rotation.*``); ``since`` is inclusive.
        """
        tests: dict[str, str | None] = {'"when" >= ?': stamp(since) if since else None}
        tests |= {"subject = ?": subject} | self._of_context(context)
        if kind and kind.endswith(".*"):
            tests |= {"kind >= ?": kind[:-1], "kind < ?": kind[:-2] + "/"}  # "/" is the character after "."
        else:
            tests["kind = ?"] = kind
        return [
            Event(id=number, when=moment(when), kind=what, subject=whom, context=where, data=data)
            for number, when, what, whom, where, data in self._newest("event", tests, limit)
        ]

    def audit(self, entry: AuditEntry) -> int:
        """Write one line of the audit trail, chained to the line before; return its number."""
        said = map(plain, (entry.actor, entry.context, entry.action, entry.subject, entry.outcome))
        row = [stamp(entry.when), *said, as_json(entry.data)]
        with self._transaction() as connection:
            length, before = connection.execute("SELECT length, hash FROM chain").fetchone() or (None, GENESIS)
            if length is None:
                raise StoreError(
                    f"The audit trail in {self.path} has lost its end; nothing is added to it.", hint=_REPAIR
                )
            number = length + 1
            own = link(number, row, before)
            connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [number, *row, before, own])
            connection.execute("UPDATE chain SET length = ?, hash = ?", [number, own])
        self._move_anchor()
        return int(number)

    def audit_trail(
        self,
        *,
        since: datetime | None = None,
        subject: str | None = None,
        context: str | None = None,
        limit: int = 1000,
    ) -> list[AuditEntry]:
        """Return the newest ``limit`` lines of the audit trail that match everything given, oldest first."""
        tests: dict[str, str | None] = {'"when" >= ?': stamp(since) if since else None}
        tests |= {"subject = ?": subject} | self._of_context(context)
        return [
            AuditEntry(
                id=row[0],
                when=moment(row[1]),
                actor=row[2],
                context=row[3],
                action=row[4],
                subject=row[5],
                outcome=row[6],
                data=row[7],
                hash=row[9],
            )
            for row in self._newest("audit", tests, limit)
        ]

    def verify_chain(self) -> list[str]:
        """Follow the audit trail from its first line; return one sentence per break, none when it is whole."""
        problems: list[str] = []
        last, before = 0, GENESIS
        with self._turn, faults(self.path), one_view(self._connection):
            written, newest = self._connection.execute("SELECT length, hash FROM chain").fetchone() or (0, GENESIS)
            for number, *row, prev_hash, own in self._connection.execute("SELECT * FROM audit ORDER BY id"):
                if number != last + 1:
                    problems.append(f"Audit line {last + 1} is missing, the next one there is {number}.")
                elif prev_hash != before:
                    problems.append(f"Audit line {number} does not follow line {last}.")
                if own != link(number, row, prev_hash):
                    problems.append(f"Audit line {number} was changed after it was written.")
                last, before = number, own
        if (last, before) != (written, newest):
            problems.append(f"The audit trail ends with line {last}; {written} lines were written.")
        return problems

    @property
    def anchor(self) -> Anchor:
        """Return how long the ledger is now."""
        with self._turn, faults(self.path), one_view(self._connection):
            length, own = self._connection.execute("SELECT length, hash FROM chain").fetchone() or (0, "")
            events = self._connection.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
        return Anchor(length=length, hash=own if length else "", events=events)

    def missing(self, kept: Anchor, where: str) -> list[str]:
        """Return one sentence when the ledger does not hold what was anchored ``where``, none when it does."""
        now = self.anchor
        with self._turn, faults(self.path):
            line = self._connection.execute("SELECT hash FROM audit WHERE id = ?", [kept.length]).fetchone()
            there = self._connection.execute("SELECT count(*) FROM event WHERE id <= ?", [kept.events]).fetchone()[0]
        if kept.length and (line is None or line[0] != kept.hash):
            return [
                f"The audit trail has {now.length} lines; {where}, line {kept.length} was kept, and it is not there: "
                "the ledger was shortened or replaced."
            ]
        if there < kept.events:
            return [f"Of the first {kept.events} events, kept {where}, the ledger holds {there}: it was shortened."]
        return []

    def _holds(self, kept: Anchor) -> bool:
        with self._turn, faults(self.path):
            line = self._connection.execute("SELECT hash FROM audit WHERE id = ?", [kept.length]).fetchone()
            first = self._connection.execute("SELECT coalesce(min(id), 1) FROM event").fetchone()[0]
        return (not kept.length or (line is not None and line[0] == kept.hash)) and first == 1

    def _move_anchor(self) -> None:
        """Anchor how long the ledger is, unless it is not the one that was anchored before."""
        if dry_run.is_on():
            return
        with contextlib.suppress(StoreError):
            before = anchor.read(self.path)
            now = self.anchor
            if before is None or (now != before and now.events >= before.events and self._holds(before)):
                anchor.write(self.path, now)

    def check(self) -> list[str]:
        """Check the whole file (SQLite's own check) and the audit trail; return one sentence per problem."""
        try:
            with self._turn, faults(self.path):
                said = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(20)")]
            kept = anchor.read(self.path)
            lost = self.missing(kept, f"in {anchor.path_of(self.path)}") if kept else []
            return [f"{self.path}: {line}" for line in said if line != "ok"] + self.verify_chain() + lost
        except StoreError as error:
            return [error.message]

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        with self._turn:
            self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn, faults(self.path), immediate(self._connection):
            yield self._connection

    def _newest(self, table: str, tests: Mapping[str, str | None], limit: int) -> list[Any]:
        """Return whole rows, oldest first, their ``data`` read back from JSON."""
        given = {test: plain(value) for test, value in tests.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        query = f"SELECT * FROM {table} {where} ORDER BY id DESC LIMIT ?"  # noqa: S608  made of constants only
        with self._turn, faults(self.path):
            cursor = self._connection.execute(query, [*given.values(), max(0, limit)])
            data = [column[0] for column in cursor.description].index("data")
            rows = [[*row[:data], json.loads(row[data]), *row[data + 1 :]] for row in cursor]
        return rows[::-1]
