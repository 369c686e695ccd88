"""``perf report``: everything about an app in one result, for a table, a file, or a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from difyops.history.store import History
from difyops.ledger import Ledger
from difyops.perf.advise import Advised, advise
from difyops.perf.facts import Scope
from difyops.perf.nodes import Profile, lines_of, profile
from difyops.perf.summary import PerfSummary, summarise
from difyops.perf.timeline import Timeline
from difyops.perf.trend import Trend, trend


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSection:
    """The error budget of a goal that the app is part of: what is left now, and at the end of each day."""

    goal: str
    verdict: str
    percent: float
    days: int
    left: float | None
    series: tuple[tuple[datetime, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfReport:
    """Summary, series with changes, nodes, advice, the waterfall of a run near the 95th percentile, error budgets."""

    context: str
    made: datetime
    summary: PerfSummary
    trend: Trend
    profile: Profile
    advised: Advised
    example: Timeline | None
    budgets: tuple[BudgetSection, ...] = ()


def report(history: History, scope: Scope, ledger: Ledger | None, *, now: datetime) -> PerfReport:
    """Make the report of a scope."""
    read = lines_of(history, scope)
    lines = sorted((line for _, line in read), key=lambda line: line.total)
    example = lines[min(len(lines) - 1, int(0.95 * len(lines)))] if lines else None
    return PerfReport(
        context=scope.context, made=now, summary=summarise(history, scope), trend=trend(history, scope, ledger),
        profile=profile(history, scope, read), advised=advise(history, scope, ledger, now=now), example=example,
    )  # fmt: skip
