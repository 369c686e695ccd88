"""age files: the only home of ``pyrage``. Recipients are X25519 (``age1…``) and ssh public keys.

What is written here the ordinary ``age`` program reads: ``age -d -i IDENTITY apps/APP/sealed.age``.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyrage

from difyops.errors import CredentialError, UsageError
from difyops.secret_text import SecretText

_AGE = "AGE-SECRET-KEY-"


class CannotOpen(CredentialError):
    """No identity at hand opens this age file."""

    code = "cannot_open_seal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who can open: the age secret key or ssh private key, and the recipient that belongs to it where that is known."""

    secret: SecretText = field(repr=False)
    recipient: str | None = None


def new_identity() -> Identity:
    """Return a new X25519 identity."""
    made = pyrage.x25519.Identity.generate()
    return Identity(secret=SecretText(str(made)), recipient=str(made.to_public()))


def read_identities(text: str) -> list[Identity]:
    """Return the identities of an age identity file (one a line, ``#`` comments), or of an ssh private key.

    Raises:
        CredentialError: there is none, or one cannot be read.
    """
    if "PRIVATE KEY-----" in text:
        _ssh_identity(text)
        return [Identity(secret=SecretText(text))]
    lines = [line.strip() for line in text.splitlines()]
    found = [_x25519(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise CredentialError("There is no age identity in it (AGE-SECRET-KEY-1…, or an ssh private key).")
    return found


def recipient(text: str) -> str:
    """Return a recipient in its one form, without comment.

    Raises:
        UsageError: it is none.
    """
    words = text.split()
    shown = text.strip()[:40]
    if words and words[0].startswith(_AGE):
        raise UsageError("This is an identity (secret), not a recipient (public: age1…).")
    form = " ".join(words[:2]) if words and words[0].startswith("ssh-") else text.strip()
    try:
        _recipient(form)
    except (pyrage.RecipientError, ValueError) as error:
        raise UsageError(
            f"{shown!r} is not a recipient.", hint="Give age1…, or ssh-ed25519 or ssh-rsa with its key."
        ) from error
    return form


def seal(content: bytes, recipients: Sequence[str]) -> bytes:
    """Return ``content`` as an age file that each of ``recipients`` can open."""
    sealed: bytes = pyrage.encrypt(content, [_recipient(text) for text in recipients])
    return sealed


def unseal(content: bytes, identities: Sequence[Identity]) -> bytes:
    """Return what an age file holds.

    Raises:
        CannotOpen: none of ``identities`` opens it, or it is damaged.
    """
    if not identities:
        raise CannotOpen("There is no identity on this machine that opens sealed values.")
    try:
        opened: bytes = pyrage.decrypt(content, [_identity(item.secret.reveal()) for item in identities])
    except pyrage.DecryptError as error:
        raise CannotOpen("No identity on this machine opens these sealed values.") from error
    return opened


def _recipient(text: str) -> pyrage.x25519.Recipient | pyrage.ssh.Recipient:
    return pyrage.ssh.Recipient.from_str(text) if text.startswith("ssh-") else pyrage.x25519.Recipient.from_str(text)


def _identity(text: str) -> pyrage.x25519.Identity | pyrage.ssh.Identity:
    return _ssh_identity(text) if "PRIVATE KEY-----" in text else pyrage.x25519.Identity.from_str(text)


def _ssh_identity(text: str) -> pyrage.ssh.Identity:
    try:
        return pyrage.ssh.Identity.from_buffer(text.encode())
    except (pyrage.IdentityError, ValueError) as error:
        raise CredentialError(
            "The ssh private key cannot be read.", hint="A key with a passphrase cannot be used; make one without."
        ) from error


def _x25519(line: str) -> Identity:
    try:
        made = pyrage.x25519.Identity.from_str(line)
    except (pyrage.IdentityError, ValueError) as error:
        raise CredentialError("A line of the identity file is no age identity.") from error
    return Identity(secret=SecretText(line), recipient=str(made.to_public()))


def dearmored(text: str) -> bytes:
    """Return the age file that ``armored`` was given.

    Raises:
        ValueError: it is none.
    """
    lines = [line for line in text.split("\n") if line and not line.startswith("-----")]
    return base64.b64decode("".join(lines), validate=True)


def armored(content: bytes) -> str:
    """Return an age file as text that survives a chat or a mail; ``age -d`` takes it as it is."""
    body = base64.b64encode(content).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN AGE ENCRYPTED FILE-----", *lines, "-----END AGE ENCRYPTED FILE-----"])
