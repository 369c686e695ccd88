"""``snapshot.rollback``: one app back to what a snapshot holds."""

from __future__ import annotations

from dataclasses import replace

from difyops.counting import counted
from difyops.runbook.keeping import keep, tag_before, way_back
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Value
from difyops.snapshot.plan import make_plan
from difyops.snapshot.rollback import RollbackOptions, roll_back
from difyops.snapshot.way_back import WayBackRequest, find_way_back


async def plan(
    resources: Resources, *, app: str, to: str = "latest", with_old_secrets: bool = False, allow_missing: bool = False
) -> Planned:
    """Roll one app back to a snapshot (tag, commit, latest, latest~1) or to a version of the server (previous, an id):
    planned, proved by reading back, undone when the proof fails. What is live is kept first, in a snapshot of this app
    with a tag of its own; without that nothing is rolled back. Undo: roll back to that tag.
    """
    instance = await resources.instance()
    way = await find_way_back(instance, resources.open_store, WayBackRequest(word=to, access=resources.access))
    kept = await way.kept(await resources.app(app))
    options = RollbackOptions(allow_missing=allow_missing)
    wanted = replace(
        options.plan,
        with_old_secrets=with_old_secrets,
        otherwise=allow_missing,
        seal=way.seal,
        access=resources.access,
    )
    options = replace(options, plan=wanted)
    found, _ = await make_plan(instance, kept, to, options.plan)
    if found.nothing_to_do:
        return Planned(text=f"{found.app_name} is what {to} holds already")
    tag = tag_before(resources, "rollback")

    async def apply() -> Acted:
        await keep(resources, found.app_id, tag)
        exact = replace(options, expected_plan=found.id)
        done = await roll_back(await resources.workspace(), kept, to, exact)
        values = (
            Value(name="proofs", value=len(done.proofs)),
            Value(name="seconds", value=done.seconds, unit="s"),
            Value(name="live_before", value=found.live_before),
            Value(name="kept_as", value=tag),
        )
        return Acted(
            text=f"{found.app_name}: {done.state}, {counted(len(done.proofs), 'proof')} read back", values=values
        )

    problems = f" Problems: {'; '.join(found.problems)}." if found.problems else ""
    text = (
        f"keep what is live of {found.app_name} as {tag}, then roll it back to {to}"
        f" ({counted(len(found.changes), 'change')})"
    )
    return Planned(text=f"{text}.{problems}".rstrip("."), apply=apply, undo=way_back(found.app_id, tag))
