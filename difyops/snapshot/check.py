"""Is what the store holds what was written? Hashes, git's own integrity, the manifest against the tree."""

from __future__ import annotations

import json
from dataclasses import dataclass

from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, StoreError, UsageError
from difyops.git_store import GitStore
from difyops.snapshot.layout import MANIFEST, digest, read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was checked and what is wrong. ``files`` were re-hashed, in ``snapshots`` commits."""

    context: str
    snapshots: int
    files: int
    complete: bool
    problems: tuple[str, ...]

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" when anything is wrong."""
        if not self.problems:
            return None
        return AnswerIsNo(
            f"{counted(len(self.problems), 'problem')}: {self.problems[0]}", hint="Restore the store from its remote."
        )


def subset(text: str) -> tuple[int, int]:
    """Read ``n/t``: the n-th of t parts, from 1.

    Raises:
        UsageError: it is not of that form.
    """
    part, _, of = text.partition("/")
    if part.isdigit() and of.isdigit() and 1 <= int(part) <= int(of):
        return int(part), int(of)
    raise UsageError(f"{text!r} is not a subset.", hint="Example: --subset 1/7 checks the first of seven parts.")


def verify(
    store: GitStore, context: str, *, revision: str = "latest", part: tuple[int, int] = (1, 1), history: bool = False
) -> Checked:
    """Re-hash a snapshot (or all of them), compare tree and manifest, run git's own check.

    Raises:
        StoreError: there is no snapshot.
    """
    commits = [store.resolve(revision, branch=context)]
    if history:
        commits = [info.id for info in store.log(context, limit=100_000)]
    problems = [f"git: {line}" for line in store.check()]
    files = 0
    for commit in commits:
        count, found = _verify_one(store, commit, part)
        files += count
        problems += found
    complete = _is_complete(store, commits[0])
    return Checked(context=context, snapshots=len(commits), files=files, complete=complete, problems=tuple(problems))


def _verify_one(store: GitStore, commit: str, part: tuple[int, int]) -> tuple[int, list[str]]:
    short = commit[:10]
    try:
        manifest = read_manifest(store, commit)
    except StoreError as error:
        return 0, [error.message]
    present = set(store.blob_ids(commit)) - {MANIFEST}
    problems = [f"{short}: {path} is in the manifest but not there" for path in manifest.files if path not in present]
    problems += [f"{short}: {path} is there but not in the manifest" for path in sorted(present - set(manifest.files))]
    number, of = part
    mine = [path for place, path in enumerate(sorted(present & set(manifest.files))) if place % of == number - 1]
    for path, content in store.read_many(commit, mine).items():
        if digest(content) != manifest.files[path]:
            problems.append(f"{short}: {path} is not what was written")
        elif path.endswith(".json") and not _is_json(content):
            problems.append(f"{short}: {path} is not JSON")
    for app_id, entry in manifest.apps.items():
        if entry.state == "ok" and f"apps/{app_id}/app.json" not in manifest.files:
            problems.append(f"{short}: {entry.name} is said to be kept but has no files")
    return len(mine), problems


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def _is_complete(store: GitStore, commit: str) -> bool:
    try:
        return read_manifest(store, commit).complete
    except StoreError:
        return False
