"""A connection that does not wait for ever: a server that stands still answers nothing and closes nothing."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow

T = TypeVar("T")


class Bounded(psycopg.Connection[TupleRow]):
    """A connection of which every answer must come within ``patience`` seconds; it is of no use after one did not."""

    patience: float = 35.0

    def wait(self, gen: Any, *given: Any, **more: Any) -> Any:
        """Wait for an answer.

        Raises:
            psycopg.OperationalError: it did not come in time.
        """
        return super().wait(_bounded(gen, self.patience), *given, **more)


def _bounded(gen: Generator[Any, Any, T], patience: float) -> Generator[Any, Any, T]:
    ends = time.monotonic() + patience
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > ends:
                raise psycopg.OperationalError(f"no answer within {patience:g} s")
            wanted = gen.send(ready)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
