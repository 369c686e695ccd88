"""A connection that does not wait for ever: a server that stands still answers nothing and closes nothing.

A run that was asked to end gives the server a moment to answer, and no more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow

from difyops import ending

T = TypeVar("T")
_LAST_MOMENT = 1.0
_LOOK_UP = 0.1


class Bounded(psycopg.Connection[TupleRow]):
    """A connection of which every answer must come within ``patience`` seconds; it is of no use after one did not."""

    patience: float = 35.0

    @classmethod
    def reached(cls, **given: Any) -> Bounded:
        """Connect in a thread: neither the look-up of a name nor a silent address can be waited for in pieces.

        Raises:
            psycopg.Error: it cannot be reached, or the run was asked to end.
        """
        found: list[Bounded] = []
        faults: list[BaseException] = []
        given_up = threading.Event()

        def connect() -> None:
            try:
                made = cls.connect(**given)
            except BaseException as fault:  # raised where it is waited for
                faults.append(fault)
                return
            found.append(made)
            if given_up.is_set():
                made.close()

        thread = threading.Thread(target=connect, daemon=True, name="connecting")
        thread.start()
        late = _Late()
        while thread.is_alive():
            thread.join(_LOOK_UP)
            if late():
                given_up.set()
                raise psycopg.OperationalError("connection failed: it did not answer, and was not waited for")
        if faults:
            raise faults[0]
        return found[0]

    def wait(self, gen: Any, *given: Any, **more: Any) -> Any:
        """Wait for an answer.

        Raises:
            psycopg.OperationalError: it did not come in time.
        """
        return super().wait(_bounded(gen, self.patience), *given, **more)


def _bounded(gen: Generator[Any, Any, T], patience: float) -> Generator[Any, Any, T]:
    ends, late = time.monotonic() + patience, _Late()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and (late() or time.monotonic() > ends):
                raise psycopg.OperationalError(f"no answer within {patience:g} s")
            wanted = gen.send(ready)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


class _Late:
    """Says when a run that was asked to end has waited its last moment."""

    def __init__(self) -> None:
        self.ends: float | None = None

    def __call__(self) -> bool:
        if self.ends is None and ending.is_asked():
            self.ends = time.monotonic() + _LAST_MOMENT
        return self.ends is not None and time.monotonic() > self.ends
