"""``snapshot.rollback``: one app back to what a snapshot holds."""

from __future__ import annotations

from dataclasses import replace

from difyops.runbook.keeping import keep, tag_before, way_back
from difyops.runbook.result import Acted, Planned, Value
from difyops.runbook.scene import Scene
from difyops.sealing.store import seal_to_compare
from difyops.snapshot.belonging import place_of, require_same
from difyops.snapshot.history import kept_app
from difyops.snapshot.layout import read_manifest
from difyops.snapshot.plan import make_plan
from difyops.snapshot.rollback import RollbackOptions, roll_back


async def plan(
    scene: Scene, *, app: str, to: str = "latest", with_old_secrets: bool = False, allow_missing: bool = False
) -> Planned:
    """Roll one app back to a snapshot (tag, commit, latest, latest~1): planned, proved by reading back, undone when
    the proof fails. What is live is kept first, in a snapshot of this app with a tag of its own; without that nothing
    is rolled back. Undo: roll back to that tag.
    """
    instance = await scene.instance()
    store = scene.open_store()
    commit = store.resolve(to, branch=instance.name)
    require_same(store, instance.name, read_manifest(store, commit), await place_of(instance))
    kept = kept_app(store, commit, (await scene.app(app)).id)
    options = RollbackOptions(allow_missing=allow_missing)
    seal = seal_to_compare(store, instance.name, scene.access)
    wanted = replace(
        options.plan,
        with_old_secrets=with_old_secrets,
        otherwise=allow_missing,
        seal=seal,
        access=scene.access,
    )
    options = replace(options, plan=wanted)
    found, _ = await make_plan(instance, kept, to, options.plan)
    if found.nothing_to_do:
        return Planned(text=f"{found.app_name} is what {to} holds already")
    tag = tag_before(scene, "rollback")

    async def apply() -> Acted:
        await keep(scene, found.app_id, tag)
        exact = replace(options, expected_plan=found.id)
        done = await roll_back(await scene.workspace(), kept, to, exact)
        values = (
            Value(name="proofs", value=len(done.proofs)),
            Value(name="seconds", value=done.seconds, unit="s"),
            Value(name="live_before", value=found.live_before),
            Value(name="kept_as", value=tag),
        )
        return Acted(text=f"{found.app_name}: {done.state}, {len(done.proofs)} proofs read back", values=values)

    problems = f" Problems: {'; '.join(found.problems)}." if found.problems else ""
    text = f"keep what is live of {found.app_name} as {tag}, then roll it back to {to} ({len(found.changes)} changes)"
    return Planned(text=f"{text}.{problems}".rstrip("."), apply=apply, undo=way_back(found.app_id, tag))
