"""Sealed values of a kept app, opened where an identity is at hand. Needing none is the rule; having none is normal."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from difyops.dsl.marks import MARK
from difyops.dsl.secrets import Location
from difyops.errors import DifyopsError
from difyops.sealing.access import Access
from difyops.sealing.store import Seal, identities_for
from difyops.sealing.values import SealedFound, at_locations, opened
from difyops.secret_text import SecretText
from difyops.snapshot.app_texts import PART
from difyops.snapshot.history import Kept

log = logging.getLogger("difyops.snapshot")


def opened_values(kept: Kept, seal: Seal, access: Access) -> Mapping[Location, SecretText]:
    """Return the sealed values of what was live in a kept app, by location; nothing where they stay closed here."""
    found = _opened(kept, seal, access)
    return at_locations(kept.live, "live", found) if kept.live is not None else {}


def opened_texts(kept: Kept, seal: Seal, access: Access) -> Mapping[str, SecretText]:
    """Return the sealed values of the description and the web page, by mark; nothing where they cannot be opened."""
    return _opened(kept, seal, access).only(PART).values if MARK.search(kept.record.description) else {}


def _opened(kept: Kept, seal: Seal, access: Access) -> SealedFound:
    if kept.age is None:
        return SealedFound()
    try:
        return opened(kept.former_id or kept.record.id, kept.age, identities_for(seal, access))
    except DifyopsError as error:
        log.info("%s: %s", kept.record.name, error.message)
        return SealedFound()
