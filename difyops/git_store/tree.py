"""What lies in a commit's tree, and what has to change to make it another one. Reads only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from difyops.git_store import names
from difyops.git_store.blobs import BlobReader
from difyops.git_store.plumbing import Git

PLAIN = "100644"
_ROW_PARTS = 3  # mode, kind, id in ls-tree
_LISTINGS_KEPT = 4
_BYTES_KEPT = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One file of a tree; everything that is not an ordinary file (link, program, submodule) was made by hand."""

    mode: str
    kind: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Put a file. ``content`` is ``None`` when the store has the blob already."""

    path: str
    id: str
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Take a file away."""

    path: str


Change = Write | Delete


def listing(git: Git, commit: str) -> dict[str, TreeEntry]:
    """Return every file of a commit, by path, in git's order."""
    answer = git.run("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit)
    entries: dict[str, TreeEntry] = {}
    for row in answer.output.split(b"\0"):
        facts, _, path = row.partition(b"\t")
        parts = facts.decode().split(" ")
        if len(parts) == _ROW_PARTS:
            entries[path.decode(errors="surrogateescape")] = TreeEntry(mode=parts[0], kind=parts[1], id=parts[2])
    return entries


class Known:
    """What was read already of one repository: a commit's files and a blob's content never change."""

    def __init__(self, git: Git) -> None:
        self.reader = BlobReader(git)
        self._git = git
        self._listings: dict[str, dict[str, TreeEntry]] = {}
        self._contents: dict[str, bytes] = {}

    def listing(self, commit: str) -> Mapping[str, TreeEntry]:
        """Return every file of a commit, by path, in git's order. ``commit`` is a whole id."""
        if commit not in self._listings:
            while len(self._listings) >= _LISTINGS_KEPT:
                self._listings.pop(next(iter(self._listings)))
            self._listings[commit] = listing(self._git, commit)
        return self._listings[commit]

    def blobs(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the content of blobs by id.

        Raises:
            StoreError: one is missing or damaged.
        """
        held = {each: self._contents[each] for each in ids if each in self._contents}
        missing = [each for each in ids if each not in held]
        read = self.reader.read(missing) if missing else {}
        if sum(map(len, read.values())) + sum(map(len, self._contents.values())) > _BYTES_KEPT:
            self._contents = {}
        self._contents |= {each: content for each, content in read.items() if len(content) <= _BYTES_KEPT // 4}
        return held | read


def changes(
    before: Mapping[str, TreeEntry], files: Mapping[str, bytes | None], *, replace: bool, algorithm: str
) -> list[Change]:
    """Return what turns ``before`` into the wanted tree: deletions first, then writes, each by path.

    ``files`` is the whole tree (``replace``) or a set of changes in which ``None`` deletes. A blob the store has under
    any path is not written again.

    Raises:
        UsageError: a path cannot be stored, or a file would be a folder at once.
    """
    wanted = {names.path(path): content for path, content in files.items()}
    kept = {path: content for path, content in wanted.items() if content is not None}
    gone = {path for path in before if path not in kept and (replace or path in wanted)}
    names.no_file_is_a_folder(kept.keys() | (before.keys() - gone))
    known = {entry.id for entry in before.values() if entry.kind == "blob"}
    writes: list[Change] = []
    for path in sorted(kept):
        content = kept[path]
        blob = blob_id(content, algorithm)
        if before.get(path) != TreeEntry(mode=PLAIN, kind="blob", id=blob):
            writes.append(Write(path=path, id=blob, content=None if blob in known else content))
            known.add(blob)
    return [*(Delete(path=path) for path in sorted(gone)), *writes]


def blob_id(content: bytes, algorithm: str) -> str:
    """Return the id git gives to a file's content (``sha1`` or ``sha256``, whichever the repository uses)."""
    digest = hashlib.new(algorithm, b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest()
