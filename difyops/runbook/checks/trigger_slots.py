"""``trigger.slots``: did every schedule run at its slots?"""

from __future__ import annotations

from datetime import timedelta

from difyops.counting import counted
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.trigger.audit import audit
from difyops.trigger.matching import DOUBLED, LATE, MISSED, OFF, UNKNOWN


async def check(
    resources: Resources, *, apps: list[str] | None = None, since: Duration = 86400.0, on_time: Duration = 120.0
) -> Result:
    """Hold the slots of schedules since ``since`` (24 h) to the runs in the log: one missed or doubled fails.

    A run that starts more than ``on_time`` (2 min) after its slot warns. What the log cannot tell, as when a trigger is
    off now and nobody knows since when, is inconclusive. ``apps`` defaults to all. Why it was: difyops trigger audit.
    """
    every = await resources.apps()
    chosen = await resources.chosen(apps) if apps else every
    rest = [app for app in every if app.id not in {item.id for item in chosen}]
    back = timedelta(seconds=since)
    found = await audit(await resources.workspace(), chosen, back, on_time=timedelta(seconds=on_time), others=rest)
    values = tuple(
        Value(name=word, value=found.counts[word], unit="slots", fail=0 if word in (MISSED, DOUBLED) else None)
        for word in (MISSED, DOUBLED, LATE, OFF, UNKNOWN)
    )
    hint = "difyops trigger audit"
    worst = [row for row in found.findings if row.verdict in (MISSED, DOUBLED)] or list(found.findings)
    said = f"{worst[0].app} at {worst[0].slot or worst[0].started:%Y-%m-%dT%H:%M}: {worst[0].why}" if worst else ""
    if found.counts[MISSED] + found.counts[DOUBLED]:
        text = (
            f"{counted(found.counts[MISSED], 'slot')} missed, {counted(found.counts[DOUBLED], 'run')} too many: {said}"
        )
        return Fail(text=text, values=values, hint=hint)
    if found.error is not None:
        return Inconclusive(text=found.error.message, values=values, hint=hint)
    if found.counts[LATE]:
        return Warn(
            text=f"{found.counts[LATE]} of {counted(found.slots, 'slot')} ran late: {said}", values=values, hint=hint
        )
    return Pass(text=f"{counted(found.slots, 'slot')} of {counted(found.apps, 'schedule')} ran", values=values)
