"""``app.disable_api``: protect callers and budget by switching one app's API off."""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Planned
from difyops.runbook.switches import plan_api


async def plan(resources: Resources, *, app: str) -> Planned:
    """Switch the service API of one app off: its callers get 403 at once, runs in flight go on. Undo: enable_api."""
    return await plan_api(resources, app, on=False)
