"""One snapshot read file by file: its tree listed once, its contents through one ``git cat-file --batch``."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from difyops.errors import StoreError
from difyops.git_store import names, tree
from difyops.git_store.plumbing import Git
from difyops.git_store.records import FileMissing

_HEAD_PARTS = 3  # id, kind, size
_PATIENCE = 10.0


class ObjectReader:
    """The files of one commit. Close it, or use it in a ``with``; threads may share it."""

    def __init__(self, git: Git, commit: str, listing: Mapping[str, tree.TreeEntry]) -> None:
        self.commit = commit
        self._git = git
        self._ids = {path: entry.id for path, entry in listing.items() if entry.kind == "blob"}
        self._process: subprocess.Popen[bytes] | None = None
        self._alone = threading.Lock()

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
        with self._alone:
            return self._content(self._ids[path])

    def _content(self, blob: str) -> bytes:
        if self._process is None:
            self._process = self._git.start("cat-file", "--batch")
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:
            raise self._damaged(blob)
        try:
            asked.write(f"{blob}\n".encode())
            asked.flush()
        except OSError as error:
            raise self._damaged(blob) from error
        head = answers.readline().split()
        if len(head) != _HEAD_PARTS or head[1] != b"blob":
            raise self._damaged(blob)
        size = int(head[2])
        content = answers.read(size + 1)
        if len(content) != size + 1:
            raise self._damaged(blob)
        return content[:-1]

    def _damaged(self, blob: str) -> StoreError:
        self.close()
        return StoreError(
            f"The snapshot store {self._git.path} lacks the content {blob[:10]}: it is damaged.",
            hint="difyops snapshot verify",
        )

    def close(self) -> None:
        """End git."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
