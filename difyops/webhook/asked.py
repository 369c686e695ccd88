"""Which runs were asked of their apps: noted at the moment when the first byte of the call is sent, not before.

A run that was accepted, and whose call was never sent, did not run: after a kill that is known, and it can be begun.
Such a note is one write that waits for no disk: what a process wrote is there when it was killed. It may not be there
when the machine itself went down; so the file tells in which start of the machine it was written, and after another
one every run counts as asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from difyops import atomic_file
from difyops.errors import StoreError

FILE = "webhook-asked"
_LARGEST = 1024 * 1024
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(slots=True)
class AskedRuns:
    """The notes of a server, and what the one before it left."""

    path: Path
    boot: str = field(default_factory=lambda: _boot())
    _earlier: frozenset[str] | None = None  # unknown: every run counts as asked
    _file: int = -1
    _size: int = 0

    def open(self) -> None:
        """Read what the last server noted.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            lines = self.path.read_text("ascii").split("\n")
        except FileNotFoundError:
            lines = [""]
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.path} cannot be read: {error}.") from error
        self._earlier = frozenset(lines[1:]) if lines[0] and lines[0] == self.boot else None

    def was_asked(self, run: str) -> bool:
        """Say whether the call for a run of the last server may have been sent."""
        return self._earlier is None or run in self._earlier

    def keep(self, runs: Iterable[str]) -> None:
        """Forget all notes but those of these runs.

        Raises:
            StoreError: the file cannot be written.
        """
        content = "\n".join([self.boot, *runs]).encode()
        atomic_file.write(self.path, content, mode=atomic_file.PRIVATE)
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be opened: {error.strerror}.") from error
        self.close()
        self._file, self._size = file, len(content)

    def note(self, run: str) -> None:
        """Note that the call for a run is sent now.

        Raises:
            StoreError: it cannot be noted (a full disk): the call is not to be sent.
        """
        line = f"\n{run}".encode()  # half a line of a full disk spoils no other
        try:
            if os.write(self._file, line) != len(line):
                raise OSError("the disk is full")
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        self._size += len(line)

    @property
    def is_large(self) -> bool:
        """Say whether it is time to forget."""
        return self._size > _LARGEST

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _boot() -> str:
    """Return what tells this start of the machine from others; nothing where that is not told."""
    try:
        return _BOOT.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
