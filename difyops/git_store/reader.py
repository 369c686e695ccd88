"""One snapshot read file by file: its tree listed once, its contents through one ``git cat-file --batch``."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from difyops.git_store import names
from difyops.git_store.blobs import BlobReader
from difyops.git_store.records import FileMissing
from difyops.git_store.tree import TreeEntry


class ObjectReader:
    """The files of one commit. Close it, or use it in a ``with``; threads may share it."""

    def __init__(self, blobs: BlobReader, commit: str, listing: Mapping[str, TreeEntry]) -> None:
        self.commit = commit
        self._blobs = blobs
        self._ids = {path: entry.id for path, entry in listing.items() if entry.kind == "blob"}

    @property
    def ids(self) -> Mapping[str, str]:
        """Return the blob id of every file, by path."""
        return self._ids

    def read(self, path: str) -> bytes:
        """Return the content of one file.

        Raises:
            FileMissing: the commit has no such file. StoreError: the store is damaged.
        """
        if path not in self._ids:
            raise FileMissing(f"The snapshot {self.commit[:10]} has no file {names.shown(path)}.")
        return self._blobs.read([self._ids[path]])[self._ids[path]]

    def close(self) -> None:
        """End git, until somebody asks the store again."""
        self._blobs.close()

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
