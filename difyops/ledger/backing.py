"""What is below the ledger: a database that holds its lines, on this machine or shared with others.

``Database`` is the seam: ``file`` is SQLite, for one machine; ``server`` is PostgreSQL, for several. Both run the
ledger's own statements (placeholders are ``?``), so what stands here is only what differs: how a change is made alone,
how a view is one moment, what a lock is, and whose clock counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from difyops.clock import Clock

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


class Database(Protocol):
    """One database of the ledger. Safe for several threads.

    ``place``: where it is, for people. ``local``: the file in the state folder that goes with it; the anchor lies
    beside it. Every method raises ``StoreError`` when it cannot be read or written.
    """

    place: str
    local: Path
    is_shared: bool

    @property
    def clock(self) -> Clock:
        """Return the clock that counts for everybody who writes here."""
        ...

    def change(self, work: Callable[[Statements], T]) -> T:
        """Do ``work`` alone, as one transaction: durable when this returns, or not done. It may be called twice."""
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

    def close(self) -> None:
        """Close it; closing twice is fine."""
        ...
