"""``acme.weather``: is it warm enough?"""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Result, Value, held


async def check(resources: Resources, *, degrees: float = 20.0, most: float = 30.0) -> Result:
    """Hold the temperature to a limit; it is given, not measured, for this is an example."""
    return held(Value(name="degrees", value=degrees, fail=most), f"{degrees:g} degrees")
