"""How fast a budget burns: rates in windows with exact intervals, verdicts of pairs, when the burning began.

A pair burns when both windows are above its factor, the long one holds the least events, and even the low end of its
exact interval is above: one failure among few calls is a rate of hundreds and a proof of nothing.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from difyops.slo.goals_file import Goal
from difyops.slo.model import BURNING, NOT_ENOUGH, OK, Burn, Day, GoalEvent, PairState, Verdict
from difyops.slo.windows import Pair, pairs
from difyops.statistics import Interval, clopper_pearson

_DAY = 86400.0


@dataclass(slots=True)
class BurnTimeline:
    """Events in the order of time, summed up so that a window costs two look-ups."""

    events: Sequence[GoalEvent]
    _at: list[float] = field(init=False)
    _bad: list[int] = field(init=False)
    _weights: list[tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        self._at = [event.at for event in self.events]
        self._bad, self._weights = [0], [(0.0, 0.0)]
        for event in self.events:
            self._bad.append(self._bad[-1] + event.bad)
            bad, all_ = self._weights[-1]
            self._weights.append((bad + event.weight * event.bad, all_ + event.weight))

    def counts(self, since: float, until: float) -> tuple[int, int, float | None]:
        """Return events, bad ones and the (weighted) bad share between two moments, the second one included."""
        low, high = bisect.bisect_right(self._at, since), bisect.bisect_right(self._at, until)
        bad = self._weights[high][0] - self._weights[low][0]
        weight = self._weights[high][1] - self._weights[low][1]
        return high - low, self._bad[high] - self._bad[low], bad / weight if weight > 0 else None

    def burn(self, hours: float, until: float, budget: float) -> Burn:
        """Return how fast the budget burns in the last ``hours``."""
        n, bad, share = self.counts(until - hours * 3600, until)
        found = clopper_pearson(bad, n)
        interval = Interval(low=found.low / budget, high=found.high / budget) if found else None
        return Burn(hours=hours, n=n, bad=bad, rate=None if share is None else share / budget, interval=interval)


def judge(line: BurnTimeline, goal: Goal, until: float) -> tuple[PairState, ...]:
    """Judge the four pairs of a goal's period."""
    return tuple(_pair(line, pair, goal, until) for pair in pairs(goal.days))


def _pair(line: BurnTimeline, pair: Pair, goal: Goal, until: float) -> PairState:
    long, short = (line.burn(hours, until, goal.budget) for hours in (pair.long, pair.short))
    return PairState(
        severity=pair.severity, speed=pair.speed, factor=pair.factor, long=long, short=short,
        state=_state(long, short, pair.factor, goal),
    )  # fmt: skip


def _state(long: Burn, short: Burn, factor: float, goal: Goal) -> Verdict:
    if long.n < goal.minimum_events or long.rate is None or long.interval is None:
        return NOT_ENOUGH
    if long.rate <= factor:
        return OK
    if short.rate is not None and short.rate <= factor:
        return OK  # it was bad and is over
    proven = long.interval.low > factor and short.rate is not None
    return BURNING if proven else NOT_ENOUGH


def verdict_of(found: Sequence[PairState]) -> Verdict:
    """Return the verdict of all pairs: one that burns is enough, and one that was judged makes it ok."""
    states = {item.state for item in found}
    return BURNING if BURNING in states else OK if OK in states else NOT_ENOUGH


def began(events: Sequence[GoalEvent], budget: float, since: float) -> float | None:
    """Return when the burning began: the start of the stretch up to now that overspent most, ``None`` for none."""
    best, total, at = 0.0, 0.0, None
    for event in reversed(events):
        if event.at < since:
            break
        total += event.weight * (event.bad - max(budget, 1e-9) * 2)
        if event.bad and total > best:
            best, at = total, event.at
    return at


def left(line: BurnTimeline, goal: Goal, since: float, until: float) -> float | None:
    """Return the share of the budget that is left; below zero when more was spent than there is."""
    _, _, share = line.counts(since, until)
    return None if share is None else 1 - share / goal.budget


def series(line: BurnTimeline, goal: Goal, since: float, until: float) -> tuple[Day, ...]:
    """Return the days of the period, in UTC: a clock that is changed somewhere makes no day longer or shorter here.

    What is left at a day's end counts what was spent up to then against the budget of all events of the period.
    """
    n_all = line.counts(since, until)[0]
    days: list[Day] = []
    spent, start = 0, since
    while start < until and n_all:
        end = min(until, (math.floor(start / _DAY) + 1) * _DAY)
        n, bad, _ = line.counts(start, end)
        spent += bad
        share = 1 - spent / (goal.budget * n_all)
        days.append(Day(at=datetime.fromtimestamp(start, UTC), events=n, bad=bad, left=share))
        start = end
    return tuple(days)
