"""How long the ledger was, kept beside it: a file that is gone, shortened or put in another's place is noticed.

The anchor is a small file next to the ledger with the number and the hash of the newest audit line and the number of
the newest event. It may lag behind (it is written after the line), and never goes back: where the ledger does not hold
what is anchored, it stays as it is, until somebody who looked at it moves it away.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from difyops import atomic_file
from difyops.errors import CredentialError, StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The newest audit line (its number and hash) and the number of the newest event."""

    length: int = 0
    hash: str = ""
    events: int = 0

    def as_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode() + b"\n"

    @classmethod
    def of(cls, content: bytes) -> Anchor:
        """Read what ``as_bytes`` made.

        Raises:
            ValueError: it is something else.
        """
        body = json.loads(content)
        if not isinstance(body, dict) or not isinstance(body.get("length"), int):
            raise ValueError("not an anchor")
        return cls(length=body["length"], hash=str(body.get("hash", "")), events=int(body.get("events", 0)))


def path_of(ledger: Path) -> Path:
    """Return the anchor's file."""
    return ledger.with_name(f"{ledger.name}.anchor")


def read(ledger: Path) -> Anchor | None:
    """Return what is anchored, ``None`` when nothing was yet.

    Raises:
        StoreError: the file is damaged, or others can reach it.
    """
    path = path_of(ledger)
    if not path.exists():
        return None
    try:
        return Anchor.of(atomic_file.read_private(path))
    except CredentialError as error:
        raise StoreError(error.message, hint=error.hint) from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged.", hint=f"Look at the audit log, then: rm {path}") from error


def write(ledger: Path, anchor: Anchor) -> None:
    """Keep ``anchor``; where that fails, the former one stays, which is weaker and not wrong."""
    with contextlib.suppress(StoreError):
        atomic_file.write(path_of(ledger), anchor.as_bytes(), mode=atomic_file.PRIVATE)


def name_of(ledger: Path) -> str:
    """Return a name for this ledger of this machine that says neither; several machines may share a store."""
    return hashlib.sha256(f"{socket.gethostname()}:{ledger.resolve()}".encode()).hexdigest()[:16]
