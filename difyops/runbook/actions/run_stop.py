"""``run.stop``: ask a run to end."""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned


async def plan(resources: Resources, *, app: str, task: str) -> Planned:
    """Ask the server to stop one run by its task id, which only the caller of the run was told (not the run id).

    The server always says success: for unknown tasks too, and for runs whose worker is dead, which stay running for
    ever. What the logs say afterwards counts (``runs.stuck``). There is no undo.
    """
    instance = await resources.instance()
    chosen = await resources.app(app)

    async def apply() -> Acted:
        await instance.console.stop_run(chosen, task)
        resources.audit("run.stop", chosen.id, task=task)
        return Acted(text=f"{chosen.name}: the server was asked to stop {task}; whether it did, the logs say")

    return Planned(text=f"stop the run with task {task} of {chosen.name}", apply=apply)
