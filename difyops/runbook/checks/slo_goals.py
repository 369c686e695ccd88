"""``slo.goals``: does a goal burn its error budget?"""

from __future__ import annotations

from pathlib import Path

from difyops.clock import iso
from difyops.counting import counted
from difyops.history.store import FILE, History
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped, Value, Warn
from difyops.runbook.threads import apart
from difyops.slo.goals_file import read_goals
from difyops.slo.model import BURNING, NOT_ENOUGH, GoalReport, GoalStatus
from difyops.slo.status import StatusRequest, kept_apps, report


async def check(
    resources: Resources,
    *,
    goals: str,
    only: list[str] | None = None,
    require_events: bool = False,
    pages: bool = False,
) -> Result:
    """Judge the goals of a file from the history; one that burns fails, with the apps, since when, and after what.

    ``only`` names goals. Too few events warn, and with ``require_events`` are inconclusive. With ``pages`` only what
    would page somebody fails, and a ticket warns. Without history the check is inconclusive: difyops history sync.
    """
    if not (resources.config.state / FILE).is_file():
        return Inconclusive(text="no history is kept on this machine", hint="difyops history sync")
    found = await apart(lambda: _judged(resources, Path(goals), set(only or ())))
    if not found.goals:
        return Skipped(text=f"{goals} has no goal {', '.join(only or ())}")
    burning = [goal for goal in found.goals if goal.verdict == BURNING]
    few = [goal for goal in found.goals if goal.verdict == NOT_ENOUGH]
    values = (
        Value(name="burning", value=len(burning), unit="goals", fail=0),
        *(Value(name=f"left_{goal.goal}", value=round(100 * goal.left, 1), unit="%") for goal in found.goals
          if goal.left is not None),
    )  # fmt: skip
    if burning:
        graver = [goal for goal in burning if not pages or _pages(goal)]
        kind = Fail if graver else Warn
        worst = (graver or burning)[0]
        named = ", ".join(goal.goal for goal in burning)
        return kind(
            text=f"{named}: {worst.said}", values=values, excerpt=_why(worst), hint="difyops slo report"
        )  # fmt: skip
    if few:
        unknown: type[Result] = Inconclusive if require_events else Warn
        text = f"too few events to judge {', '.join(goal.goal for goal in few)}: {few[0].said}"
        excerpt = "; ".join(few[0].warnings)
        return unknown(text=text, values=values, excerpt=excerpt, hint="difyops history sync")
    return Pass(text=f"none of {counted(len(found.goals), 'goal')} burns", values=values)


def _judged(resources: Resources, path: Path, only: set[str]) -> GoalReport:
    chosen = tuple(goal for goal in read_goals(path) if not only or goal.name in only)
    with History.open(resources.config.state) as history:
        asked = StatusRequest(
            context=resources.context_name,
            file=str(path),
            goals=chosen,
            apps=kept_apps(history, resources.context_name),
            now=resources.clock.now(),
        )
        return report(history, asked, resources.ledger)


def _pages(goal: GoalStatus) -> bool:
    return any(pair.state == BURNING and pair.severity == "page" for pair in goal.pairs)


def _why(goal: GoalStatus) -> str:
    """Return since when, after what, and which apps: what whoever is called asks first."""
    said = []
    if goal.burning_since is not None:
        said.append(f"since {iso(goal.burning_since)}")
    if goal.cause is not None:
        by = f" by {goal.cause.by}" if goal.cause.by else ""
        said.append(f"after {goal.cause.what} {goal.cause.subject}{by} at {iso(goal.cause.at)}")
    said += [f"{part.name}: {part.bad} of {part.events} bad" for part in goal.apps[:5] if part.bad]
    return "; ".join(said)
