"""Keeping what is live of an app before an action changes it: a snapshot under a tag that the undo can name."""

from __future__ import annotations

import secrets

from difyops.runbook.resources import Resources
from difyops.runbook.result import Undo
from difyops.snapshot.take import TakeOptions, take


def tag_before(resources: Resources, what: str) -> str:
    """Return a name for the snapshot: known before it is taken, so that the undo is, too."""
    return f"before-{what}-{resources.clock.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def way_back(app_id: str, tag: str) -> Undo:
    """Return the undo: what ``keep`` kept is live again."""
    return Undo(action="snapshot.rollback", parameters={"app": app_id, "to": tag})


async def keep(resources: Resources, app_id: str, tag: str) -> None:
    """Take a snapshot of one app under ``tag``; the store is made where there is none.

    Raises:
        PartialFailure: the app cannot be read. StoreError: the store cannot be written.
    """
    message = "kept by a runbook before it changed the app"
    wanted = TakeOptions(selectors=(app_id,), tag=tag, message=message, access=resources.access)
    taken = await take(await resources.instance(), resources.make_store(), wanted, clock=resources.clock)
    if taken.error is not None:
        raise taken.error
