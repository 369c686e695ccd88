"""``acme.bell``: rings a bell."""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned


async def plan(resources: Resources, *, times: int = 1) -> Planned:
    """Ring so many times. Nothing is changed, so there is no undo."""

    async def apply() -> Acted:
        return Acted(text=f"rang {times} times")

    return Planned(text=f"ring {times} times", apply=apply, asks=False, changes=False)
