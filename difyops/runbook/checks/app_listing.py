"""``app.listing``: can the apps be listed, and are there as many as there should be?"""

from __future__ import annotations

from difyops.counting import counted
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Pass, Result, Value


async def check(resources: Resources, *, at_least: int = 0) -> Result:
    """Read the whole list of apps once and count them; fewer than ``at_least`` fail. An empty workspace is often the
    wrong workspace.
    """
    console = (await resources.instance()).console
    apps = [app async for app in console.apps()]
    unpublished = sum(app.has_workflow and app.live_version is None for app in apps)
    values = (
        Value(name="apps", value=len(apps), unit="apps", fail=at_least, floor=True),
        Value(name="never_published", value=unpublished, unit="apps"),
    )
    text = f"{counted(len(apps), 'app')}, {unpublished} never published"
    if len(apps) < at_least:
        return Fail(text=f"{text}; at least {at_least} are expected", values=values, hint="difyops context show")
    return Pass(text=text, values=values)
