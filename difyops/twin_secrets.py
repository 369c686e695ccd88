"""A secret of ours while it is replaced: beside its place (``file:``, ``keyring:``) lie the next one and the last one.

Whoever signs or verifies with the secret takes all of them (``all_of``), so that it makes no difference who learns the
new one first. Whoever replaces it writes the next one, lets it be known, puts it in the secret's place, and takes the
last one away when nobody needs it any more. Secrets of other kinds of places have no such neighbours.
"""

from __future__ import annotations

import os

from difyops import credentials
from difyops.errors import CredentialError
from difyops.secret_text import SecretText
from difyops.trust import require_of

NEXT = ".next"
LAST = ".last"
_KINDS = ("file", "keyring")


def can_be_replaced(reference: str) -> bool:
    """Say whether a secret lies in a place where another one can lie beside it."""
    kind, _, rest = reference.partition(":")
    return kind in _KINDS and bool(rest)


def all_of(reference: str) -> tuple[SecretText, ...]:
    """Return the secret of a place, then the next one and the last one where they are.

    Raises:
        CredentialError: the secret itself cannot be had.
    """
    found = [credentials.resolve(reference)]
    for suffix in (NEXT, LAST) if can_be_replaced(reference) else ():
        beside = twin(reference, suffix)
        if beside is not None and beside not in found:
            found.append(beside)
    return tuple(found)


def twin(reference: str, suffix: str) -> SecretText | None:
    """Return the secret beside a place, ``None`` where there is none."""
    require_of(reference, "read a secret beside it")
    beside = reference + suffix
    kind, _, rest = beside.partition(":")
    if kind == "file" and not os.path.exists(os.path.expanduser(rest)):  # noqa: PTH110, PTH111  (as credentials does)
        return None
    try:
        return credentials.resolve(str(beside))
    except CredentialError:
        if kind == "keyring":  # it has no such entry
            return None
        raise


def put(reference: str, suffix: str, secret: SecretText) -> None:
    """Write a secret beside a place.

    Raises:
        CredentialError: the place cannot be written.
    """
    credentials.store(reference + suffix, secret)


def drop(reference: str, suffix: str) -> None:
    """Take the secret beside a place away; none is fine."""
    if twin(reference, suffix) is not None:
        credentials.forget(reference + suffix)
