"""Whose file is this? Opened once, and judged by what was opened: a path can mean another file a moment later."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_OTHERS_WRITE = 0o022
LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a file held when it was opened, and whose it was at that moment."""

    path: Path
    content: bytes
    owner: int
    mode: int

    @property
    def is_foreign(self) -> bool:
        """Say whether it belongs to somebody other than us and root."""
        return self.owner not in (os.geteuid(), 0)

    @property
    def is_open_to_others(self) -> bool:
        """Say whether its group or everybody may write it."""
        return bool(self.mode & _OTHERS_WRITE)

    def complaint(self, *, strict: bool) -> tuple[str, str] | None:
        """Return why its word is not taken, and what to do; ``None`` when it is.

        A file of another user never counts. One that others can write does not count for root, nor where ``strict``
        (it may name programs to run); for anybody else it does, for many systems let a user's own group write.
        """
        if self.is_foreign:
            return "belongs to another user", f"Work on a copy of your own: cp {self.path} ..."
        if self.is_open_to_others and (strict or os.geteuid() == 0 or self.mode & stat.S_IWOTH):
            return "others can write it", f"chmod go-w {self.path}"
        return None


def open_once(path: Path) -> Opened:
    """Return content, owner and mode of one and the same file.

    Raises:
        OSError: it is not there, not a regular file, larger than 16 MB, or may not be read.
    """
    # O_NONBLOCK: opening a named pipe that nobody writes to would wait for ever
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as handle:
        status = os.fstat(handle.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is not a regular file")
        content = handle.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise OSError(0, "it is larger than 16 MB")
        return Opened(path=path, content=content, owner=status.st_uid, mode=stat.S_IMODE(status.st_mode))
