"""Values that must survive a kill while a rotation is open: the new value, the old one, others of its credential.

Kept as 0600 files under ``rotation-secrets/<rotation>/`` in the state folder (or in the keyring, when the
configuration says ``secrets: {hold: keyring}``) and removed when the rotation ends. Never in the journal, never in
SQLite. Fingerprints are keyed with a random key of this installation: a short secret cannot be guessed from one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from difyops import atomic_file, credentials
from difyops.errors import CredentialError, StoreError
from difyops.secret_text import SecretText

NEW, OLD, OTHERS = "new", "old", "others"
FILE, KEYRING = "file", "keyring"
_SERVICE = "difyops-rotation"


@dataclass(frozen=True, slots=True)
class Vault:
    """What one rotation holds back."""

    folder: Path
    identity: str
    hold: str = FILE

    @classmethod
    def of(cls, state: Path, identity: str, hold: str = FILE) -> Vault:
        """Return the vault of a rotation."""
        return cls(state / "rotation-secrets" / identity, identity, hold)

    def keep(self, name: str, secret: SecretText) -> None:
        """Hold a secret; JSON inside, so that line breaks in it survive.

        Raises:
            StoreError: the keyring does not answer, or the file cannot be written.
        """
        try:
            credentials.store(self._reference(name), SecretText(json.dumps(secret.reveal())))
        except CredentialError as error:
            raise _closed(error.message) from error

    def get(self, name: str) -> SecretText | None:
        """Return a held secret, ``None`` when it is not held.

        Raises:
            StoreError: whether it is held cannot be told: the keyring is locked or away, the file is not private.
        """
        try:
            return SecretText(json.loads(credentials.resolve(self._reference(name)).reveal()))
        except CredentialError as error:
            if self.hold == FILE and (self.folder / name).exists():
                raise StoreError(f"The held value {self.folder / name} cannot be read: {error.message}") from error
            check_can_hold(self.hold)
            return None

    def keep_others(self, others: Mapping[str, SecretText]) -> None:
        """Hold the other secrets of a credential by field, as one."""
        if others:
            self.keep(OTHERS, SecretText(json.dumps({name: value.reveal() for name, value in others.items()})))

    def others(self) -> dict[str, SecretText]:
        """Return the other secrets of a credential by field; empty when none are held."""
        held = self.get(OTHERS)
        found = json.loads(held.reveal()) if held else {}
        return {str(name): SecretText(str(value)) for name, value in found.items()}

    def forget(self, name: str) -> None:
        """Let go of one secret; one that is not held is fine. Raises ``StoreError`` as ``get`` does."""
        try:
            credentials.forget(self._reference(name))
        except CredentialError as error:
            raise _closed(error.message) from error

    def clear(self) -> None:
        """Remove everything that is held; twice is fine."""
        for name in (NEW, OLD, OTHERS):
            self.forget(name)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _reference(self, name: str) -> str:
        if self.hold == KEYRING:
            return f"keyring:{_SERVICE}/{self.identity}-{name}"
        return f"file:{self.folder / name}"


def check_can_hold(hold: str) -> None:
    """Ask the keyring, where it is to hold the values.

    Raises:
        StoreError: it is locked, away, or this host has none.
    """
    if hold == KEYRING and (problem := credentials.keyring_problem()):
        raise _closed(problem)


def _closed(problem: str) -> StoreError:
    """Return the error of a place that cannot be looked into: not held and not readable are different things."""
    return StoreError(
        f"The place that holds a rotation's values cannot be reached: {problem}",
        hint="Unlock it and run this again; new rotations hold values in files with secrets: {hold: file}.",
    )


def fingerprint(state: Path, secret: SecretText) -> str:
    """Return 16 hex digits that tell secrets apart for somebody who holds this installation's key, and nobody else."""
    return hmac.new(_key(state), secret.reveal().encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]


def installation(state: Path) -> str:
    """Return what tells installations apart: who has this state folder has its fingerprints and what is held in it."""
    return hashlib.sha256(b"installation " + _key(state)).hexdigest()[:16]


def _key(state: Path) -> bytes:
    """Return the key of this installation, made when it is first asked for."""
    path = state / "fingerprint.key"
    if not path.exists():
        with atomic_file.lock(state / "fingerprint.lock", wait=5.0, holding="the fingerprint key"):
            if not path.exists():
                atomic_file.write(path, secrets.token_hex(32).encode(), mode=atomic_file.PRIVATE)
    return atomic_file.read_private(path)
