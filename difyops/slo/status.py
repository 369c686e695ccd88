"""The state of every goal: which apps, how much budget is left, what burns, since when, after which change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from difyops.api.model import App
from difyops.counting import counted
from difyops.errors import SelectorError
from difyops.history import apps
from difyops.history.feeds import LOGS, MESSAGES, RUNS
from difyops.history.store import History
from difyops.ledger import Ledger
from difyops.perf.facts import RunFact, Scope
from difyops.perf.trend import Cause, cause_before
from difyops.slo import burn
from difyops.slo.events import EventsFound, events_of, merged
from difyops.slo.goals_file import Goal
from difyops.slo.model import BURNING, NOT_ENOUGH, OK, AppPart, GoalReport, GoalStatus, PairState, Verdict
from difyops.statistics import clopper_pearson
from difyops.targets import select

FRESH = 900.0  # seconds: history that ends earlier says nothing about now
_DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRequest:
    """What a report needs: the goals with their file, the apps that selectors mean, the moment, how old is too old."""

    context: str
    file: str
    goals: tuple[Goal, ...]
    apps: tuple[App, ...]
    now: datetime
    fresh: float = FRESH
    totals: bool = False


@dataclass(frozen=True, slots=True)
class _One:
    """One app of a goal."""

    app: App
    scope: Scope
    found: EventsFound


def kept_apps(history: History, context: str) -> tuple[App, ...]:
    """Return the apps of the history; their tags are not kept."""
    return tuple(App(id=app.id, name=app.name, mode=app.mode) for app in apps.kept_apps(history, context))


def report(history: History, asked: StatusRequest, ledger: Ledger | None) -> GoalReport:
    """Judge every goal.

    Raises:
        SelectorError: a goal's selector means no app. ConfigError: the schema of a validity goal cannot be used.
    """
    found = tuple(_status(history, asked, goal, ledger) for goal in asked.goals)
    return GoalReport(context=asked.context, file=asked.file, made=asked.now, goals=found)


def _status(history: History, asked: StatusRequest, goal: Goal, ledger: Ledger | None) -> GoalStatus:
    until = asked.now.timestamp()
    since = until - goal.days * _DAY
    parts = _read(history, asked, goal, since, until)
    whole = merged(part.found for part in parts)
    line = burn.BurnTimeline(whole.events)
    pairs = burn.judge(line, goal, until)
    verdict, late = burn.verdict_of(pairs), _late(history, asked, goal, parts)
    if late and verdict == OK:
        verdict = NOT_ENOUGH
    n, bad, share = line.counts(since, until)
    at = burn.began(whole.events, goal.budget, until - 3 * _DAY) if verdict == BURNING else None
    return GoalStatus(
        goal=goal.name, kind=goal.kind, context=asked.context, percent=goal.percent, days=goal.days,
        since=_moment(since), until=asked.now, verdict=verdict, said=_said(goal, verdict, pairs, n), events=n, bad=bad,
        share=None if share is None else 1 - share, interval=clopper_pearson(n - bad, n),
        left=burn.left(line, goal, since, until), classes=dict(whole.classes), pairs=pairs, apps=_parts(parts),
        burning_since=_moment(at) if at else None, cause=_cause(parts, ledger, at), owner=goal.owner,
        series=burn.series(line, goal, since, until), warnings=(*late, *whole.warnings),
        totals=_totals(history, asked, goal) if asked.totals else None,
    )  # fmt: skip


def _read(history: History, asked: StatusRequest, goal: Goal, since: float, until: float) -> list[_One]:
    parts = []
    for app in _apps(asked, goal):
        scope = Scope(context=asked.context, app=app.id, name=app.name, since=since, until=until)
        parts.append(_One(app, scope, events_of(history, scope, app.mode, goal)))
    return parts


def _totals(history: History, asked: StatusRequest, goal: Goal) -> tuple[int, int]:
    """Return events and bad ones since the history began: what a monitoring system takes differences of."""
    found = merged(part.found for part in _read(history, asked, goal, 0.0, asked.now.timestamp()))
    return len(found.events), sum(event.bad for event in found.events)


def _apps(asked: StatusRequest, goal: Goal) -> list[App]:
    try:
        return select(asked.apps, goal.apps)
    except SelectorError as error:
        raise SelectorError(f"{asked.file}:{goal.line}: goal {goal.name}: {error.message}", hint=error.hint) from None


def _late(history: History, asked: StatusRequest, goal: Goal, parts: Sequence[_One]) -> list[str]:
    """Say which apps' history does not reach up to now: nothing can be said about the windows that it misses."""
    now, said = asked.now.timestamp(), []
    for part in parts:
        feed = {"workflow": LOGS, "advanced-chat": RUNS}.get(part.app.mode, MESSAGES)
        stretches = history.stretches(asked.context, part.app.id, feed)
        end = max((item.t1 for item in stretches), default=None)
        if end is None and not part.found.runs:
            said.append(f"{part.app.name}: nothing was read yet (difyops history sync)")
        elif end is not None and now - end > asked.fresh:
            said.append(f"{part.app.name}: history ends {(now - end) / 60:.0f} min ago (difyops history sync)")
        if end is not None and end - now > 300:
            said.append(f"{part.app.name}: history lies in the future; a clock was changed")
    return said


def _parts(parts: Sequence[_One]) -> tuple[AppPart, ...]:
    found = [
        AppPart(
            app=part.app.id, name=part.app.name, events=len(part.found.events),
            bad=sum(event.bad for event in part.found.events), causes=dict(part.found.causes.most_common(5)),
        )
        for part in parts
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda item: (-item.bad, item.name)))


def _cause(parts: Sequence[_One], ledger: Ledger | None, at: float | None) -> Cause | None:
    """Return what was done before the burning began, to the app that brought most of it."""
    if at is None:
        return None
    worst = max(parts, key=lambda part: sum(event.bad and event.at >= at for event in part.found.events))
    return cause_before(_newest(worst.found.runs, at), worst.scope, ledger, at)


def _newest(found: Sequence[RunFact], at: float) -> list[RunFact]:
    return [run for run in found if run.started <= at + _DAY]


def _said(goal: Goal, verdict: Verdict, pairs: Sequence[PairState], n: int) -> str:
    if verdict == NOT_ENOUGH:
        most = max((item.long.n for item in pairs), default=0)
        return (
            f"{counted(most, 'event')} in the longest window, {goal.minimum_events} are needed; {n} in"
            f" {counted(goal.days, 'day')}"
        )
    burning = [item for item in pairs if item.state == BURNING]
    if not burning:
        return f"no window burns too fast; {counted(n, 'event')} in {counted(goal.days, 'day')}"
    first = burning[0]
    return (
        f"{first.severity}: {first.long.rate or 0:.3g} times too fast over {first.long.hours:g} h"
        f" (limit {first.factor:.3g}), {first.long.bad} of {first.long.n} bad"
    )


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def without_series(found: GoalStatus) -> GoalStatus:
    """Return a status without its days: ``check`` and ``status`` do not show them."""
    return replace(found, series=())
