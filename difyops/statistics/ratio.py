"""A total over all runs from node records of some of them: the ratio estimator, with its interval.

What is known of every run (its tokens) carries what was read of a few (their price). Runs that were certain to be read
count as they are; the rest is estimated from those drawn by chance, each weighted by one over its recorded chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from difyops.statistics.distributions import student_value
from difyops.statistics.proportions import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One run that was read: what was measured, what is known of every run, its chance of being read (above 0)."""

    value: float
    size: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A total, how many runs it stands on, and its interval: ``None`` when too few were drawn to tell."""

    total: float
    n: int
    interval: Interval | None
    exact: bool = False


def estimate_total(
    drawn: Sequence[Drawn], *, size_of_all: float, count_of_all: int, confidence: float = 0.95
) -> Estimate | None:
    """Estimate the total of ``value`` over all runs, of which the sizes add up to ``size_of_all``.

    Returns ``None`` when nothing was drawn from a rest that is not empty.
    """
    certain = [item for item in drawn if item.chance >= 1]
    chosen = [item for item in drawn if 0 < item.chance < 1]
    sure = math.fsum(item.value for item in certain)
    rest_size = max(0.0, size_of_all - math.fsum(item.size for item in certain))
    rest_count = max(0, count_of_all - len(certain))
    if rest_count == 0:
        return Estimate(total=sure, n=len(drawn), interval=Interval(low=sure, high=sure), exact=True)
    if not chosen:
        return None
    total, error = _ratio(chosen, rest_size) or _expansion(chosen, rest_count)
    whole = sure + total
    if error is None:
        return Estimate(total=whole, n=len(drawn), interval=None)
    reach = student_value(confidence, len(chosen) - 1) * error
    low = sure if all(item.value >= 0 for item in chosen) else -math.inf
    return Estimate(total=whole, n=len(drawn), interval=Interval(low=max(low, whole - reach), high=whole + reach))


def _ratio(chosen: Sequence[Drawn], rest_size: float) -> tuple[float, float | None] | None:
    sizes = math.fsum(item.size / item.chance for item in chosen)
    if sizes <= 0:
        return None
    rate = math.fsum(item.value / item.chance for item in chosen) / sizes
    if len(chosen) < 2:
        return rate * rest_size, None
    squares = math.fsum((1 - item.chance) * ((item.value - rate * item.size) / item.chance) ** 2 for item in chosen)
    correction = len(chosen) / (len(chosen) - 1)
    return rate * rest_size, rest_size / sizes * math.sqrt(squares * correction)


def _expansion(chosen: Sequence[Drawn], rest_count: int) -> tuple[float, float | None]:
    """Estimate by counting runs, where nothing known of all of them says how large they are."""
    sized = [Drawn(value=item.value, size=1.0, chance=item.chance) for item in chosen]
    return _ratio(sized, float(rest_count)) or (0.0, None)


def weighted_ratio(
    rows: Sequence[tuple[float, float, float]], *, least: float = 0.0, confidence: float = 0.95
) -> tuple[float, Interval | None]:
    """Return what the parts of (part, whole, weight) rows are of the wholes, and its interval, not below ``least``.

    With a whole of 1 it is the mean of the parts. No interval from fewer than two rows, or where every part is 0: that
    none was seen does not tell how many there are.
    """
    whole = math.fsum(one * size for _, size, one in rows)
    if whole <= 0:
        return 0.0, None
    found = math.fsum(one * part for part, _, one in rows) / whole
    squares = math.fsum((one * (part - found * size)) ** 2 for part, size, one in rows)
    return found, ratio_interval(found, len(rows), squares, whole, least=least, confidence=confidence)


def ratio_interval(
    found: float, n: int, squares: float, whole: float, *, least: float = 0.0, confidence: float = 0.95
) -> Interval | None:
    """Return the interval of a ratio from sums over ``n`` weighted rows.

    ``squares``: of what each part differs by from what its whole lets expect, times its weight; ``whole``: the weighted
    wholes. ``None`` from fewer than two rows, or where every part is 0.
    """
    if n < 2 or found == 0:
        return None
    reach = student_value(confidence, n - 1) * math.sqrt(squares * n / (n - 1)) / whole
    return Interval(low=max(least, found - reach), high=found + reach)
