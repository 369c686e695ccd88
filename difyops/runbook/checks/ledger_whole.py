"""``ledger.whole``: is the record of what was done complete and unchanged?"""

from __future__ import annotations

import contextlib
from pathlib import Path

from difyops.errors import Refused, StoreError, UsageError
from difyops.ledger.anchor import Anchor, name_of, path_of
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped
from difyops.runbook.threads import apart
from difyops.shared_state import open_ledger, place_of


async def check(resources: Resources, *, must_exist: bool = False) -> Result:
    """Check the ledger's file, the chain of its audit trail, and that it holds what was kept of it beside it and in the
    store. Where none was written yet there is nothing to check,
    which is inconclusive when it ``must_exist``.
    """
    place = place_of(resources.config)
    path = place.file
    if (
        place.url is None
        and not path.exists()
        and not path_of(path).exists()
        and not await apart(lambda: _kept_in_store(resources, path))
    ):
        text = "nothing was written yet"
        return Inconclusive(text=text) if must_exist else Skipped(text=text)

    def looked() -> list[str]:
        with open_ledger(resources.config) as ledger:
            return ledger.check() or [
                problem
                for kept in _kept_in_store(resources, ledger.path)
                for problem in ledger.missing(kept, f"in the store {resources.config.store}")
            ]

    try:
        problems = await apart(looked)
    except (StoreError, Refused) as error:
        return Fail(text=error.message, hint=error.hint)
    if not problems:
        return Pass(text=f"whole, in {place.shown}" if place.url else "whole")
    hint = f"Find out who did that; then move the ledger away with its -wal, -shm and .anchor: {path.parent}"
    if place.url:
        hint = "Find out who can write there besides difyops; the store and each machine keep how long it was."
    return Fail(text=problems[0], excerpt="; ".join(problems), hint=hint)


def _kept_in_store(resources: Resources, path: Path) -> list[Anchor]:
    """Return how long the ledger was by what the store keeps; a store that cannot be read has a check of its own."""
    with contextlib.suppress(StoreError, Refused, UsageError, ValueError):
        if resources.config.store.exists():
            kept = resources.open_store().anchors(resources.context_name).get(name_of(path))
            return [Anchor.of(kept)] if kept else []
    return []
