"""``app.enable_api``: let callers in again."""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Planned
from difyops.runbook.switches import plan_api


async def plan(resources: Resources, *, app: str) -> Planned:
    """Switch the service API of one app on again: its callers get in from the next call on. Undo: disable_api."""
    return await plan_api(resources, app, on=True)
