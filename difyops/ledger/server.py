"""``LedgerServer``: the lines in a PostgreSQL that several machines share. Its clock counts, not theirs.

One connection carries the lines and the locks, so a line is written only while the locks are held: a connection that
was lost takes its locks again before anything else is written, or nothing is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from difyops import atomic_file, dry_run, ending
from difyops.clock import SystemClock
from difyops.errors import StateAway
from difyops.ledger.backing import Statements
from difyops.ledger.connected import Away, Connected
from difyops.ledger.holders import Held, Holder, holders, is_held, refuse_held
from difyops.state_address import StateAddress, shared_file

T = TypeVar("T")
PATIENCE = 10.0
_PAUSE = 0.25
_IDENTITY = (
    "SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), d.oid, d.datname) FROM pg_database d"
    " WHERE d.datname = current_database()"
)


@dataclass(slots=True)
class LedgerServer:
    """A shared ledger. ``folder`` is the state folder of this machine, in which lock files and the anchor lie.

    ``patience``: how many seconds a write waits for a server that is away; twice that where something was done already.
    """

    address: StateAddress
    folder: Path
    patience: float = PATIENCE
    is_shared: bool = True
    _turn: threading.RLock = field(default_factory=threading.RLock)
    _connected: Connected | None = None
    _offset: float | None = None
    _held: list[Held] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Return the address as it is shown."""
        return self.address.place

    @property
    def identity(self) -> str:
        """Return which database of which running server it is, by whatever name it was reached."""
        return str(self.ask(_IDENTITY)[1][0][0])

    @property
    def local(self) -> Path:
        """Return the name of the files that go with it on this machine."""
        return shared_file(self.folder, self.address)

    @property
    def clock(self) -> ServerClock:
        """Return the server's clock."""
        return ServerClock(self)

    @property
    def offset(self) -> float:
        """Return the server's clock less this process's monotonic clock, as it was last told."""
        if self._connected is not None:
            self._offset = self._connected.offset
        if self._offset is None:
            self._offset = self._tried(lambda connected, _: connected.offset)
        return self._offset

    def change(
        self,
        work: Callable[[Statements], T],
        *,
        missed: Callable[[], None] | None = None,
        closed_too: bool = False,
    ) -> T:
        """Do ``work`` alone, as one transaction, in a ledger that is closed only where ``closed_too``.

        Raises:
            StateAway: it did not come back in time. StoreError: it refused. LockHeld: a lock was lost meanwhile.
        """

        def alone(connected: Connected, again: bool) -> T:
            for held in self._held:
                held.refuse_lost()
            return connected.change(work, again=again, closed_too=closed_too)

        return self._tried(alone, missed=missed)

    def ask(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[Any]]:
        """Run one statement that only reads."""
        return self._tried(lambda connected, _: connected.ask(query, values))

    def read(self, work: Callable[[Statements], T]) -> T:
        """Do ``work`` as of one moment."""
        return self._tried(lambda connected, _: connected.read(work))

    def check(self) -> list[str]:
        """Return nothing: PostgreSQL checks what it reads itself."""
        return []

    @contextlib.contextmanager
    def lock(self, path: Path, *, wait: float, holding: str) -> Iterator[None]:
        """Hold a lock against all machines; the file keeps the other processes of this one away."""

        ends = time.monotonic() + wait
        with atomic_file.lock(path, wait=wait, holding=holding):
            held = Held(path.relative_to(self.folder).as_posix(), holding)
            while not self._tried(lambda connected, _: self._taken(connected, held, in_writing=not dry_run.is_on())):
                if time.monotonic() >= ends or ending.is_asked():
                    self._tried(lambda connected, _: _named(connected, held))
                ending.sleep(0.05)
            try:
                yield
            finally:
                self._give(held)

    def is_held(self, path: Path) -> bool:
        """Say whether a process of any machine holds the lock."""
        name = path.relative_to(self.folder).as_posix()

        def look(connected: Connected, _: bool) -> bool:
            with connected.faults():
                return is_held(connected.connection, name)

        return self._tried(look)

    @property
    def is_made(self) -> bool:
        """Say whether the server holds a ledger; a dry run makes none."""
        return self._tried(lambda connected, _: connected.is_made)

    def holders(self) -> list[Holder]:
        """Return who holds a lock, or was cut off while he did."""

        def look(connected: Connected, _: bool) -> list[Holder]:
            with connected.faults():
                return holders(connected.connection)

        return self._tried(look)

    def close(self) -> None:
        """Close the connection, and with it give back what is held."""
        with self._turn:
            self._drop()
            self._held.clear()

    def _taken(self, connected: Connected, held: Held, *, in_writing: bool) -> bool:
        with connected.faults():
            if not held.take(connected.connection, in_writing=in_writing):
                return False
        self._held.append(held)
        return True

    def _give(self, held: Held) -> None:
        """Give a lock back; where the server is away it has done so itself, or does when it notices."""
        with self._turn:
            self._held.remove(held)
            if self._connected is not None and not held.is_lost:
                try:
                    with self._connected.faults():
                        held.give(self._connected.connection)
                except Away:
                    self._drop()

    def _tried(
        self,
        work: Callable[[Connected, bool], T],
        *,
        missed: Callable[[], None] | None = None,
    ) -> T:
        """Do ``work`` on a connection; where it is gone, on a new one, until patience ends."""
        ends = time.monotonic() + self.patience * (2 if missed else 1)
        again = was_late = False
        while True:
            with self._turn:
                try:
                    return work(self._connected or self._connect(), again)
                except Away as away:
                    self._drop()
                    again = again or away.may_be_done
                    gone = away
            if missed is not None:
                missed()
                missed = None
            if gone.is_final or time.monotonic() >= ends or (was_late and ending.is_asked()):
                raise _away(self.place, gone)
            was_late = True
            ending.sleep(_PAUSE)

    def _connect(self) -> Connected:
        connected = Connected.open(self.address)
        try:
            with connected.faults():
                for held in self._held:
                    if not held.is_lost and not held.take_again(connected.connection):
                        raise Away("the lock is still held by the former connection")
        except BaseException:
            connected.close()
            raise
        self._connected = connected
        return connected

    def _drop(self) -> None:
        if self._connected is not None:
            self._offset = self._connected.offset
            self._connected.close()
            self._connected = None


@dataclass(frozen=True, slots=True)
class ServerClock(SystemClock):
    """The server's wall clock: what several machines agree on, however theirs are set."""

    server: LedgerServer

    def now(self) -> datetime:
        """Return the server's wall clock in UTC."""
        return datetime.fromtimestamp(self.server.offset + time.monotonic(), UTC)


def _named(connected: Connected, held: Held) -> None:
    with connected.faults():
        refuse_held(connected.connection, held.name, held.holding)


def _away(place: str, away: Away) -> StateAway:
    hint = "Look at state and state_password: difyops state show" if away.is_final else "Run it again when it is back."
    return StateAway(f"The state in {place} cannot be reached: {away.why}.", hint=hint, retryable=not away.is_final)
