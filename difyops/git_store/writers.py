"""Who may write when: writers of different branches side by side, those of one branch one after the other.

A writer holds the lock of its branch and shares the store's lock with the writers of other branches; who packs the
store tighter holds the store's lock alone. All that a writer touches beside new objects belongs to its branch:
references that carry its name, and ``HEAD`` only where that names it. A difyops that knows of no branches takes the
store's lock alone for each write: it keeps out the others, and is kept out.

The locks are the kernel's: they end with their holder, however it ends.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from difyops import atomic_file
from difyops.git_store.plumbing import Git

INCOMING = "difyops-incoming-"  # folders of new objects that are not in the store yet
_STORE = "difyops.lock"
_BRANCHES = "difyops-locks"
_PATIENCE = 60.0  # seconds; a first snapshot of a large fleet takes a few


@contextmanager
def alongside(git: Git, branches: Iterable[str]) -> Iterator[None]:
    """Write ``branches`` in the block, beside the writers of others.

    The first of several removes what dead writers left: it knows that nobody else is at work.

    Raises:
        LockHeld: another process has been writing one of them, or packing the store, for a minute.
        StoreError: the locks cannot be made.
    """
    with suppress(OSError):  # git makes no folder where our link leads; what is wrong, it says better
        atomic_file.make_private_folder(git.folder / "logs")
    with ExitStack() as held:
        for branch in sorted(set(branches)):  # in one order: two that want the same two never wait for each other
            name = hashlib.sha256(branch.encode()).hexdigest()[:32]
            said = f"the snapshots of {branch} in {git.path}"
            held.enter_context(atomic_file.lock(git.folder / _BRANCHES / name, wait=_PATIENCE, holding=said))
        held.enter_context(
            atomic_file.shared_lock(
                git.folder / _STORE, wait=_PATIENCE, holding=_store(git), when_first=lambda: sweep(git)
            )
        )
        yield


@contextmanager
def alone(git: Git) -> Iterator[None]:
    """Work on the whole store in the block, while nobody writes.

    Raises:
        LockHeld: somebody writes just now. StoreError: the lock cannot be made.
    """
    with atomic_file.lock(git.folder / _STORE, holding=_store(git)):
        sweep(git)
        yield


def sweep(git: Git) -> None:
    """Remove what dead writers left. Only for one who knows that nobody writes."""
    for folder in git.folder.glob(f"{INCOMING}*"):
        shutil.rmtree(folder, ignore_errors=True)
    for report in git.folder.glob("fast_import_crash_*"):  # of a difyops that knew of no side repository
        report.unlink(missing_ok=True)


def _store(git: Git) -> str:
    return f"the snapshot store {git.path}"
