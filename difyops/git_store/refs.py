"""References: where they point, moving several at once or none, and locks left behind by the dead."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from difyops.atomic_file import flush_folder, store_error
from difyops.errors import StoreError
from difyops.git_store import ref_files
from difyops.git_store.names import UNBORN
from difyops.git_store.plumbing import Git

HEADS = "refs/heads/"
REMOTES = "refs/remotes/"
TAGS = "refs/tags/"
CHECKED = "refs/difyops/checked/"
LEDGER = "refs/difyops/ledger/"
PLACES = "refs/difyops/places/"
RESTORED = "refs/difyops/restored/"
RECORDS = (CHECKED, LEDGER, PLACES, RESTORED)

# A transaction holds its locks for milliseconds. A lock file that stays longer has no owner: its git was killed.
_DEAD_AFTER = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefLine:
    """Where the snapshots of one branch are: the reference of the newest and its commit, where the tags and records
    are. ``is_own`` is False while they stand under another name: in a clone, or before the branch got its name.
    """

    branch: str
    ref: str
    commit: str | None
    named: str
    is_own: bool

    @property
    def tags(self) -> str:
        """Return how the references of its tags begin."""
        return f"{TAGS}{self.named}/"


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
    plain = ref_files.read(git.folder, refs)
    if plain is not None:
        return plain
    answer = git.run("for-each-ref", "--format=%(refname) %(objectname)", *refs)
    if "broken ref" in answer.errors:
        raise StoreError(
            f"A reference of the snapshot store {git.path} is damaged ({answer.errors.split()[-1]}).",
            hint=f"Its former values are in {git.folder}/logs; set it with: git -C {git.path} update-ref REF ID",
        )
    found = dict(line.split(" ", 1) for line in answer.lines)
    return {ref: found[ref] for ref in refs if ref in found}


def under(git: Git, prefix: str) -> dict[str, str]:
    """Return the references that begin with ``prefix`` (``refs/heads/``) and the objects they point to."""
    plain = ref_files.under(git.folder, prefix)
    if plain is not None:
        return plain
    answer = git.run("for-each-ref", "--format=%(refname) %(objectname)", prefix)
    return dict(line.split(" ", 1) for line in answer.lines)


def line(git: Git, branch: str, former: str | None = None) -> RefLine:
    """Return where the snapshots of ``branch`` are.

    A store that was cloned from its backup has them under the remote's name; ``former`` is the name that the branch had
    before, where it is known to be the same instance.

    Raises:
        StoreError: several remotes hold it, each at another commit; or a reference is damaged.
    """
    own = HEADS + branch
    there = read(git, own)
    if own in there:
        return RefLine(branch=branch, ref=own, commit=there[own], named=branch, is_own=True)
    cloned = _of_remotes(git, branch)
    if cloned:
        ref, commit = next(iter(cloned.items()))
        if len(set(cloned.values())) > 1:
            raise StoreError(
                f"The store {git.path} has no branch {branch}, and its remotes hold different ones: "
                f"{', '.join(each.removeprefix(REMOTES) for each in cloned)}.",
                hint=f"Choose one: git -C {git.path} branch {branch} {ref.removeprefix(REMOTES)}",
            )
        return RefLine(branch=branch, ref=ref, commit=commit, named=branch, is_own=False)
    if former is not None and (held := line(git, former)).commit:
        return RefLine(branch=branch, ref=held.ref, commit=held.commit, named=former, is_own=False)
    return RefLine(branch=branch, ref=own, commit=None, named=branch, is_own=False)


def _of_remotes(git: Git, branch: str) -> dict[str, str]:
    """Return the commits of ``branch`` on the remotes, by reference; ``origin`` first."""
    found = {ref: commit for ref, commit in under(git, REMOTES).items() if ref.split("/", 3)[3:] == [branch]}
    return {ref: found[ref] for ref in sorted(found, key=lambda ref: (ref != f"{REMOTES}origin/{branch}", ref))}


def move(git: Git, moves: Sequence[Move], *, reason: str) -> None:
    """Make all moves in one transaction, or none.

    Raises:
        StoreError: a reference is not where it must be, or cannot be locked or written. The caller looks which.
    """
    clear_dead_locks(git, [each.ref for each in moves])
    script = "".join(["start\n", *map(_line, moves), "prepare\n", "commit\n"])
    git.run("update-ref", "--create-reflog", "-m", reason, "--stdin", stdin=script.encode())
    flush(git, [each.ref for each in moves])


def flush(git: Git, moved: Iterable[str]) -> None:
    """Have the folders of references on disk: git flushes the files, and renames them after that.

    Raises:
        StoreError: a folder cannot be flushed; what was moved may be lost when the machine loses power now.
    """
    folders = {folder for ref in moved for folder in (git.folder / ref).parents if folder != git.folder.parent}
    try:
        for folder in sorted(folder for folder in folders if folder.is_relative_to(git.folder) and folder.is_dir()):
            flush_folder(folder)
    except OSError as error:
        raise store_error(error, git.path) from error


def step_aside(git: Git, ref: str, at: str | None) -> None:
    """Take ``HEAD`` off a branch that is about to move, so that a work tree stays at the commit it was made from.

    ``HEAD`` is detached at the branch's present commit; on a branch without commits it goes to one that stays unborn.
    """
    named = ref_files.head(git.folder)
    if [named] != [ref] if named else git.run("symbolic-ref", "--quiet", "HEAD", fine=(0, 1)).lines != [ref]:
        return
    clear_dead_locks(git, [])
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


def clear_dead_locks(git: Git, refs: Iterable[str]) -> None:
    """Remove lock files whose owner is gone. Writers hold their branch's lock, so only a person's git can be alive."""
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
