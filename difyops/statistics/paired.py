"""Before and after on the same cases: McNemar's exact test (also for clusters), the paired bootstrap, cases needed.

Cases of one conversation are not independent. Both tests take clusters as the unit: the test turns the signs of whole
clusters (one case a cluster: that is McNemar's exact test), the bootstrap draws whole clusters.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from difyops.statistics.proportions import Interval

_NORMAL = NormalDist()
DRAWS = 4000
LEAST_CLUSTERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """``broken``: passed before and not after; ``fixed``: the other way round. ``p`` is the exact two-sided value,
    ``mid_p`` the same with half the weight on what was seen: less strict, closer to the level asked for.
    """

    n: int
    broken: int
    fixed: int
    p: float
    mid_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A mean of paired differences (after minus before) with its interval; ``None``: too few clusters for one."""

    n: int
    clusters: int
    mean: float
    interval: Interval | None


def mcnemar(
    before: Sequence[bool], after: Sequence[bool], clusters: Sequence[Hashable] | None = None
) -> Paired | None:  # fmt: skip
    """Compare pass and fail of the same cases; ``None`` of none.

    Without clusters ``p`` is the binomial test of the cases that changed. With them every cluster's balance keeps its
    size, and its sign is what chance decides.
    """
    changes = [int(late) - int(early) for early, late in zip(before, after, strict=True)]
    if not changes:
        return None
    p, mid_p = _sign_flips(_sums(changes, clusters))
    return Paired(n=len(changes), broken=changes.count(-1), fixed=changes.count(1), p=p, mid_p=mid_p)


def paired_bootstrap(
    differences: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 1,
) -> Shift | None:
    """Return the mean difference and its BCa interval, drawing whole clusters; ``None`` of nothing.

    The seed is fixed, so the same results are judged the same way twice.
    """
    if not differences:
        return None
    sizes = _sizes(len(differences), clusters)
    sums = [float(value) for value in _sums(differences, clusters)]
    mean = math.fsum(differences) / len(differences)
    if len(sums) < LEAST_CLUSTERS:
        return Shift(n=len(differences), clusters=len(sums), mean=mean, interval=None)
    interval = _interval(sums, sizes, mean, confidence, draws, random.Random(seed))
    return Shift(n=len(differences), clusters=len(sums), mean=mean, interval=interval)


def cases_needed(broken: float, fixed: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Return how many cases McNemar's test wants to see a change of these shares; ``None`` where they are equal.

    ``broken`` and ``fixed`` are shares of all cases. Miettinen's formula (Biometrics 24, 1968) for pairs.
    """
    share, gap = broken + fixed, abs(broken - fixed)
    if gap <= 0:
        return None
    reach = _NORMAL.inv_cdf(1 - alpha / 2) * math.sqrt(share)
    reach += _NORMAL.inv_cdf(power) * math.sqrt(max(0.0, share - gap * gap))
    return max(math.ceil(reach * reach / (gap * gap)), _fewest(share, alpha))


def _fewest(share: float, alpha: float) -> int:
    """Return the cases below which even changes that all point one way cannot reach ``alpha``."""
    return math.ceil(math.ceil(1 - math.log2(alpha)) / share)


def _grouped(count: int, clusters: Sequence[Hashable] | None) -> list[list[int]]:
    if clusters is None:
        return [[place] for place in range(count)]
    found: dict[Hashable, list[int]] = {}
    for place, cluster in enumerate(clusters):
        found.setdefault(cluster, []).append(place)
    return list(found.values())


def _sums(values: Sequence[float], clusters: Sequence[Hashable] | None) -> list[float]:
    return [sum(values[place] for place in places) for places in _grouped(len(values), clusters)]


def _sizes(count: int, clusters: Sequence[Hashable] | None) -> list[int]:
    return [len(places) for places in _grouped(count, clusters)]


def _sign_flips(sums: Sequence[float]) -> tuple[float, float]:
    """Return the exact p and mid-p of a total when every sign is as likely as the other: all totals are counted."""
    steps = [abs(int(value)) for value in sums if value]
    seen, most = abs(int(sum(sums))), sum(steps)
    counts = {0: 1}
    for step in steps:
        following: dict[int, int] = {}
        for total, ways in counts.items():
            following[total + step] = following.get(total + step, 0) + ways
            following[total - step] = following.get(total - step, 0) + ways
        counts = following
    if seen > most or not steps or seen == 0:
        return 1.0, 1.0
    beyond = sum(ways for total, ways in counts.items() if total > seen)
    at = counts.get(seen, 0)
    every = 1 << len(steps)
    return min(1.0, 2 * (beyond + at) / every), min(1.0, (2 * beyond + at) / every)


def _interval(
    sums: Sequence[float], sizes: Sequence[int], mean: float, confidence: float, draws: int, chance: random.Random
) -> Interval:  # fmt: skip
    """Return the bias-corrected and accelerated interval (Efron 1987), the acceleration by leaving out each cluster."""
    places, count = range(len(sums)), len(sums)
    if all(one == mean * size for one, size in zip(sums, sizes, strict=True)):
        return Interval(low=mean, high=mean)
    drawn = []
    for _ in range(draws):
        chosen = chance.choices(places, k=count)
        drawn.append(sum(sums[place] for place in chosen) / sum(sizes[place] for place in chosen))
    drawn.sort()
    if drawn[0] == drawn[-1]:
        return Interval(low=drawn[0], high=drawn[-1])
    below = (bisect.bisect_left(drawn, mean) + bisect.bisect_right(drawn, mean)) / 2
    bias = _NORMAL.inv_cdf(min(max(below / draws, 0.5 / draws), 1 - 0.5 / draws))
    total, size = math.fsum(sums), sum(sizes)
    left_out = [(total - one) / (size - part) for one, part in zip(sums, sizes, strict=True)]
    middle = math.fsum(left_out) / count
    cubes, squares = sum((middle - one) ** 3 for one in left_out), sum((middle - one) ** 2 for one in left_out)
    pull = cubes / (6 * squares**1.5) if squares else 0.0

    def at(share: float) -> float:
        z = bias + _NORMAL.inv_cdf(share)
        place = _NORMAL.cdf(bias + z / (1 - pull * z)) * (draws - 1)
        low = min(int(place), draws - 2)
        return drawn[low] + (drawn[low + 1] - drawn[low]) * (place - low)

    rest = (1 - confidence) / 2
    return Interval(low=at(rest), high=at(1 - rest))
