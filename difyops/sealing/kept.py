"""Documents that outlive their change: encrypted for the recipients that this machine agreed to, where there are any.

Title and app stay readable, so that a list needs no identity:

    state/kept/NAME.json    {"title", "app_id", "document", ...}, or {"title", "app_id", "sealed": an armored age file}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difyops.errors import StoreError
from difyops.sealing.access import Access
from difyops.sealing.age import CannotOpen, armored, dearmored, seal, unseal

_SEALED = "sealed"
_OPEN = ("title", "app_id")


def body_to_keep(state: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written of ``body``; without recipients that is all of it, in a file of the owner's own.

    Raises:
        StoreError: what this machine agreed to cannot be read.
    """
    recipients = Access(state=state).all_recipients()
    if not recipients:
        return dict(body)
    about = {name: body[name] for name in _OPEN if name in body}
    return {**about, _SEALED: armored(seal(json.dumps(dict(body)).encode(), recipients))}


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
    try:
        opened = json.loads(unseal(dearmored(str(body[_SEALED])), access.all_identities()))
    except CannotOpen as error:
        error.hint = "Run this where the identity is, or give it: DIFYOPS_SEAL_IDENTITY, or seal: {identity: REFERENCE}"
        raise
    except ValueError as error:
        raise StoreError("The kept document is damaged.", hint="Look at it.") from error
    return dict(opened)
