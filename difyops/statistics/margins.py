"""Not worse by more than a margin, on the same cases: Tango's score limits for pairs, and how many cases show it.

Differences are in shares of the cases that pass, after minus before. Clusters (conversations) count as wholes: beside
Tango's limits stand those of the paired bootstrap over clusters, and the wider one holds.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

from difyops.statistics.paired import paired_bootstrap
from difyops.statistics.proportions import Interval

_NORMAL = NormalDist()


def margin_limits(
    before: Sequence[bool], after: Sequence[bool], clusters: Sequence[Hashable] | None = None, *, alpha: float = 0.05
) -> Interval | None:  # fmt: skip
    """Return the lower and the upper limit of the difference, each one-sided at ``alpha``; ``None`` of no case."""
    changes = [int(late) - int(early) for early, late in zip(before, after, strict=True)]
    if not changes:
        return None
    n, broken, fixed = len(changes), changes.count(-1), changes.count(1)
    low, high = least_difference(n, broken, fixed, alpha=alpha), most_difference(n, broken, fixed, alpha=alpha)
    if clusters is None or len(set(clusters)) == n:
        return Interval(low=low, high=high)
    drawn = paired_bootstrap(changes, clusters, confidence=1 - 2 * alpha)
    if drawn is None or drawn.interval is None:
        return Interval(low=-1.0, high=1.0)  # too few conversations to say anything
    return Interval(low=min(low, drawn.interval.low), high=max(high, drawn.interval.high))


def least_difference(n: int, broken: int, fixed: int, *, alpha: float = 0.05) -> float:
    """Return the lower limit (one-sided) of the difference in shares that pass, after minus before, of ``n`` pairs.

    Tango's score limit (Statistics in Medicine 17, 1998): right for few cases too, also where none changed.
    """
    z = _NORMAL.inv_cdf(1 - alpha)
    low, high = -1.0, (fixed - broken) / n
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if _score(n, fixed, broken, middle) < z else (middle, high)
    return low


def most_difference(n: int, broken: int, fixed: int, *, alpha: float = 0.05) -> float:
    """Return the upper limit: the lower one of the same cases told the other way round."""
    return -least_difference(n, fixed, broken, alpha=alpha)


def cases_for_margin(
    margin: float, changed: float, *, difference: float = 0.0, alpha: float = 0.05, power: float = 0.8
) -> int:  # fmt: skip
    """Return how many cases show that a true ``difference`` lies above (or below) ``-margin`` where ``changed`` of the
    cases end otherwise, either way (Liu and others, Statistics in Medicine 21, 2002).

    Raises:
        ValueError: the difference is the margin itself, which no number of cases tells.
    """
    gap = difference + margin
    if gap == 0:
        raise ValueError("a difference that is the margin is never told from it")
    reach = _NORMAL.inv_cdf(1 - alpha) + _NORMAL.inv_cdf(power)
    return math.ceil(reach * reach * max(0.0, changed - difference * difference) / (gap * gap))


def fewest_for_margin(margin: float, *, alpha: float = 0.05) -> int:
    """Return below how many cases no result shows the margin, not even one in which no case changes."""
    z = _NORMAL.inv_cdf(1 - alpha)
    return math.floor(z * z * (1 - margin) / margin) + 1


def margin_of_cases(n: int, *, alpha: float = 0.05) -> float:
    """Return the smallest margin that ``n`` cases can show, where no case changes."""
    return -least_difference(n, 0, 0, alpha=alpha)


def _score(n: int, fixed: int, broken: int, difference: float) -> float:
    """Return by how many standard deviations the difference seen lies above a true one."""
    if difference <= -1:
        return math.inf
    half = -fixed - broken + (2 * n - fixed + broken) * difference
    root = math.sqrt(max(0.0, half * half + 8 * n * broken * difference * (1 - difference)))
    share = (root - half) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    gap = fixed - broken - n * difference
    return gap / math.sqrt(variance) if variance > 0 else math.inf if gap > 0 else 0.0
