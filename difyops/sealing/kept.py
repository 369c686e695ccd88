"""Documents that outlive their change, always encrypted: for the recipients that this machine agreed to, else for the
identity that it made itself.

Title and app stay readable, so that a list needs no identity:

    state/kept/NAME.json    {"title", "app_id", "kept_at", "for": {"recipients", ...}, "sealed": an armored age file}

``for`` names, where the machine's own identity opens it, that one's place and the host. Files of older versions may lie
there in clear; the next use encrypts them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difyops import atomic_file, credentials, dry_run
from difyops.clock import iso
from difyops.errors import CredentialError, DifyopsError, StoreError
from difyops.ledger import this_host
from difyops.sealing.access import Access
from difyops.sealing.age import CannotOpen, Identity, armored, dearmored, seal, unseal
from difyops.sealing.machine import at_hand, found_or_made, is_in_keyring

_SEALED, _FOR = "sealed", "for"
_OPEN = ("title", "app_id", "kept_at")
log = logging.getLogger("difyops.sealing")


def keep_body(state: Path, place: Path, body: Mapping[str, Any]) -> None:
    """Write a body, encrypted; it is on disk when this returns. What older versions left in clear is encrypted, too.

    Raises:
        StoreError: it cannot be written, or there is nothing to encrypt it for. CredentialError: an identity that is
            named cannot be read.
    """
    _write(state, place, {"kept_at": iso(datetime.now(UTC)), **body})
    seal_older(state)


def seal_older(state: Path) -> None:
    """Encrypt what older versions kept in clear; what cannot be encrypted now stays, and that is said."""
    if dry_run.is_on():
        return
    for place in sorted((state / "kept").glob("*.json")):
        with suppress(ValueError, CredentialError):  # damaged, or not ours: whoever lists it says so
            body = json.loads(atomic_file.read_private(place))
            if not isinstance(body, dict) or is_sealed(body):
                continue
            try:
                _write(state, place, {"kept_at": iso(datetime.fromtimestamp(place.stat().st_mtime, UTC)), **body})
            except DifyopsError as error:
                log.warning("%s lies in clear, kept by an older version: %s", place, error.message)


def is_sealed(body: Mapping[str, Any]) -> bool:
    """Say whether a kept body is encrypted."""
    return _SEALED in body


def opened_body(body: Mapping[str, Any], access: Access) -> dict[str, Any]:
    """Return a kept body in clear.

    Raises:
        CannotOpen: no identity here opens it. StoreError: it is damaged.
    """
    if not is_sealed(body):
        return dict(body)
    meant = body.get(_FOR) if isinstance(body.get(_FOR), dict) else {}
    try:
        opened = json.loads(unseal(dearmored(str(body[_SEALED])), _identities(meant or {}, access)))
    except CannotOpen as error:
        raise _lost(error, meant or {}) from error
    except ValueError as error:
        raise StoreError("The kept document is damaged.", hint="Look at it.") from error
    return dict(opened)


def _write(state: Path, place: Path, body: Mapping[str, Any]) -> None:
    recipients = list(Access(state=state).all_recipients())
    meant: dict[str, Any] = {"recipients": recipients}
    if not recipients:
        own = found_or_made(state)
        recipients = [str(own.identity.recipient)]
        meant = {"recipients": recipients, "identity": own.reference, "host": this_host()}
    about = {name: body[name] for name in _OPEN if name in body}
    sealed = armored(seal(json.dumps(dict(body)).encode(), recipients))
    content = json.dumps({**about, _FOR: meant, _SEALED: sealed})
    atomic_file.write(place, content.encode(), mode=atomic_file.PRIVATE)


def _identities(meant: Mapping[str, Any], access: Access) -> list[Identity]:
    """Return the identities to try; one that cannot be read is no matter where another is the one that is meant."""
    own = [item.identity for item in at_hand()]
    if any(item.recipient in meant.get("recipients", ()) for item in own):
        return own
    return [*own, *access.all_identities()]


def _lost(error: CannotOpen, meant: Mapping[str, Any]) -> CannotOpen:
    """Return an error that says whose identity is missing, and what to do."""
    give = "give it: DIFYOPS_SEAL_IDENTITY, or seal: {identity: REFERENCE}"
    reference, host = meant.get("identity"), meant.get("host")
    if not reference:
        error.hint = f"Run this where the identity is, or {give}"
        return error
    who = f"the identity that {host} made for what it keeps ({reference})"
    if host != this_host():
        return CannotOpen(
            f"This was encrypted for {who}, which is not here.",
            hint=f"Run this on {host}, bring that one here, or {give}",
        )
    closed = credentials.keyring_problem() if is_in_keyring(str(reference)) else None
    if closed is not None:
        return CannotOpen(f"This was encrypted for {who}, and the keyring does not open: {closed}", hint=error.hint)
    return CannotOpen(
        f"This was encrypted for {who}, which is not there any more.",
        hint=f"Bring it back from a backup, or {give}; without it nobody can open this, and the file can be removed.",
    )
