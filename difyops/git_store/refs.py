"""References: where they point, moving several at once or none, and locks left behind by the dead."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from difyops.errors import StoreError
from difyops.git_store.names import UNBORN
from difyops.git_store.plumbing import Git

HEADS = "refs/heads/"
TAGS = "refs/tags/"
CHECKED = "refs/difyops/checked/"
LEDGER = "refs/difyops/ledger/"

# A transaction holds its locks for milliseconds. A lock file that stays longer has no owner: its git was killed.
_DEAD_AFTER = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Point ``ref`` to ``new``; it must be at ``old`` before (``None``: must not exist), unless ``from_anywhere``."""

    ref: str
    new: str
    old: str | None = None
    from_anywhere: bool = False


def read(git: Git, *refs: str) -> dict[str, str]:
    """Return the object ids of those of ``refs`` that exist.

    Raises:
        StoreError: one is broken (an empty or garbled file); it must not be taken for one that is not there.
    """
    answer = git.run("for-each-ref", "--format=%(refname) %(objectname)", *refs)
    if "broken ref" in answer.errors:
        raise StoreError(
            f"A reference of the snapshot store {git.path} is damaged ({answer.errors.split()[-1]}).",
            hint=f"Its former values are in {git.folder}/logs; set it with: git -C {git.path} update-ref REF ID",
        )
    found = dict(line.split(" ", 1) for line in answer.lines)
    return {ref: found[ref] for ref in refs if ref in found}


def move(git: Git, moves: Sequence[Move], *, reason: str) -> None:
    """Make all moves in one transaction, or none.

    Raises:
        StoreError: a reference is not where it must be, or cannot be locked or written. The caller looks which.
    """
    _clear_dead_locks(git, [each.ref for each in moves])
    script = "".join(["start\n", *map(_line, moves), "prepare\n", "commit\n"])
    git.run("update-ref", "--create-reflog", "-m", reason, "--stdin", stdin=script.encode())


def step_aside(git: Git, ref: str, at: str | None) -> None:
    """Take ``HEAD`` off a branch that is about to move, so that a work tree stays at the commit it was made from.

    ``HEAD`` is detached at the branch's present commit; on a branch without commits it goes to one that stays unborn.
    """
    if git.run("symbolic-ref", "--quiet", "HEAD", fine=(0, 1)).lines != [ref]:
        return
    _clear_dead_locks(git, [])
    if at is None:
        git.run("symbolic-ref", "-m", "difyops: step aside", "HEAD", HEADS + UNBORN)
    else:
        git.run("update-ref", "--no-deref", "-m", "difyops: step aside", "HEAD", at, at)


def _line(each: Move) -> str:
    if each.from_anywhere:
        return f"update {each.ref} {each.new}\n"
    if each.old is None:
        return f"create {each.ref} {each.new}\n"
    return f"update {each.ref} {each.new} {each.old}\n"


def _clear_dead_locks(git: Git, refs: Iterable[str]) -> None:
    """Remove lock files whose owner is gone. Writers hold the store's lock, so only a person's git can be alive."""
    for name in ("HEAD", *refs):
        lock = git.folder / f"{name}.lock"
        first_seen = time.monotonic()
        while lock.exists():
            try:
                age = time.time() - lock.stat().st_mtime
            except FileNotFoundError:
                break
            if age > _DEAD_AFTER or time.monotonic() - first_seen > _DEAD_AFTER:
                lock.unlink(missing_ok=True)
            else:
                time.sleep(0.05)
