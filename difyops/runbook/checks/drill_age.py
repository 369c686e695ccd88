"""``drill.age``: was the way back proven lately?"""

from __future__ import annotations

from datetime import datetime, timedelta

from difyops.drill.report import report
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value

_LOOK_BACK = timedelta(days=3650)


async def check(resources: Resources, *, max_age: Duration = 35 * 86400.0) -> Result:
    """Hold the time since the last restore drill that passed to ``max_age`` (35 days); none at all fails.

    A backup that nobody restored is a hope. Reads the ledger of this machine.
    """
    if resources.ledger is None:
        return Inconclusive(text="this run has no ledger to look into")
    now = resources.clock.now()
    found = report(resources.ledger, resources.context_name, now - _LOOK_BACK)
    if found.last_passed is None:
        count = len(found.drills)
        text = f"none of {count} restore drills passed" if count else "no restore drill was run"
        return Fail(text=text, hint="difyops drill run")
    age = (now - datetime.fromisoformat(found.last_passed)).total_seconds()
    values = (
        Value(name="age", value=round(age), unit="s", fail=max_age),
        Value(name="rto", value=found.drills[-1]["rto"], unit="s"),
    )
    text = f"the last restore drill that passed was {max(age, 0.0) / 86400:.1f} days ago"
    if age > max_age:
        return Fail(text=text, values=values, hint="difyops drill run")
    return Pass(text=text, values=values)
