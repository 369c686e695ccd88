"""``ledger.whole``: is the record of what was done complete and unchanged?"""

from __future__ import annotations

import contextlib

from difyops.errors import Refused, StoreError, UsageError
from difyops.ledger import Ledger
from difyops.ledger.anchor import Anchor, name_of, path_of
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped
from difyops.runbook.scene import Scene
from difyops.runbook.threads import apart


async def check(scene: Scene, *, must_exist: bool = False) -> Result:
    """Check the ledger's file, the chain of its audit trail, and that it holds what was kept of it beside it and in the
    store. Where none was written yet there is nothing to check,
    which is inconclusive when it ``must_exist``.
    """
    path = scene.config.state / "ledger.sqlite3"
    if not path.exists() and not path_of(path).exists() and not await apart(lambda: _kept_in_store(scene)):
        text = "nothing was written yet"
        return Inconclusive(text=text) if must_exist else Skipped(text=text)

    def looked() -> list[str]:
        with Ledger.open(path) as ledger:
            return ledger.check() or [
                problem
                for kept in _kept_in_store(scene)
                for problem in ledger.missing(kept, f"in the store {scene.config.store}")
            ]

    try:
        problems = await apart(looked)
    except StoreError as error:
        return Fail(text=error.message, hint=error.hint)
    hint = f"Find out who did that; then move the ledger away with its -wal, -shm and .anchor: {path.parent}"
    return Fail(text=problems[0], excerpt="; ".join(problems), hint=hint) if problems else Pass(text="whole")


def _kept_in_store(scene: Scene) -> list[Anchor]:
    """Return how long the ledger was by what the store keeps; a store that cannot be read has a check of its own."""
    with contextlib.suppress(StoreError, Refused, UsageError, ValueError):
        if scene.config.store.exists():
            kept = scene.open_store().anchors(scene.context_name).get(name_of(scene.config.state / "ledger.sqlite3"))
            return [Anchor.of(kept)] if kept else []
    return []
