"""``snapshot.age``: is the last complete snapshot fresh?"""

from __future__ import annotations

from datetime import datetime

from difyops.clock import MAY_DIFFER
from difyops.git_store import GitStore
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Pass, Result, Value
from difyops.runbook.threads import apart
from difyops.snapshot.check import verify
from difyops.snapshot.history import checked_at
from difyops.snapshot.layout import Manifest, read_manifest

_MOST = 200  # snapshots that are looked through for the last complete one


async def check(resources: Resources, *, max_age: Duration = 93600.0, verified: bool = False) -> Result:
    """Hold the time since the instance was last read into the store to ``max_age`` (26 h); a partial one fails.

    A look that lies in the future fails, too: a clock was or is wrong, and no age that follows from it means anything.
    A day on which nothing changed makes no new commit, but it was looked at, and that counts. One of selected apps,
    taken before they were changed, does not make an older complete one stale or fresh. ``verified: true`` also hashes
    the newest snapshot again. No snapshot at all is a failure.
    """
    return await apart(lambda: _looked(resources, max_age, verified=verified))  # a store may be on a disk that hangs


def _looked(resources: Resources, max_age: float, *, verified: bool) -> Result:
    if not resources.config.store.exists():
        text = f"there is no snapshot of {resources.context_name}, and no store at {resources.config.store}"
        return Fail(text=text, hint="difyops snapshot create, or --store (DIFYOPS_STORE)")
    store = resources.open_store()
    head = store.head(resources.context_name)
    if head is None:
        return Fail(text=f"there is no snapshot of {resources.context_name}", hint="difyops snapshot create")
    newest = read_manifest(store, head)
    manifest = newest if newest.complete else _last_complete(store, resources.context_name)
    if newest.failed or manifest is None:
        named = ", ".join(str(item.get("name")) for item in newest.failed[:5])
        partial = (Value(name="complete", value=False), Value(name="apps", value=len(newest.apps), unit="apps"))
        return Fail(text="the last snapshot is partial", values=partial, excerpt=named, hint="difyops snapshot create")
    last = checked_at(store, resources.context_name) or manifest.taken_at
    age = (resources.clock.now() - datetime.fromisoformat(last)).total_seconds()
    values = (
        Value(name="age", value=round(age), unit="s", fail=max_age),
        Value(name="apps", value=len(manifest.apps), unit="apps"),
        Value(name="complete", value=True),
    )
    if age < -MAY_DIFFER:
        text = f"the last look at {resources.context_name} was {-age / 3600:.1f} h from now; look at the clocks"
        return Fail(
            text=text, values=values, hint="Set the clock of this machine, and of the one that wrote it, right."
        )
    if age > max_age:
        text = f"the last look at {resources.context_name} was {age / 3600:.1f} h ago"
        return Fail(text=text, values=values, hint="difyops snapshot create")
    return _verified(resources, store, values, age) if verified else _fresh(age, values)


def _last_complete(store: GitStore, context: str) -> Manifest | None:
    """Return the newest complete snapshot below one of a few apps, as is taken before they are changed."""
    manifests = (read_manifest(store, info.id) for info in store.log(context, limit=_MOST))
    return next((manifest for manifest in manifests if manifest.complete), None)


def _fresh(age: float, values: tuple[Value, ...]) -> Result:
    return Pass(text=f"the last snapshot is complete and {max(age, 0.0) / 3600:.1f} h old", values=values)


def _verified(resources: Resources, store: GitStore, values: tuple[Value, ...], age: float) -> Result:
    checked = verify(store, resources.context_name)
    if checked.error is not None:
        return Fail(text=f"the snapshot is damaged: {checked.error.message}", values=values, hint=checked.error.hint)
    return Pass(text=f"the last snapshot is complete, {max(age, 0.0) / 3600:.1f} h old and whole", values=values)
