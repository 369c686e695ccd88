"""``Ledger``: appending and reading. It knows the two tables' columns; what holds them is ``backing``'s business."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from difyops import dry_run
from difyops.clock import Clock
from difyops.errors import DifyopsError, Refused, StateAway, StateMoved, StoreError
from difyops.ledger import anchor
from difyops.ledger.anchor import Anchor
from difyops.ledger.backing import Database, Statements
from difyops.ledger.file import LedgerFile
from difyops.ledger.integrity import breaks, grown_since, length, missing
from difyops.ledger.lines import line_of, put
from difyops.ledger.moving import NOTE, NOTES
from difyops.ledger.records import AuditEntry, Event, JsonObject, as_json, column, moment, stamp
from difyops.ledger.spool import Line, Spool

_EVENTS_APART = 256  # events between two anchors: one costs two flushes of the disk


class Ledger:
    """An open ledger. Safe for several threads and processes at once; also a context manager.

    Every method raises ``StoreError`` when the file is damaged, locked for too long, or the disk is full; what was
    acknowledged before stays.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._spool = None if dry_run.is_on() else Spool.in_folder(database.local.parent)
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
    def is_shared(self) -> bool:
        """Say whether other machines write into it."""
        return self._database.is_shared

    @property
    def clock(self) -> Clock:
        """Return the clock that counts for everybody who shares it."""
        return self._database.clock

    def takes_over(self, context: str, former: str) -> None:
        """Let ``context`` see what was written when it was called ``former``."""
        self._former[context] = column(former).replace("'", "''")

    def _of_context(self, context: str | None) -> dict[str, str | None]:
        former = self._former.get(context or "")
        return {"context = ?": context} if former is None else {f"context IN (?, '{former}')": context}

    def append(self, event: Event, *, done: bool = False) -> int:
        """Write one event and return its number; it is on disk when this returns. ``done``: as in ``record``."""
        return self.record([event])[0] if done else self.append_all([event])[0]

    def append_all(self, events: Iterable[Event]) -> list[int]:
        """Write several events, all or none, with one flush; return their numbers."""
        return self._write([line_of(event) for event in events])

    def record(self, items: Sequence[Event | AuditEntry]) -> list[int]:
        """Write what was done already, all or none; return the numbers.

        Where a shared ledger is away, the lines are kept on this machine at once, and brought in when it is back: in
        this call, if that is soon, or by the next one of this machine, before anything else. So they are where it was
        moved, takes no writes, or a lock was lost.

        Raises:
            StateAway, StateMoved, LockLost: they are kept here, and not in the ledger yet.
        """
        return self._write([line_of(item) for item in items], keep=True)

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
        """Write one line of the audit trail, chained to the line before; return its number. It is kept as others are
        that say what was done already: see ``record``.

        Raises:
            StateAway: it is kept here, and not in the ledger yet.
        """
        return self.record([entry])[0]

    def _write(self, lines: Sequence[Line], *, keep: bool = False) -> list[int]:
        if not lines:
            return []
        waiting: list[Line] = []
        was_missed = False

        def work(inside: Statements) -> list[int]:
            waiting[:] = self._spool.lines() if self._spool and self.is_shared else ()
            for line in waiting:
                put(inside, line, self.place, unless_there=True)
            return [put(inside, line, self.place, unless_there=inside.again or was_missed) for line in lines]

        def missed() -> None:
            nonlocal was_missed
            if self._spool:
                self._spool.keep(lines)
                was_missed = True

        try:
            numbers = self._database.change(work, missed=missed if keep else None)
        except (StoreError, Refused) as error:
            if keep and (self.is_shared or isinstance(error, StateMoved)) and not was_missed:
                missed()
            raise (_kept(error, self._spool) if was_missed and self._spool else error) from error
        if self._spool:
            self._spool.let_go(waiting)
        newest = max((number for line, number in zip(lines, numbers, strict=True) if line[0] == "event"), default=0)
        is_due = newest >= self._anchored + (_EVENTS_APART if self._anchored else 1)
        if is_due or any(table == "audit" for table, _ in [*waiting, *lines]):
            self._anchored = max(newest, self._anchored)
            self._move_anchor()
        return numbers

    def note(self, name: str, value: JsonObject) -> None:
        """Keep what is known now under a name, in the place of what was noted before; no line says so."""
        written = as_json(value)

        def work(inside: Statements) -> None:
            inside.execute(NOTE, [f"{NOTES}{column(name)}", written])

        if not dry_run.is_on():
            self._database.change(work)

    def notes(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Return what is noted under the names that begin with ``prefix``."""
        begin = f"{NOTES}{column(prefix)}"
        query = "SELECT name, value FROM fact WHERE substr(name, 1, ?) = ? ORDER BY name"
        _, rows = self._database.ask(query, [len(begin), begin])
        return {name.removeprefix(NOTES): json.loads(value) for name, value in rows}

    def bring_in(self) -> int:
        """Write what was kept on this machine while the shared ledger was away; return how many lines."""
        lines = self._spool.lines() if self._spool else []
        if lines and self._spool:
            self._database.change(lambda inside: [put(inside, line, self.place, unless_there=True) for line in lines])
            self._spool.let_go(lines)
            self._move_anchor()
        return len(lines)

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
            if (now := grown_since(self._database, anchor.read(self.path))) is not None:
                anchor.write(self.path, now)

    def anchor_now(self) -> None:
        """Anchor how long the ledger is, whatever was anchored before: it has just come here."""
        if not dry_run.is_on():
            anchor.write(self.path, self.anchor)

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
        given = {test: column(value) for test, value in tests.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        query = f"SELECT * FROM {table} {where} ORDER BY id DESC LIMIT ?"  # noqa: S608  made of constants only

        names, rows = self._database.ask(query, [*given.values(), max(0, limit)])
        data = names.index("data")
        try:
            return [[*row[:data], json.loads(row[data]), *row[data + 1 :]] for row in reversed(rows)]
        except json.JSONDecodeError as error:
            raise StoreError(f"{self.place} is damaged and cannot be read ({error}); it was left as it is.") from error


def _kept(error: DifyopsError, spool: Spool) -> DifyopsError:
    said = f"{error.message} What was just done is written down in {spool.path}; nothing more was begun."
    if isinstance(error, Refused):
        return type(error)(said, hint=error.hint)
    hint = "When it is back, run any command that uses the state here; it brings that in first: difyops state show"
    if not isinstance(error, StateAway) and error.hint:
        hint = f"{error.hint} {hint}"
    return StateAway(said, hint=hint, retryable=error.retryable)
