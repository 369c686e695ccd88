"""``approve``: a person decides."""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned


async def plan(resources: Resources, *, question: str) -> Planned:
    """Ask a person at the terminal; ``--yes`` does not answer it, ``--approve STEP`` does beforehand.

    Without a terminal it is refused, and so is everything that needs it.
    """

    async def apply() -> Acted:
        return Acted(text=f"approved: {question}")

    return Planned(text=question, apply=apply, approval=True)
