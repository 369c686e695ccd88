"""The store key: what makes the fingerprint of a sealed value. It opens nothing; it tells equal values apart."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from difyops.dsl.marks import sealed_mark
from difyops.errors import CredentialError
from difyops.secret_text import SecretText

_LENGTH = 32  # bytes
_TEXT = re.compile(r"difyops-store-key-([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class StoreKey:
    """32 random bytes. Fingerprints are HMAC-SHA-256 under it, cut to 128 bits."""

    _bytes: bytes = field(repr=False)

    @classmethod
    def new(cls) -> StoreKey:
        """Return a new random key."""
        return cls(secrets.token_bytes(_LENGTH))

    @classmethod
    def read(cls, text: str) -> StoreKey:
        """Return the key that ``text`` (of ``as_text``) holds.

        Raises:
            CredentialError: it is no store key.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise CredentialError(
                "This is not a store key (difyops-store-key-… and 64 hex digits).",
                hint="A machine that has it writes it: difyops snapshot seal status --key-to file:KEY",
            )
        return cls(bytes.fromhex(found[1]))

    def as_text(self) -> SecretText:
        """Return the text form, for a file or a reference."""
        return SecretText(f"difyops-store-key-{self._bytes.hex()}")

    @property
    def id(self) -> str:
        """Return the name of the key, 8 hex digits; it says nothing about the key."""
        return self._digest(b"\x00id")[:8]

    def mark(self, value: str) -> str:
        """Return the mark of a value: the same one for equal values."""
        return sealed_mark(self.id, self._digest(b"\x01" + value.encode("utf-8", "surrogatepass"))[:32])

    def print(self, content: bytes) -> str:
        """Return the fingerprint of a content that may hold secrets, 32 hex digits."""
        return self._digest(b"\x02" + content)[:32]

    def _digest(self, content: bytes) -> str:
        return hmac.new(self._bytes, content, hashlib.sha256).hexdigest()
