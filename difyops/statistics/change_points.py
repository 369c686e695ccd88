"""Change points of a series: E-divisive with Student's t, as Apache Otava (Hunter) finds them.

A window slides over the series; in each the split with the largest energy distance is kept while the t-test calls it
significant at a relaxed level (weak points). Then the weakest points are dropped, one after the other, until all that
are left hold the level and the magnitude asked for. Fleming et al., https://doi.org/10.1145/3578244.3583719; Matteson
and James, https://doi.org/10.48550/arXiv.1306.4933. Written anew from the papers and checked against Otava's tests.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from difyops.statistics.distributions import student_two_sided


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """``index`` is the first value after the change; means of the stretches between neighbouring points."""

    index: int
    before: float
    after: float
    p: float

    @property
    def magnitude(self) -> float:
        """Return the larger relative change of the two directions (1 for a change from nothing)."""
        ahead = self.after / self.before - 1 if self.before else 0.0
        back = self.before / self.after - 1 if self.after else 0.0
        return max(abs(ahead), abs(back))


def change_points(
    series: Sequence[float], *, window: int = 50, max_p: float = 0.001, min_magnitude: float = 0.0
) -> list[ChangePoint]:
    """Return the change points of ``series`` in order; none of fewer than two values."""
    relaxed = max_p * 10 if max_p < 0.05 else max_p * 2 if max_p < 0.5 else max_p
    return _merged(_weak(series, window, relaxed), series, max_p, min_magnitude)


def _weak(series: Sequence[float], window: int, max_p: float) -> list[int]:
    found: set[int] = set()
    start = 0
    while start < len(series):
        end = min(start + window, len(series))
        inside = _divided(series[start:end], max_p)
        found.update(index + start for index in inside)
        last = inside[-1] + start if inside else 0
        start = max(last, start + window // 2)
    return sorted(found)


def _divided(values: Sequence[float], max_p: float) -> list[int]:
    """Split ``values`` at the best place again and again while the split is significant; return the places."""
    cuts: list[int] = []
    best: dict[tuple[int, int], tuple[float, int]] = {}
    while True:
        edges = [0, *cuts, len(values)]
        pieces = [(low, high) for low, high in itertools.pairwise(edges) if high - low > 1]
        if not pieces:
            return cuts
        for low, high in pieces:
            if (low, high) not in best:
                best[low, high] = _best_split(values[low:high])
        low, high = max(pieces, key=lambda piece: best[piece][0])
        cut = low + best[low, high][1]
        if not _t_test(values[low:cut], values[cut:high]) <= max_p:
            return cuts
        cuts = sorted([*cuts, cut])


def _best_split(values: Sequence[float]) -> tuple[float, int]:
    """Return the largest Q over all splits [0, tau) and [tau, kappa), and its tau; the first one of equals."""
    n = len(values)
    across = [[abs(x - y) for y in values] for x in values]
    left = [0.0] * (n + 1)  # sum of distances inside [0, tau)
    for tau in range(1, n + 1):
        left[tau] = left[tau - 1] + sum(across[tau - 1][: tau - 1])
    best, place = -math.inf, 1
    for tau in range(1, n):
        between = right = 0.0
        for kappa in range(tau + 1, n + 1):
            row = across[kappa - 1]
            between += sum(row[:tau])
            right += sum(row[tau : kappa - 1])
            m, k = tau, kappa - tau
            value = 2 / kappa * between
            if m > 1:
                value -= 2 * k / kappa / (m - 1) * left[tau]
            if k > 1:
                value -= 2 * m / kappa / (k - 1) * right
            if value > best * (1 + 1e-12) if best > 0 else value > best:
                best, place = value, tau
    return best, place


def _t_test(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the p-value of Student's test with equal variances, each taken over n as Otava does."""
    n, m = len(a), len(b)
    if n + m <= 2:
        return 1.0
    mean_a, mean_b = math.fsum(a) / n, math.fsum(b) / m
    var_a = math.fsum((x - mean_a) ** 2 for x in a) / n if n > 1 else 0.0
    var_b = math.fsum((x - mean_b) ** 2 for x in b) / m if m > 1 else 0.0
    freedom = n + m - 2
    pooled = ((n - 1) * var_a + (m - 1) * var_b) / freedom
    if pooled == 0:
        return 1.0 if mean_a == mean_b else 0.0
    return student_two_sided((mean_a - mean_b) / math.sqrt(pooled * (1 / n + 1 / m)), freedom)


def _merged(cuts: list[int], series: Sequence[float], max_p: float, min_magnitude: float) -> list[ChangePoint]:
    cuts = list(cuts)
    points = [_point(series, cuts, place) for place in range(len(cuts))]
    while points:
        weakest = max(range(len(points)), key=lambda place: points[place].p)
        if points[weakest].p < max_p:
            weakest = min(range(len(points)), key=lambda place: points[place].magnitude)
            if points[weakest].magnitude > min_magnitude:
                return points
        del points[weakest], cuts[weakest]
        for place in (weakest, weakest + 1):  # Otava leaves the point before as it was; so do we
            if 0 <= place < len(points):
                points[place] = _point(series, cuts, place)
    return []


def _point(series: Sequence[float], cuts: Sequence[int], place: int) -> ChangePoint:
    edges = [0, *cuts, len(series)]
    before, after = series[edges[place] : edges[place + 1]], series[edges[place + 1] : edges[place + 2]]
    return ChangePoint(
        index=cuts[place], before=math.fsum(before) / len(before), after=math.fsum(after) / len(after),
        p=_t_test(before, after),
    )  # fmt: skip
