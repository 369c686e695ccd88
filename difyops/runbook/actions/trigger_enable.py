"""``trigger.enable``: let webhooks and schedules start runs again."""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Planned
from difyops.runbook.switches import plan_triggers


async def plan(resources: Resources, *, app: str, trigger: list[str] | None = None) -> Planned:
    """Switch an app's triggers on: some by title, node id or kind, or all. Undo: trigger.disable.

    A schedule that missed its time while it was off may run once at once (seen on 1.15).
    """
    return await plan_triggers(resources, app, trigger, on=True)
