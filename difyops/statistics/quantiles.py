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
    effective = total * total / squares if squares else 0.0
    if effective + 1e-9 < fewest(share):
        return Quantile(share=share, n=n)
    sums = list(itertools.accumulate(weight for _, weight in ordered))
    value = _at(ordered, sums, share * total)
    spread = z_value(confidence) * _share_error(ordered, value, share, total)
    low, high = share - spread, share + spread
    if low <= 0 or high >= 1:
        return Quantile(share=share, n=n, value=value)
    bounds = Interval(low=_at(ordered, sums, low * total), high=_at(ordered, sums, high * total))
    return Quantile(share=share, n=n, value=value, interval=bounds)


def _at(ordered: Sequence[tuple[float, float]], sums: Sequence[float], target: float) -> float:
    return ordered[min(len(ordered) - 1, bisect.bisect_left(sums, target * (1 - 1e-12)))][0]


def _share_error(ordered: Sequence[tuple[float, float]], value: float, share: float, total: float) -> float:
    """Return the standard error of the weighted share at or below ``value``."""
    squares = math.fsum((weight * ((at <= value) - share)) ** 2 for at, weight in ordered)
    return math.sqrt(squares) / total
