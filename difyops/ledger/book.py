"""``Ledger``: appending and reading. It knows the two tables' columns; what holds them is ``backing``'s business."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from difyops import dry_run
from difyops.clock import Clock
from difyops.errors import StoreError
from difyops.ledger import anchor
from difyops.ledger.anchor import Anchor
from difyops.ledger.backing import Database, Statements
from difyops.ledger.file import LedgerFile
from difyops.ledger.integrity import breaks, end_of_chain, goes_on_from, length, missing
from difyops.ledger.records import AuditEntry, Event, as_json, link, moment, plain, stamp

_REPAIR = "Somebody edited the file by hand: move it away with its -wal and -shm; the next run starts a new one."


_EVENTS_APART = 256  # events between two anchors: one costs two flushes of the disk


class Ledger:
    """An open ledger. Safe for several threads and processes at once; also a context manager.

    Every method raises ``StoreError`` when the file is damaged, locked for too long, or the disk is full; what was
    acknowledged before stays.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._former: dict[str, str] = {}
        self._anchored = 0  # the number of events at which the anchor was last moved

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open the ledger file ``path``; it is made when missing (0600, its folder 0700).

        Raises:
            StoreError: it is damaged, another program's, a newer difyops's, or cannot be written. It is never deleted.
        """
        return cls(LedgerFile.open(path))

    @property
    def path(self) -> Path:
        """Return the file in the state folder that goes with it; the anchor lies beside it."""
        return self._database.local

    @property
    def place(self) -> str:
        """Return where the lines are, for people."""
        return self._database.place

    @property
    def clock(self) -> Clock:
        """Return the clock that counts for everybody who shares it."""
        return self._database.clock

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
        statement = 'INSERT INTO event ("when", kind, subject, context, data) VALUES (?, ?, ?, ?, ?) RETURNING id'
        numbers = self._database.change(
            lambda inside: [int(inside.execute(statement, row).fetchone()[0]) for row in rows]
        )
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

        def add(inside: Statements) -> int:
            end = end_of_chain(inside)
            if end is None:
                raise StoreError(
                    f"The audit trail in {self.place} has lost its end; nothing is added to it.", hint=_REPAIR
                )
            number, before = end[0] + 1, end[1]
            own = link(number, row, before)
            inside.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [number, *row, before, own])
            inside.execute("UPDATE chain SET length = ?, hash = ?", [number, own])
            return number

        number = self._database.change(add)
        self._move_anchor()
        return number

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
        return self._database.read(breaks)

    @property
    def anchor(self) -> Anchor:
        """Return how long the ledger is now."""
        return self._database.read(length)

    def missing(self, kept: Anchor, where: str) -> list[str]:
        """Return one sentence when the ledger does not hold what was anchored ``where``, none when it does."""
        return missing(self._database, kept, where)

    def _move_anchor(self) -> None:
        """Anchor how long the ledger is, unless it is not the one that was anchored before."""
        if dry_run.is_on():
            return
        with contextlib.suppress(StoreError):
            before = anchor.read(self.path)

            def look(statements: Statements) -> Anchor | None:
                now = length(statements)
                return now if before is None or goes_on_from(before, now, statements) else None

            if (now := self._database.read(look)) is not None:
                anchor.write(self.path, now)

    def check(self) -> list[str]:
        """Check the whole database (its own check) and the audit trail; return one sentence per problem."""
        try:
            said = self._database.check()
            kept = anchor.read(self.path)
            lost = self.missing(kept, f"in {anchor.path_of(self.path)}") if kept else []
            return said + self.verify_chain() + lost
        except StoreError as error:
            return [error.message]

    def lock(self, path: Path, *, wait: float = 0.0, holding: str = "this") -> AbstractContextManager[None]:
        """Hold the lock that the file ``path`` in the state folder stands for, against everybody who shares the ledger.

        Raises:
            LockHeld: somebody else has it, after ``wait`` seconds.
        """
        return self._database.lock(path, wait=wait, holding=holding)

    def is_held(self, path: Path) -> bool:
        """Say whether somebody holds that lock now."""
        return self._database.is_held(path)

    def close(self) -> None:
        """Close it; closing twice is fine."""
        self._database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _newest(self, table: str, tests: Mapping[str, str | None], limit: int) -> list[Any]:
        """Return whole rows, oldest first, their ``data`` read back from JSON."""
        given = {test: plain(value) for test, value in tests.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        query = f"SELECT * FROM {table} {where} ORDER BY id DESC LIMIT ?"  # noqa: S608  made of constants only

        def look(statements: Statements) -> list[Any]:
            cursor = statements.execute(query, [*given.values(), max(0, limit)])
            data = [column[0] for column in cursor.description].index("data")
            return [[*row[:data], json.loads(row[data]), *row[data + 1 :]] for row in cursor]

        return self._database.read(look)[::-1]
