"""Quantiles with what they stand on: how many values there are, and the order statistics that enclose the true one.

Nearest rank, as everywhere in the house. The interval needs no assumption about the shape: its ranks come from the
binomial distribution. From a sample with unequal chances the shares are weighted and the interval is Woodruff's.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from difyops.statistics.distributions import binomial_quantile, z_value
from difyops.statistics.proportions import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """The value at ``share`` (0.95 for p95) of ``n`` values.

    ``value`` is ``None`` with fewer than ``1 / (1 - share)`` values: p95 of 19 values would be their maximum.
    ``interval`` is ``None`` where an end of it is unbounded: too few values lie beyond.
    """

    share: float
    n: int
    value: float | None = None
    interval: Interval | None = None


def quantile(ordered: Sequence[float], share: float, *, confidence: float = 0.95) -> Quantile:
    """Return the quantile at ``share`` of values in ascending order."""
    n = len(ordered)
    if n < fewest(share):
        return Quantile(share=share, n=n)
    value = ordered[min(n, max(1, math.ceil(share * n - 1e-9))) - 1]
    return Quantile(share=share, n=n, value=value, interval=_interval(ordered, share, confidence))


def quantiles(values: Sequence[float], shares: Sequence[float], *, confidence: float = 0.95) -> list[Quantile]:
    """Return the quantiles at all ``shares`` of values in any order."""
    ordered = sorted(values)
    return [quantile(ordered, share, confidence=confidence) for share in shares]


def fewest(share: float) -> int:
    """Return how many values a quantile needs to be anything but the smallest or the largest of them."""
    return max(1, math.ceil(1 / (1 - share) - 1e-9), math.ceil(1 / share - 1e-9)) if 0 < share < 1 else 1


@functools.lru_cache(maxsize=4096)
def ranks(n: int, share: float, *, confidence: float = 0.95) -> tuple[int, int] | None:
    """Return the ranks (from 1) of the two order statistics that enclose the true quantile; ``None`` if unbounded."""
    rest = (1 - confidence) / 2
    low = binomial_quantile(rest, n, share)
    high = binomial_quantile(1 - rest, n, share) + 1
    return (low, high) if low >= 1 and high <= n else None


def _interval(ordered: Sequence[float], share: float, confidence: float) -> Interval | None:
    found = ranks(len(ordered), share, confidence=confidence)
    return Interval(low=ordered[found[0] - 1], high=ordered[found[1] - 1]) if found else None


def weighted_quantile(pairs: Sequence[tuple[float, float]], share: float, *, confidence: float = 0.95) -> Quantile:
    """Return the quantile at ``share`` of (value, weight) pairs; a weight is one over the chance of being drawn.

    ``n`` is the number of values; whether they are enough is judged by the effective number (Kish), which unequal
    weights make smaller.
    """
    ordered = sorted(pairs)
    n, total = len(ordered), math.fsum(weight for _, weight in ordered)
    squares = math.fsum(weight * weight for _, weight in ordered)
    if not are_enough(share, total, squares):
        return Quantile(share=share, n=n)
    sums = list(itertools.accumulate(weight for _, weight in ordered))
    value = _at(ordered, sums, share * total)
    upto = math.fsum(weight * weight for at, weight in ordered if at <= value)
    bounds = share_bounds(share, total, squares, upto, confidence=confidence)
    if bounds is None:
        return Quantile(share=share, n=n, value=value)
    low, high = (_at(ordered, sums, bound * total) for bound in bounds)
    return Quantile(share=share, n=n, value=value, interval=Interval(low=low, high=high))


def are_enough(share: float, total: float, squares: float) -> bool:
    """Say whether values whose weights, and their squares, add up to this are enough for the quantile at ``share``."""
    effective = total * total / squares if squares else 0.0
    return effective + 1e-9 >= fewest(share)


def share_bounds(
    share: float, total: float, squares: float, upto: float, *, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return the weighted shares at which Woodruff's interval begins and ends; ``None`` where it is unbounded.

    ``squares`` adds up all squared weights, ``upto`` those of the values up to the quantile.
    """
    error = math.sqrt(max(0.0, (1 - share) ** 2 * upto + share**2 * (squares - upto))) / total
    spread = z_value(confidence) * error
    return (share - spread, share + spread) if share - spread > 0 and share + spread < 1 else None


def least_sum(target: float) -> float:
    """Return the running sum from which a value is the one at ``target``: less by what adding up may round off."""
    return target * (1 - 1e-12)


def _at(ordered: Sequence[tuple[float, float]], sums: Sequence[float], target: float) -> float:
    return ordered[min(len(ordered) - 1, bisect.bisect_left(sums, least_sum(target)))][0]
