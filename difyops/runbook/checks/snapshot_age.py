"""``snapshot.age``: is the last complete snapshot fresh?"""

from __future__ import annotations

from datetime import datetime

from difyops.git_store import GitStore
from difyops.runbook.parameters import Duration
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value
from difyops.runbook.scene import Scene
from difyops.snapshot.check import verify
from difyops.snapshot.history import checked_at
from difyops.snapshot.layout import read_manifest


async def check(scene: Scene, *, max_age: Duration = 93600.0, verified: bool = False) -> Result:
    """Hold the time since the instance was last read into the store to ``max_age`` (26 h); a partial one fails.

    A day on which nothing changed makes no new commit, but it was looked at, and that counts. ``verified: true`` also
    hashes the newest snapshot again. No snapshot at all is a failure.
    """
    store = scene.open_store()
    head = store.head(scene.context_name)
    if head is None:
        return Fail(text=f"there is no snapshot of {scene.context_name}", hint="difyops snapshot create")
    manifest = read_manifest(store, head)
    last = checked_at(store, scene.context_name) or manifest.taken_at
    age = (scene.clock.now() - datetime.fromisoformat(last)).total_seconds()
    values = (
        Value(name="age", value=round(age), unit="s", fail=max_age),
        Value(name="apps", value=len(manifest.apps), unit="apps"),
        Value(name="complete", value=manifest.complete),
    )
    if not manifest.complete:
        named = ", ".join(str(item.get("name")) for item in manifest.failed[:5])
        return Fail(text="the last snapshot is partial", values=values, excerpt=named, hint="difyops snapshot create")
    if age > max_age:
        text = f"the last look at {scene.context_name} was {age / 3600:.1f} h ago"
        return Fail(text=text, values=values, hint="difyops snapshot create")
    return _verified(scene, store, values, age) if verified else _fresh(age, values)


def _fresh(age: float, values: tuple[Value, ...]) -> Result:
    return Pass(text=f"the last snapshot is complete and {age / 3600:.1f} h old", values=values)


def _verified(scene: Scene, store: GitStore, values: tuple[Value, ...], age: float) -> Result:
    checked = verify(store, scene.context_name)
    if checked.error is not None:
        return Fail(text=f"the snapshot is damaged: {checked.error.message}", values=values, hint=checked.error.hint)
    if age < 0:
        return Inconclusive(text="the snapshot is from the future; look at this machine's clock", values=values)
    return Pass(text=f"the last snapshot is complete, {age / 3600:.1f} h old and whole", values=values)
