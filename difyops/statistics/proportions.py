"""Intervals for a share: Wilson's for showing, Clopper and Pearson's where a promise depends on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from difyops.statistics.distributions import beta_quantile, z_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """From ``low`` to ``high``."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Say whether ``value`` lies inside."""
        return self.low <= value <= self.high


def wilson(hits: float, n: float, *, confidence: float = 0.95) -> Interval | None:
    """Return Wilson's score interval of ``hits`` among ``n``; ``None`` of nothing."""
    if n <= 0:
        return None
    z, p = z_value(confidence), hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if hits == 0 else max(0.0, centre - reach)
    high = 1.0 if hits == n else min(1.0, centre + reach)
    return Interval(low=low, high=high)


def weighted_share(
    pairs: Sequence[tuple[bool, float]], *, confidence: float = 0.95
) -> tuple[float, Interval] | None:  # fmt: skip
    """Return the share of hits among (hit, weight) pairs and its interval; a weight is one over the chance of having
    been drawn. Wilson's interval of the effective number (Kish), which unequal weights make smaller; ``None`` of none.
    """
    hits = math.fsum(weight for hit, weight in pairs if hit)
    total, squares = (math.fsum(weight**power for _, weight in pairs) for power in (1, 2))
    return share_of_weights(hits, total, squares, confidence=confidence)


def share_of_weights(
    hits: float, total: float, squares: float, *, confidence: float = 0.95
) -> tuple[float, Interval] | None:  # fmt: skip
    """Return the same from sums: the weights of the hits, all weights, and the squares of all weights."""
    if total <= 0:
        return None
    effective = total * total / squares
    share = min(1.0, hits / total)
    bounds = wilson(share * effective, effective, confidence=confidence)
    return (share, bounds) if bounds else None


def clopper_pearson(hits: int, n: int, *, confidence: float = 0.95) -> Interval | None:
    """Return the exact interval, which never covers less than ``confidence``; ``None`` of nothing."""
    if n <= 0:
        return None
    rest = (1 - confidence) / 2
    low = 0.0 if hits == 0 else beta_quantile(rest, hits, n - hits + 1)
    high = 1.0 if hits == n else beta_quantile(1 - rest, hits + 1, n - hits)
    return Interval(low=low, high=high)
