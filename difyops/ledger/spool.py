"""Lines about what was done that could not be written: kept on this machine until the shared ledger is back.

A line is here before anybody waits for the server, and leaves when it is there: a process that is killed in between
brings nothing in twice, for a line that is there already is left out. Nothing else is written before them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from difyops import atomic_file
from difyops.errors import CredentialError, StoreError

Line: TypeAlias = tuple[str, Sequence[Any]]
"""A table (``event``, ``audit``) and what its row says, without numbers and hashes."""


@dataclass(frozen=True, slots=True)
class Spool:
    """A file in the state folder, 0600; one JSON array a line. It stays with the machine wherever the state goes."""

    path: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Spool:
        """Return the spool of a machine."""
        return cls(folder / "ledger.spool")

    def lines(self) -> list[Line]:
        """Return what waits, oldest first.

        Raises:
            StoreError: the file is damaged, or others can reach it.
        """
        if not self.path.exists():
            return []
        try:
            found = [json.loads(line) for line in atomic_file.read_private(self.path).splitlines() if line]
            return [(str(table), list(row)) for table, row in found]
        except CredentialError as error:
            raise StoreError(error.message, hint=error.hint) from error
        except (ValueError, TypeError) as error:
            raise StoreError(f"{self.path} is damaged.", hint="Look at it; then move it away.") from error

    def keep(self, lines: Iterable[Line]) -> None:
        """Add lines; they are on disk when this returns."""
        with self._alone():
            self._write([*self.lines(), *lines])

    def let_go(self, lines: Sequence[Line]) -> None:
        """Remove lines that are in the ledger now."""
        if lines:
            gone = {json.dumps(line) for line in lines}
            with self._alone():
                self._write([line for line in self.lines() if json.dumps(line) not in gone])

    def _write(self, lines: Sequence[Line]) -> None:
        if not lines:
            atomic_file.remove(self.path)
            return
        text = "".join(json.dumps(line) + "\n" for line in lines)
        atomic_file.write(self.path, text.encode(), mode=atomic_file.PRIVATE)

    def _alone(self) -> Any:
        return atomic_file.lock(self.path.with_name(f"{self.path.name}.lock"), wait=10.0, holding=str(self.path))
