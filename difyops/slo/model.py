"""What was found about each goal: plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from difyops.perf.trend import Cause
from difyops.statistics import Interval

Kind = Literal["availability", "latency", "validity", "cost"]
Verdict = Literal["ok", "burning", "not enough events"]
OK: Verdict = "ok"
BURNING: Verdict = "burning"
NOT_ENOUGH: Verdict = "not enough events"


@dataclass(frozen=True, slots=True)
class GoalEvent:
    """One event: when, of which app, whether it was bad, how many it stands for (above 1 when drawn by chance)."""

    at: float
    app: str
    bad: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """How fast the budget burns in a window: bad among ``n`` events, ``rate`` 1 would spend it exactly in the period.

    ``interval`` is the exact interval of the burn rate.
    """

    hours: float
    n: int
    bad: int
    rate: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairState:
    """A pair of windows and what was found: both must burn faster than ``factor``."""

    severity: Literal["page", "ticket"]
    speed: Literal["quick", "slow"]
    factor: float
    long: Burn
    short: Burn
    state: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPart:
    """What one app brought to a goal."""

    app: str
    name: str
    events: int
    bad: int
    causes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the period: its events, and the share of the budget that was left at its end."""

    at: datetime
    events: int
    bad: int
    left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalStatus:
    """One goal as it stands. ``share`` of good events with its interval; ``left`` is the share of the budget that is
    left (below 0: overspent); ``classes`` counts all runs by whose they are, those that do not burn included.
    """

    goal: str
    kind: Kind
    context: str
    percent: float
    days: int
    since: datetime
    until: datetime
    verdict: Verdict
    said: str
    events: int
    bad: int
    share: float | None
    interval: Interval | None
    left: float | None
    classes: dict[str, int]
    pairs: tuple[PairState, ...]
    apps: tuple[AppPart, ...]
    burning_since: datetime | None
    cause: Cause | None
    series: tuple[Day, ...]
    owner: str
    warnings: tuple[str, ...]
    totals: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalReport:
    """All goals of a file in one context."""

    context: str
    file: str
    made: datetime
    goals: tuple[GoalStatus, ...]
