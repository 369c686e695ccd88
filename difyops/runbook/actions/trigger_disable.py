"""``trigger.disable``: stop what floods the queues."""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Planned
from difyops.runbook.switches import plan_triggers


async def plan(resources: Resources, *, app: str, trigger: list[str] | None = None) -> Planned:
    """Switch an app's triggers off: some by title, node id or kind (webhook, schedule), or all. Undo: trigger.enable.

    A webhook that is off answers 404 to its callers; what was accepted before is still carried out.
    """
    return await plan_triggers(resources, app, trigger, on=False)
