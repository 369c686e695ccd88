"""A share of runs or executions, with what it stands on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from difyops.statistics import Interval, share_of_weights, wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessRate:
    """``hits`` among the ``n`` that were looked at, their share and its interval; ``share`` is ``None`` of nothing.

    From a sample with unequal chances the share is weighted: failures are read more often than their like.
    """

    hits: int
    n: int
    share: float | None
    interval: Interval | None

    @classmethod
    def of(cls, hits: int, n: int) -> SuccessRate:
        """Make a rate."""
        return cls(hits=hits, n=n, share=hits / n if n else None, interval=wilson(hits, n))

    @classmethod
    def weighed(cls, pairs: Sequence[tuple[bool, float]]) -> SuccessRate:
        """Make a rate of (hit, one over the chance) pairs."""
        hits = [weight for hit, weight in pairs if hit]
        total, squares = (math.fsum(weight**power for _, weight in pairs) for power in (1, 2))
        return cls.added(len(hits), len(pairs), math.fsum(hits), total, squares)

    @classmethod
    def added(cls, hits: int, n: int, weight: float, total: float, squares: float) -> SuccessRate:
        """Make a rate of what was added up: the weight of the hits, that of all, and the squares of all weights."""
        found = share_of_weights(weight, total, squares)
        share, interval = found if found else (None, None)
        return cls(hits=hits, n=n, share=share, interval=interval)
