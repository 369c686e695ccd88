"""``LedgerFile``: the lines in a SQLite file of this machine. What a lock is there: a file that the kernel unlocks."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from difyops import atomic_file
from difyops.clock import Clock, SystemClock
from difyops.errors import LockHeld
from difyops.ledger.backing import Statements, refuse_closed
from difyops.ledger.database import connect, faults, immediate, one_view
from difyops.ledger.holders import Holder

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Inside:
    """Statements inside a transaction of the file."""

    connection: sqlite3.Connection
    again: bool = False

    def execute(self, query: str, values: Sequence[Any] = ()) -> Any:
        return self.connection.execute(query, values)

    def execute_many(self, query: str, values: Sequence[Sequence[Any]]) -> None:
        self.connection.executemany(query, values)

    def follow_events(self) -> None:
        """Do nothing: SQLite follows by itself."""


@dataclass(slots=True)
class LedgerFile:
    """The ledger's SQLite file, open."""

    local: Path
    connection: sqlite3.Connection
    place: str = ""
    identity: str = ""
    is_shared: bool = False
    clock: Clock = field(default_factory=SystemClock)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, path: Path) -> LedgerFile:
        """Open the file; it is made when missing (0600, its folder 0700).

        Raises:
            StoreError: it is damaged, another program's, a newer difyops's, or cannot be written. It is never deleted.
        """
        return cls(path, connect(path), str(path), str(path.resolve()))

    def change(
        self,
        work: Callable[[Statements], T],
        *,
        missed: Callable[[], None] | None = None,
        closed_too: bool = False,
    ) -> T:
        """Do ``work`` alone, as one transaction; a file is never away."""
        with self._turn, faults(self.local), immediate(self.connection):
            if not closed_too:
                row = self.connection.execute("SELECT value FROM fact WHERE name = 'closed'").fetchone()
                refuse_closed(row and row[0])
            return work(_Inside(self.connection))

    def ask(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[Any]]:
        """Run one statement that only reads."""
        with self._turn, faults(self.local):
            cursor = self.connection.execute(query, values)
            return [column[0] for column in cursor.description], cursor.fetchall()

    def read(self, work: Callable[[Statements], T]) -> T:
        """Do ``work`` as of one moment."""
        with self._turn, faults(self.local), one_view(self.connection):
            return work(_Inside(self.connection))

    def check(self) -> list[str]:
        """Let SQLite check the whole file."""
        with self._turn, faults(self.local):
            said = [str(row[0]) for row in self.connection.execute("PRAGMA integrity_check(20)")]
        return [f"{self.place}: {line}" for line in said if line != "ok"]

    def lock(self, path: Path, *, wait: float, holding: str) -> AbstractContextManager[None]:
        """Hold a lock file of this machine."""
        return atomic_file.lock(path, wait=wait, holding=holding)

    def is_held(self, path: Path) -> bool:
        """Say whether a process of this machine holds that lock file."""
        if not path.exists():
            return False
        try:
            with atomic_file.lock(path):
                return False
        except LockHeld:
            return True

    def holders(self) -> list[Holder]:
        """Return nobody: the kernel knows, and does not say."""
        return []

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self.connection.close()
