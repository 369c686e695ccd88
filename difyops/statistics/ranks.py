"""Two samples compared by ranks: Mann and Whitney's test, Hodges and Lehmann's shift, Cliff's delta.

The shift is the median of all differences (second minus first). With many values it is found by counting, not by
writing all differences down.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from difyops.statistics.distributions import normal_tail, z_value
from difyops.statistics.proportions import Interval

_EXACT_UP_TO = 8  # values in the smaller sample; as scipy decides
_WRITTEN_DOWN = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RankComparison:
    """``p`` of the two-sided test, the shift from first to second with its interval, and Cliff's delta (-1 to 1)."""

    n_first: int
    n_second: int
    u: float
    p: float
    shift: float
    interval: Interval | None
    delta: float


def mann_whitney(first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95) -> RankComparison | None:
    """Compare two samples; ``None`` when one is empty.

    ``u`` counts the pairs in which the first is larger (ties half). The p-value is exact for a small sample without
    ties, else normal with corrections for ties and continuity.
    """
    n, m = len(first), len(second)
    if not n or not m:
        return None
    a, b = sorted(first), sorted(second)
    u, ties = _u(a, b)
    shift, interval = hodges_lehmann(a, b, confidence=confidence)
    p = _exact(u, n, m) if not ties and min(n, m) <= _EXACT_UP_TO and n * m <= 2000 else _approximate(u, a, b)
    return RankComparison(
        n_first=n, n_second=m, u=u, p=p, shift=shift, interval=interval, delta=1 - 2 * u / (n * m)
    )  # fmt: skip


def cliffs_delta(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the chance that a second value is larger less the chance that it is smaller."""
    u, _ = _u(sorted(first), sorted(second))
    return 1 - 2 * u / (len(first) * len(second))


def _u(a: Sequence[float], b: Sequence[float]) -> tuple[float, bool]:
    total, ties = 0.0, len(set(a)) + len(set(b)) < len(a) + len(b)
    for value in a:
        below, upto = bisect.bisect_left(b, value), bisect.bisect_right(b, value)
        total += below + (upto - below) / 2
        ties = ties or upto > below
    return total, ties


def _exact(u: float, n: int, m: int) -> float:
    """Return the two-sided p-value from the number of arrangements with each U."""
    counts = [1] + [0] * (n * m)
    for step in range(1, n + 1):  # Gaussian binomial coefficient: multiply by (1 - q^(m+step)), divide by (1 - q^step)
        for place in range(n * m, m + step - 1, -1):
            counts[place] -= counts[place - m - step]
        for place in range(step, n * m + 1):
            counts[place] += counts[place - step]
    tail = sum(counts[: int(min(u, n * m - u)) + 1])
    return min(1.0, 2 * tail / sum(counts))


def _approximate(u: float, a: Sequence[float], b: Sequence[float]) -> float:
    n, m = len(a), len(b)
    total = n + m
    tied = sum(count**3 - count for count in Counter([*a, *b]).values() if count > 1)
    variance = n * m / 12 * ((total + 1) - (tied / (total * (total - 1)) if total > 1 else 0))
    if variance <= 0:
        return 1.0
    z = (max(u, n * m - u) - n * m / 2 - 0.5) / math.sqrt(variance)
    return min(1.0, 2 * normal_tail(z))


def hodges_lehmann(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> tuple[float, Interval | None]:
    """Return the median of all differences second minus first, and the distribution-free interval of the shift."""
    a, b = sorted(first), sorted(second)
    pick = _written(a, b) if len(a) * len(b) <= _WRITTEN_DOWN else _Counted(a, b).at
    pairs = len(a) * len(b)
    middle = (pick((pairs - 1) // 2) + pick(pairs // 2)) / 2
    reach = z_value(confidence) * math.sqrt(pairs * (len(a) + len(b) + 1) / 12)
    low = math.floor(pairs / 2 - reach)
    if low < 1:
        return middle, None
    return middle, Interval(low=pick(low - 1), high=pick(pairs - low))


def _written(a: Sequence[float], b: Sequence[float]) -> Callable[[int], float]:
    return sorted(y - x for x in a for y in b).__getitem__


@dataclass(slots=True)
class _Counted:
    """The k-th smallest difference, found by halving the range and counting pairs along the two sorted samples."""

    a: Sequence[float]
    b: Sequence[float]

    def at(self, rank: int) -> float:
        low, high = self.b[0] - self.a[-1], self.b[-1] - self.a[0]
        for _ in range(64):
            middle = (low + high) / 2
            if not low < middle < high or high - low <= 1e-9 * max(abs(low), abs(high)):
                break
            low, high = (low, middle) if self._upto(middle) > rank else (middle, high)
        return high

    def _upto(self, limit: float) -> int:
        count, place, b, size = 0, 0, self.b, len(self.b)
        for x in self.a:
            while place < size and b[place] - x <= limit:
                place += 1
            count += place
        return count
