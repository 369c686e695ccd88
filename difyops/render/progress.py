"""Progress on stderr for anything over a second: one line that rewrites itself, on a terminal only."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from difyops.render.logs import at_context
from difyops.render.safe import one_line

Moved = Callable[[int, int, str], None]
_PATIENCE = 1.0
_PACE = 0.1


def is_drawn(*, quiet: bool) -> bool:
    """Say whether there is a line that rewrites itself; where several contexts would share it, there is none."""
    return at_context.get() is None and sys.stderr.isatty() and not quiet and not os.environ.get("CI")


@contextlib.contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Moved]:
    """Hand out a function ``moved(done, total, name)``; shows nothing in a pipe, in CI, or before a second passed."""
    shown = is_drawn(quiet=quiet)
    began = last = time.monotonic()
    drawn = False

    def moved(done: int, total: int, name: str) -> None:
        nonlocal last, drawn
        now = time.monotonic()
        if not shown or now - began < _PATIENCE or (now - last < _PACE and done < total):
            return
        last, drawn = now, True
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        sys.stderr.write("\r" + f"{what}: {done} of {total}  {one_line(name)}"[: width - 1].ljust(width - 1))
        sys.stderr.flush()

    try:
        yield moved
    finally:
        if drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
