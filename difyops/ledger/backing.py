"""What is below the ledger: a database that holds its lines, on this machine or shared with others.

``Database`` is the seam: ``file`` is SQLite, for one machine; ``server`` is PostgreSQL, for several. Both run the
ledger's own statements (placeholders are ``?``), so what stands here is only what differs: how a change is made alone,
how a view is one moment, what a lock is, and whose clock counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from difyops.clock import Clock
from difyops.errors import StateMoved
from difyops.ledger.holders import Holder
from difyops.state_address import is_address

T = TypeVar("T")


class Statements(Protocol):
    """Statements inside one transaction."""

    @property
    def again(self) -> bool:
        """Say whether this change was tried before, and may have been made although no answer came."""
        ...

    def execute(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Run one statement and return its cursor."""
        ...

    def execute_many(self, query: str, values: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of several rows."""
        ...

    def follow_events(self) -> None:
        """Let the next event have the number after the newest one: rows were written with numbers of their own."""
        ...


class Database(Protocol):
    """One database of the ledger. Safe for several threads.

    Every method raises ``StoreError`` when it cannot be read or written.
    """

    @property
    def place(self) -> str:
        """Return where it is, for people."""
        ...

    @property
    def identity(self) -> str:
        """Return what tells this database from others, however it is called."""
        ...

    @property
    def local(self) -> Path:
        """Return the file in the state folder that goes with it; the anchor lies beside it."""
        ...

    @property
    def is_shared(self) -> bool:
        """Say whether other machines write into it."""
        ...

    @property
    def clock(self) -> Clock:
        """Return the clock that counts for everybody who writes here."""
        ...

    def change(
        self,
        work: Callable[[Statements], T],
        *,
        missed: Callable[[], None] | None = None,
        closed_too: bool = False,
    ) -> T:
        """Do ``work`` alone, as one transaction: durable when this returns, or not done. It may be called twice.

        ``missed`` is called once when the database is away, before it is waited for.

        Raises:
            StateMoved: the ledger is closed, and not ``closed_too``. StateAway: nobody could be reached.
        """
        ...

    def ask(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[Any]]:
        """Run one statement that only reads; return the names of its columns and its rows."""
        ...

    def read(self, work: Callable[[Statements], T]) -> T:
        """Do ``work`` as of one moment, whoever writes meanwhile."""
        ...

    def check(self) -> list[str]:
        """Let the database check itself; one sentence a problem."""
        ...

    def lock(self, path: Path, *, wait: float, holding: str) -> AbstractContextManager[None]:
        """Hold the lock that the file ``path`` in the state folder stands for.

        Raises:
            LockHeld: somebody else has it, after ``wait`` seconds.
        """
        ...

    def is_held(self, path: Path) -> bool:
        """Say whether somebody holds that lock now."""
        ...

    def holders(self) -> list[Holder]:
        """Return who holds a lock, or was cut off while he did; of this machine's own file nobody writes it down."""
        ...

    def close(self) -> None:
        """Close it; closing twice is fine."""
        ...


CLOSED = "closed"
"""The fact that says why nothing may be written: ``because`` moved or arriving, ``place`` whither or whence, ``id``,
``host``: the machine that moved it, which has the file where ``place`` is one."""


def refuse_closed(fact: str | None) -> None:
    """Refuse to write into a ledger that was moved away, or is not here as a whole yet.

    Raises:
        StateMoved: it names the place that counts.
    """
    if fact is None:
        return
    found = json.loads(fact)
    if found.get("because") == "moved":
        place, host = str(found.get("place")), found.get("host")
        is_file = not is_address(place)
        raise StateMoved(
            f"The state was moved to {place}{f' of {host}' if is_file else ''} at {found.get('at')}; nothing is written"
            " here any more.",
            hint=f"Only {host} has it now; there, difyops.yaml says: state: sqlite"
            if is_file
            else f"Write into difyops.yaml: state: {place}",
        )
    raise StateMoved(
        f"The state is on its way here from {found.get('place')}; until it is here, that one counts.",
        hint=f"On {found.get('host')}, once more: the same difyops state move --to PLACE",
    )
