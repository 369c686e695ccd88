"""Contents of files by their ids, through one running ``git cat-file --batch``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import weakref
from collections.abc import Sequence

from difyops.errors import StoreError
from difyops.git_store.plumbing import Git

_HEAD_PARTS = 3  # id, kind, size
_PATIENCE = 10.0
_LARGEST = 256 * 1024 * 1024  # bytes of a file; a megabyte of a pack can hold a gigabyte
_ASKED_AT_ONCE = 256  # requests that fit into a pipe while git waits for its answers to be read


class BlobReader:
    """Reads blobs of one repository. Threads may share it; a forked child starts a git of its own.

    git is started with the first question and ends when the reader is closed or nobody holds it any more.
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self._running: list[tuple[int, subprocess.Popen[bytes]]] = []
        self._alone = threading.Lock()
        weakref.finalize(self, _end, self._running)

    def read(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the content of blobs by id.

        Raises:
            StoreError: one is missing or damaged.
        """
        wanted = list(dict.fromkeys(ids))
        found: dict[str, bytes] = {}
        with self._alone:
            for start in range(0, len(wanted), _ASKED_AT_ONCE):
                asked = wanted[start : start + _ASKED_AT_ONCE]
                self._ask(asked)
                found |= {each: self._answer(each) for each in asked}
        return found

    def close(self) -> None:
        """End git; the next question starts another."""
        with self._alone:
            _end(self._running)

    def _ask(self, ids: Sequence[str]) -> None:
        if self._running and self._running[0][0] != os.getpid():
            _leave(self._running)
        if self._running and self._running[0][1].poll() is not None:  # Ctrl-C at a terminal reaches it, too
            _end(self._running)
        if not self._running:
            self._running.append((os.getpid(), self._git.start("cat-file", "--batch")))
        asked = self._running[0][1].stdin
        try:
            if asked is not None:
                asked.write("".join(f"{each}\n" for each in ids).encode())
                asked.flush()
        except OSError as error:
            raise self._damaged(ids[0]) from error

    def _answer(self, blob: str) -> bytes:
        answers = self._running[0][1].stdout
        head = answers.readline().split() if answers is not None else []
        if answers is None or len(head) != _HEAD_PARTS or head[1] != b"blob":
            raise self._damaged(blob)
        size = int(head[2])
        if size > _LARGEST:
            _end(self._running)
            raise StoreError(f"The content {blob[:10]} of the store {self._git.path} is larger than {_LARGEST} bytes.")
        content = answers.read(size + 1)
        if len(content) != size + 1:
            raise self._damaged(blob)
        return content[:-1]

    def _damaged(self, blob: str) -> StoreError:
        status = self._running[0][1].poll()
        _end(self._running)
        if status is not None and status < 0:
            return StoreError(f"git cat-file was ended by signal {-status}.", retryable=True)
        return StoreError(
            f"The snapshot store {self._git.path} lacks the content {blob[:10]}: it is damaged.",
            hint="difyops snapshot verify",
        )


def _end(running: list[tuple[int, subprocess.Popen[bytes]]]) -> None:
    """End what was started by this process."""
    if running and running[0][0] != os.getpid():
        _leave(running)
    while running:
        _, process = running.pop()
        _close(process)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _leave(running: list[tuple[int, subprocess.Popen[bytes]]]) -> None:
    """Let go of what the parent of this process started: it is the parent's to end."""
    while running:
        _, process = running.pop()
        _close(process)
        process.returncode = 0


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # closing flushes; a dead reader is no news here
                pipe.close()
