"""``machine.python``: the Python that runs difyops."""

from __future__ import annotations

import platform

from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value
from difyops.runbook.threads import apart
from difyops.runbook.version_text import numbers


async def check(resources: Resources, *, at_least: str = "3.11") -> Result:
    """Hold the version of the Python that runs difyops, on this machine, to ``at_least``."""
    found, least = await apart(platform.python_version), numbers(at_least)
    if not least:
        return Inconclusive(text=f"{at_least!r} is no version")
    values = (Value(name="version", value=found),)
    if numbers(found) < least:
        return Fail(text=f"{found}; {at_least} is needed", values=values, hint="Install difyops with a newer Python.")
    return Pass(text=found, values=values)
