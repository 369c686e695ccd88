"""Sealed values of a kept app, opened where an identity is at hand. Needing none is the rule; having none is normal."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from difyops.dsl.secrets import Spot
from difyops.errors import DifyopsError
from difyops.sealing.access import Access
from difyops.sealing.store import Seal, identities_for
from difyops.sealing.values import at_spots, opened
from difyops.secret_text import SecretText
from difyops.snapshot.history import Kept

log = logging.getLogger("difyops.snapshot")


def opened_values(kept: Kept, seal: Seal, access: Access) -> Mapping[Spot, SecretText]:
    """Return the sealed values of what was live in a kept app, by spot; nothing where they cannot be opened here."""
    if kept.age is None or kept.live is None:
        return {}
    try:
        found = opened(kept.former_id or kept.record.id, kept.age, identities_for(seal, access))
    except DifyopsError as error:
        log.info("%s: %s", kept.record.name, error.message)
        return {}
    return at_spots(kept.live, "live", found)
