"""What this machine has for a sealed store: references to the store key and to an identity, and what it agreed to.

The recipients of a store stand in the store. So that nobody adds one unseen, each machine keeps the list that a person
here agreed to (``seals.json`` in the state folder); another list is refused until somebody agrees again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from difyops import atomic_file, credentials
from difyops.dsl.secret_policy import DEFAULT, SealPolicy, policy_of
from difyops.errors import CredentialError, StoreError
from difyops.sealing.age import Identity, read_identities
from difyops.sealing.key import StoreKey
from difyops.setting_values import Reference
from difyops.settings import read_section

_FILE = "seals.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealSection:
    """The section ``seal`` of the configuration."""

    key: Annotated[Reference | None, "the key of the store"] = None
    identity: Annotated[Reference | None, "the age identity of this machine"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What a machine knows of one store: recipients and store key agreed to, a reference to its identity, when it last
    opened.

    ``next_identity``: that of a rotation under way; until its end both are tried.
    """

    recipients: tuple[str, ...] | None = None
    key_id: str | None = None
    identity: str | None = None
    next_identity: str | None = None
    opened_at: str | None = None
    opened_commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """References to the store key and the identity, and the state folder; each may be missing.

    ``policy``: what the configuration adds to the rules of what is sealed, and excepts from them.
    """

    key: str | None = None
    identity: str | None = None
    state: Path | None = None
    policy: SealPolicy = DEFAULT

    def agreed(self, store_id: str) -> Agreed:
        """Return what this machine knows of a store."""
        body = self._read().get(store_id, {})
        recipients = body.get("recipients")
        return Agreed(
            recipients=tuple(recipients) if isinstance(recipients, list) else None,
            key_id=body.get("key"),
            identity=body.get("identity"),
            next_identity=body.get("next_identity"),
            opened_at=body.get("opened_at"),
            opened_commit=body.get("opened_commit"),
        )

    def agree(self, store_id: str, agreed: Agreed) -> None:
        """Keep what this machine knows of a store.

        Raises:
            StoreError: the state folder cannot be written.
        """
        if self.state is None:
            return
        path = self.state / _FILE
        with atomic_file.lock(path.with_suffix(".lock"), wait=10, holding=str(path)):
            body = self._read()
            body[store_id] = {
                "recipients": list(agreed.recipients) if agreed.recipients is not None else None,
                "key": agreed.key_id,
                "identity": agreed.identity,
                "next_identity": agreed.next_identity,
                "opened_at": agreed.opened_at,
                "opened_commit": agreed.opened_commit,
            }
            atomic_file.write(path, json.dumps(body, indent=1).encode() + b"\n", mode=atomic_file.PRIVATE)

    def store_key(self) -> StoreKey | None:
        """Return the key that a reference gives, ``None`` where there is none.

        Raises:
            CredentialError: the reference cannot be resolved, or holds something else.
        """
        return StoreKey.read(credentials.resolve(self.key).reveal()) if self.key else None

    def identities(self, store_id: str) -> list[Identity]:
        """Return the identities at hand: of the reference, else of what ``seal init`` kept; none is normal.

        Raises:
            CredentialError: the reference cannot be resolved, or holds something else.
        """
        agreed = self.agreed(store_id)
        reference = self.identity or agreed.identity
        found = read_reference(reference) if reference else []
        if agreed.next_identity and agreed.next_identity != reference:
            with suppress(CredentialError):  # a rotation that was cut off before it had stored it
                found = [*found, *read_reference(agreed.next_identity)]
        return found

    def all_recipients(self) -> tuple[str, ...]:
        """Return the recipients that this machine agreed to, of whatever store."""
        found = (text for body in self._read().values() for text in body.get("recipients") or ())
        return tuple(dict.fromkeys(found))

    def all_identities(self) -> list[Identity]:
        """Return the identities at hand, of whatever store. Raises as ``identities``."""
        return [found for store_id in self._read() or {"": None} for found in self.identities(store_id)]

    def opened(self, store_id: str, commit: str, when: str) -> None:
        """Keep that an identity here opened the sealed values of ``commit``."""
        self.agree(store_id, replace(self.agreed(store_id), opened_at=when, opened_commit=commit))

    def _read(self) -> dict[str, Any]:
        path = self.state / _FILE if self.state else None
        if path is None or not path.exists():
            return {}
        try:
            body = json.loads(atomic_file.read_private(path))
        except (ValueError, CredentialError) as error:
            raise StoreError(f"{path} cannot be read; it holds which recipients were agreed to.") from error
        return body if isinstance(body, dict) else {}


def access_of(sections: Mapping[str, Any], state: Path, environment: Mapping[str, str] | None = None) -> Access:
    """Return the access that the configuration and the environment describe.

    ``DIFYOPS_SEAL_KEY`` and ``DIFYOPS_SEAL_IDENTITY`` hold the thing itself, as a CI keeps it; the section ``seal``
    holds references.

    Raises:
        ConfigError: the section ``seal`` has another form; names file, line and field.
    """
    env = os.environ if environment is None else environment
    found = read_section(SealSection, sections, "seal")
    given = {name: f"env:DIFYOPS_SEAL_{name.upper()}" for name in ("key", "identity")}
    found = replace(found, **{name: text for name, text in given.items() if env.get(text.removeprefix("env:"))})
    return Access(key=found.key, identity=found.identity, state=state, policy=policy_of(sections))


def read_reference(reference: str) -> list[Identity]:
    """Return the identities behind a reference; a file may hold several lines.

    Raises:
        CredentialError: it cannot be resolved, or holds something else.
    """
    kind, _, rest = reference.partition(":")
    if kind != "file":
        return read_identities(credentials.resolve(reference).reveal())
    content = credentials.read_file(rest)
    return read_identities(content)


def shown(recipients: Sequence[str]) -> str:
    """Return recipients for people, each shortened."""
    return ", ".join(text if len(text) <= 24 else f"{text[:20]}…{text[-4:]}" for text in recipients)
