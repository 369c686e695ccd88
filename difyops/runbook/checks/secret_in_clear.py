"""``secret.in_clear``: secrets that stand in apps for every editor and every export to read."""

from __future__ import annotations

from difyops.counting import counted
from difyops.rotation.inventory import in_clear
from difyops.rotation.reading import WorkspaceReading
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value

_MOST_NAMED = 6


async def check(resources: Resources, *, max_in_clear: int = 0) -> Result:
    """Read what is live of every app and count the secrets outside of secret variables and credentials: the same that
    ``difyops secret list`` names. They are named by place, never shown. Apps that cannot be read are inconclusive.
    """
    reading = WorkspaceReading(await resources.instance())
    documents = await reading.documents()
    found = in_clear(documents)
    value = Value(name="in_clear", value=len(found), unit="secrets", fail=max_in_clear)
    if len(found) > max_in_clear:
        named = [f"{item.app}: {item.label or item.place}" for item in found]
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        text = f"{len(found)} in clear: {'; '.join(named[:_MOST_NAMED])}{more}"
        return Fail(text=text, values=(value,), excerpt="; ".join(named), hint=found[0].advice)
    if reading.problems:
        return Inconclusive(text=f"not every app could be read: {reading.problems[0]}", values=(value,))
    return Pass(text=f"none in {counted(len(documents), 'live version')}", values=(value,))
