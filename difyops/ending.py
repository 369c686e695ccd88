"""Whether this run is to end (Ctrl-C, SIGTERM, its deadline): for what waits where no event loop can cancel it.

Each run has a flag of its own, which its threads and tasks inherit; several runs side by side end by themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_asked: ContextVar[threading.Event | None] = ContextVar("_asked", default=None)


@contextmanager
def run() -> Iterator[threading.Event]:
    """Hand out the flag of the run that the block is; whoever hears a signal sets it."""
    flag = threading.Event()
    before = _asked.set(flag)
    try:
        yield flag
    finally:
        _asked.reset(before)


def is_asked() -> bool:
    """Say whether the run was asked to end."""
    flag = _asked.get()
    return flag is not None and flag.is_set()


def sleep(seconds: float) -> None:
    """Sleep so long, or until the run is asked to end."""
    flag = _asked.get() or threading.Event()
    flag.wait(seconds)
