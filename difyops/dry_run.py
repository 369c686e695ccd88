"""A dry run, held where everything passes: calls that would change an instance are refused, new files are not made.

Commands plan without changing anything by themselves; this is what holds when one forgets to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from difyops.errors import Refused

_holds: ContextVar[bool] = ContextVar("dry_run", default=False)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_READS_BY_POST = re.compile(r"/workspaces/current$|/(retrieve|hit-testing)$|/(login|refresh-token|latest-versions)$")


@contextmanager
def dry_run(holds: bool) -> Iterator[None]:
    """Make what happens inside, and in the tasks started there, a dry run or a real one."""
    token = _holds.set(holds)
    try:
        yield
    finally:
        _holds.reset(token)


def is_on() -> bool:
    """Say whether this is a dry run."""
    return _holds.get()


def check_call(method: str, path: str, doing: str) -> None:
    """Let a call pass, unless this is a dry run and it changes something or runs an app.

    Raises:
        Refused: nothing was sent.
    """
    if _holds.get() and method not in _READS and not _READS_BY_POST.search(path.partition("?")[0]):
        raise Refused(f"This is a dry run, and it would {doing} now.", hint="Leave out --dry-run to do it.")
