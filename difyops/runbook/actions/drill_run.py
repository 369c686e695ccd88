"""``drill.run``: restore the newest snapshot into scratch apps, prove it, and take them away."""

from __future__ import annotations

from difyops.counting import counted
from difyops.drill.model import DrillRequest
from difyops.drill.run import run
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Value


async def plan(
    resources: Resources, *, apps: list[str] | None = None, smoke: bool = True, allow_effects: bool = False
) -> Planned:
    """Drill the apps of the newest snapshot (all without ``apps``) on this instance, under names of the drill's own.

    Nothing of it stays, also of a drill that was killed before. A finding that is a failure fails the step. Apps whose
    nodes write somewhere are run only with ``allow_effects``. RPO, RTO and findings go into the ledger: drill report.
    """
    instance = await resources.instance()

    async def apply() -> Acted:
        workspace = await resources.workspace()
        request = DrillRequest(
            source=resources.context_name, selectors=tuple(apps or ("all",)), smoke=smoke, allow_effects=allow_effects
        )
        found = await run(workspace, resources.open_store(), request)
        if found.error is not None:
            raise found.error
        proven = sum(app.proven for app in found.apps)
        values = (
            Value(name="rto", value=found.rto, unit="s"),
            Value(name="rpo", value=found.rpo, unit="s"),
            Value(name="proven", value=proven, unit="apps"),
        )
        return Acted(text=f"{proven} of {counted(len(found.apps), 'app')} restored, proven and removed", values=values)

    what = ", ".join(apps) if apps else "every app of the newest snapshot"
    return Planned(text=f"restore {what} into scratch apps on {instance.name} and remove them", apply=apply)
