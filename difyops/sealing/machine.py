"""The identity that a machine made itself, for what it keeps while nobody agreed to recipients: a colleague's draft.

It lies in the keyring where there is one, else in a 0600 file of the user's configuration folder (of ``~/.config``
where that one cannot be written, as in a container): never in the state folder, which holds what it opens, and never in
a store.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from difyops import atomic_file, credentials
from difyops.config import user_config_file
from difyops.errors import CredentialError, StoreError
from difyops.sealing.access import access_of, read_reference
from difyops.sealing.age import Identity, new_identity

_KEYRING = "keyring:difyops/kept-identity"
_FILE = "kept-identity.txt"
_HINT = (
    "Give an identity (age-keygen makes one) as DIFYOPS_SEAL_IDENTITY, or a home or XDG_CONFIG_HOME that can be "
    "written; then: difyops changes finish"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """An identity and the reference to where it lies."""

    identity: Identity
    reference: str


def at_hand() -> list[AtHand]:
    """Return the identities that this machine made and that can be read now: none is normal.

    Files come first: where there is one, no keyring is asked, which may wait for a person.

    Raises:
        CredentialError: a file is there and cannot be read.
    """
    there = [f"file:{place}" for place in _files() if place.exists()]
    if there:
        return [AtHand(identity=item, reference=name) for name in there for item in read_reference(name)]
    with suppress(CredentialError):
        return [AtHand(identity=item, reference=_KEYRING) for item in read_reference(_KEYRING)]
    return []


def found_or_made(state: Path) -> AtHand:
    """Return the identity that what is kept is encrypted for: one that the environment gives, else the machine's own.

    Raises:
        CredentialError: one that is given cannot be read. StoreError: there is none, and no place to keep a new one.
    """
    given = [item for item in access_of({}, state).identities("") if item.recipient]
    if given:
        return AtHand(identity=given[0], reference="env:DIFYOPS_SEAL_IDENTITY")
    with atomic_file.lock(state / "kept" / "identity.lock", wait=30, holding="the identity of this machine"):
        return next(iter(at_hand()), None) or _made()


def is_in_keyring(reference: str) -> bool:
    """Say whether a reference is that of the keyring."""
    return reference == _KEYRING


def _made() -> AtHand:
    made = new_identity()
    if credentials.keyring_problem() is None:
        with suppress(CredentialError):  # it can be read and not be written, or it forgets
            credentials.store(_KEYRING, made.secret)
            if [item.recipient for item in read_reference(_KEYRING)] == [made.recipient]:
                return AtHand(identity=made, reference=_KEYRING)
    said = "this user has no home"
    for place in _files():
        try:
            credentials.store(f"file:{place}", made.secret)
        except StoreError as error:
            said = error.message
        else:
            return AtHand(identity=made, reference=f"file:{place}")
    raise StoreError(
        f"What is to be kept cannot be encrypted: there is no keyring, and no place for an identity: {said}", hint=_HINT
    )


def _files() -> list[Path]:
    """Return where the file may be; none for a user without a home."""
    home = Path(os.path.expanduser("~/.config/difyops"))  # noqa: PTH111 - Path.expanduser fails for an unknown user
    folders = dict.fromkeys([user_config_file(os.environ).parent, home])
    return [folder / _FILE for folder in folders if folder.is_absolute()]
