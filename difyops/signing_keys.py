"""Secrets of Standard Webhooks: text that both sides share, and pairs of keys of which the sender keeps one.

whsec_BASE64   shared: HMAC-SHA256, told as ``v1,``; other text is base64 where it can be, and stands for itself
whsk_BASE64    the sender's key of a pair (ed25519), told as ``v1a,``: 32 bytes, or 64 with the public one behind
whpk_BASE64    the public key of a pair: it verifies and signs nothing
"""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from difyops.errors import CredentialError
from difyops.secret_text import SecretText

if TYPE_CHECKING:  # loaded by the first pair of keys: it takes 20 ms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SHARED, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
_LENGTH = 32
_LIKELY = range(24, 65)  # bytes of a shared secret, as the standard advises


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardKeys:
    """What events are verified with: keys of shared secrets, and public ones."""

    shared: tuple[bytes, ...]
    public: tuple[Ed25519PublicKey, ...]


def keys_of(secrets: Sequence[SecretText]) -> StandardKeys:
    """Return what events are verified with. Bare text is tried as base64 and as it is: libraries differ.

    Raises:
        CredentialError: a secret is none; the text holds nothing of it.
    """
    shared: list[bytes] = []
    public: list[Ed25519PublicKey] = []
    for secret in secrets:
        if is_pair(secret):
            public.append(_public(secret))
            continue
        shared.append(shared_key(secret))
        if not secret.reveal().startswith(SHARED):
            shared += {key for key in (_decoded(secret.reveal()), secret.reveal().encode()) if key} - {shared[-1]}
    return StandardKeys(shared=tuple(shared), public=tuple(public))


def is_pair(secret: SecretText) -> bool:
    """Say whether a secret is of a pair of keys: one half, or both."""
    return secret.reveal().startswith((PRIVATE, PUBLIC))


def can_sign(secret: SecretText) -> bool:
    """Say whether something can be signed with a secret: a public key only verifies."""
    return not secret.reveal().startswith(PUBLIC)


@functools.lru_cache(maxsize=64)
def shared_key(secret: SecretText) -> bytes:
    """Return the bytes that a shared secret signs with.

    Raises:
        CredentialError: what follows ``whsec_`` is nothing, or no base64.
    """
    text = secret.reveal()
    if text.startswith(SHARED):
        if not (decoded := _decoded(text.removeprefix(SHARED))):
            raise CredentialError("What follows whsec_ is not base64.", hint=f"Example: {_EXAMPLE}")
        return decoded
    decoded = _decoded(text) if len(text) % 4 == 0 else b""
    return decoded if len(decoded) in _LIKELY else text.encode()


_EXAMPLE = 'echo "whsec_$(openssl rand -base64 32)"'


def sign(secret: SecretText, content: bytes) -> bytes:
    """Return the signature by a key of a pair.

    Raises:
        CredentialError: the secret is not one that signs.
    """
    return _private(secret).sign(content)


def is_signed(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    """Say whether a signature is the one of the key's owner."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def public_text(secret: SecretText) -> str:
    """Return the public key as receivers are given it."""
    return PUBLIC + base64.b64encode(_public(secret).public_bytes_raw()).decode()


def new_secret(like: SecretText, random: bytes) -> SecretText:
    """Return a new secret of the kind of another one, made of 32 random bytes."""
    prefix = PRIVATE if like.reveal().startswith(PRIVATE) else SHARED
    return SecretText(prefix + base64.b64encode(random).decode())


@functools.lru_cache(maxsize=64)
def _private(secret: SecretText) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = secret.reveal()
    if not text.startswith(PRIVATE):
        raise CredentialError(
            "A public key (whpk_) signs nothing.", hint="Signing needs the key that begins with whsk_."
        )
    both = _decoded(text.removeprefix(PRIVATE))
    if len(both) not in (_LENGTH, 2 * _LENGTH):
        raise CredentialError("What follows whsk_ is not base64 of 32 or 64 bytes.")
    key = Ed25519PrivateKey.from_private_bytes(both[:_LENGTH])
    if both[_LENGTH:] not in (b"", key.public_key().public_bytes_raw()):
        raise CredentialError("The two halves of the key after whsk_ do not belong together.")
    return key


@functools.lru_cache(maxsize=64)
def _public(secret: SecretText) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text = secret.reveal()
    if text.startswith(PRIVATE):
        return _private(secret).public_key()
    raw = _decoded(text.removeprefix(PUBLIC))
    if len(raw) != _LENGTH:
        raise CredentialError("What follows whpk_ is not base64 of 32 bytes.")
    return Ed25519PublicKey.from_public_bytes(raw)


def _decoded(text: str) -> bytes:
    """Return what base64 stands for, with or without its padding; nothing when it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
