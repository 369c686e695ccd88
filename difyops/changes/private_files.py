"""Documents that may hold secrets, in private files (0600) while a change is open; and where they outlive it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.errors import StoreError


@dataclass(frozen=True, slots=True)
class PrivateFiles:
    """The private documents of one change: JSON objects, a file each."""

    folder: Path

    def keep(self, name: str, document: dict[str, Any]) -> None:
        """Write a document; it is on disk when this returns."""
        self.put(self._path(name), document)

    def put(self, place: Path, document: dict[str, Any]) -> None:
        """Write a document anywhere; it is on disk when this returns."""
        atomic_file.write(place, json.dumps(document).encode(), mode=atomic_file.PRIVATE)

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a document, ``None`` when there is none.

        Raises:
            StoreError: the file is damaged (it is never deleted for that).
        """
        path = self._path(name)
        if not path.exists():
            return None
        try:
            found = json.loads(atomic_file.read_private(path))
        except ValueError as error:
            raise StoreError(f"The held document {path} is damaged.", hint="Look at it.") from error
        return found if isinstance(found, dict) else None

    def holds(self, name: str) -> bool:
        """Say whether a document is here."""
        return self._path(name).exists()

    def drop(self, name: str) -> None:
        """Remove one document; one that is not there is fine."""
        atomic_file.remove(self._path(name))

    def clear(self) -> None:
        """Remove everything; twice is fine."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
