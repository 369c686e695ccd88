"""Standard streams that were closed before we began (``>&-``): outputs act as ``/dev/null``, input is told when needed.

Without this the next file that is opened takes the free descriptor, and what is printed goes into it.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from difyops.errors import UsageError


class ClosedInput:
    """Stands in for a standard input that is closed: no terminal, and every attempt to read says so."""

    closed = True

    def isatty(self) -> bool:
        """Say that nobody types here."""
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __iter__(self) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError("Standard input is closed, and this command reads from it.", hint="Hand in a file, or a pipe.")


def complete_standard_streams() -> None:
    """Give the three descriptors something to stand for before anything else is opened."""
    was_closed = [number for number in (0, 1, 2) if not _is_open(number)]
    while True:
        spare = os.open(os.devnull, os.O_RDWR)
        if spare > 2:
            os.close(spare)
            break
        os.set_inheritable(spare, True)
    if sys.stdin is None or 0 in was_closed:
        sys.stdin = ClosedInput()
    if sys.stdout is None or 1 in was_closed:
        sys.stdout = _writer(1)
    if sys.stderr is None or 2 in was_closed:
        sys.stderr = _writer(2)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _writer(number: int) -> Any:
    return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
