"""``wait``: give what was done time to show."""

from __future__ import annotations

from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned


async def plan(resources: Resources, *, seconds: Duration) -> Planned:
    """Wait; the step's own timeout must be longer. Nothing is changed and nobody is asked.

    Cut off, by its timeout or the deadline of the run, it is inconclusive: what was to show had no time to.
    """

    async def apply() -> Acted:
        await resources.clock.sleep(seconds)
        return Acted(text=f"waited {seconds:g} s")

    return Planned(text=f"wait {seconds:g} s", apply=apply, asks=False, changes=False)
