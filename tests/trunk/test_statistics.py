"""Statistics against scipy, Apache Otava's own test series, and what a simulation shows."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from difyops.statistics import (
    Drawn,
    change_points,
    cliffs_delta,
    clopper_pearson,
    estimate_total,
    hodges_lehmann,
    mann_whitney,
    quantile,
    weighted_quantile,
    weighted_ratio,
    weighted_share,
    wilson,
)
from difyops.statistics.distributions import binomial_cdf, student_two_sided, student_value
from difyops.statistics.ranks import _Counted

DATA = json.loads((Path(__file__).parent / "data" / "tigerbeetle.json").read_text(encoding="utf-8"))


SCIPY = json.loads((Path(__file__).parent / "data" / "scipy.json").read_text())
QUANTILES = ((20, 0.5), (72, 0.95), (80, 0.9), (400, 0.99), (1000, 0.95), (11, 0.5))
RANKS = ((5, 6, False), (8, 100, False), (30, 40, False), (30, 40, True), (200, 150, True))
PROPORTIONS = ((0, 10), (1, 10), (10, 10), (37, 420), (1, 100_000))
BINOMIALS = ((0, 5, 0.3), (3, 20, 0.05), (950, 1000, 0.95), (60_000, 100_000, 0.6))
STUDENTS = ((0.0, 3), (2.1, 4), (-5.0, 58), (12.0, 400))


def _lognormal() -> Iterator[tuple[float, list[float]]]:
    rng = random.Random(3)
    for n, share in QUANTILES:
        yield share, sorted(rng.lognormvariate(0, 1) for _ in range(n))


def _pairs() -> Iterator[tuple[list[float], list[float]]]:
    rng = random.Random(5)
    for n, m, ties in RANKS:
        first = [rng.gauss(0, 1) for _ in range(n)]
        second = [rng.gauss(0.4, 1.2) for _ in range(m)]
        yield ([round(x, 1) for x in first], [round(x, 1) for x in second]) if ties else (first, second)


def _said_by_scipy() -> dict[str, Any]:
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle of what is recorded")
    both = [[stats.binomtest(*case).proportion_ci(0.95, name) for name in ("wilson", "exact")] for case in PROPORTIONS]
    ranked = [stats.mannwhitneyu(first, second, alternative="two-sided") for first, second in _pairs()]
    return {
        "quantiles": [list(stats.quantile_test(values, q=0, p=share).confidence_interval(0.95))
                      for share, values in _lognormal()],
        "ranks": [[float(found.statistic), float(found.pvalue)] for found in ranked],
        "proportions": [[[float(found.low), float(found.high)] for found in pair] for pair in both],
        "binomials": [float(stats.binom.cdf(k, n, p)) for k, n, p in BINOMIALS],
        "students": [float(2 * stats.t.sf(abs(t), freedom)) for t, freedom in STUDENTS],
        "student_value": float(stats.t.ppf(0.975, 7)),
    }  # fmt: skip


@pytest.mark.long
def test_what_is_recorded_of_scipy_is_what_it_says() -> None:
    """To import scipy takes longer than all tests here; what it says does not change from day to day."""
    for name, said in _said_by_scipy().items():
        assert _flat(said) == pytest.approx(_flat(SCIPY[name]), rel=1e-9)


def _flat(found: Any) -> list[float]:
    return [number for item in found for number in _flat(item)] if isinstance(found, list) else [found]


@pytest.mark.parametrize(("max_p", "magnitude", "expected"), DATA["cases"])
def test_change_points_are_those_of_otava(max_p: float, magnitude: float, expected: list[int]) -> None:
    found = change_points(DATA["series"], window=30, max_p=max_p, min_magnitude=magnitude)
    assert [point.index for point in found] == expected


def test_a_flat_or_tiny_series_has_no_change_points() -> None:
    for series in ([], [1.0], [1.0, 2.0], [3.0] * 60):
        assert change_points(series) == []
    step = [1.0] * 20 + [2.0] * 20
    (point,) = change_points(step)
    assert (point.index, point.before, point.after, point.magnitude) == (20, 1.0, 2.0, 1.0)


def test_quantiles_and_their_intervals_equal_scipys() -> None:
    for (share, values), expected in zip(_lognormal(), SCIPY["quantiles"], strict=True):
        found = quantile(values, share)
        assert found.value == values[math.ceil(share * len(values) - 1e-9) - 1]
        assert found.interval is not None
        assert [found.interval.low, found.interval.high] == expected


def test_what_too_few_values_cannot_tell_is_not_told() -> None:
    assert quantile([1.0] * 19, 0.95).value is None
    twenty = quantile([float(item) for item in range(20)], 0.95)
    assert twenty.value == 18.0
    assert twenty.interval is None  # nothing bounds it from above before 72 values
    assert quantile(list(range(72)), 0.95).interval is not None
    assert quantile([], 0.5).value is None
    assert quantile([4.0], 0.5).value is None
    assert quantile([4.0, 5.0], 0.5).value == 4.0


def test_rank_tests_equal_scipys() -> None:
    for (first, second), (statistic, p) in zip(_pairs(), SCIPY["ranks"], strict=True):
        found = mann_whitney(first, second)
        assert found is not None
        assert found.u == statistic
        assert found.p == pytest.approx(p, rel=1e-9)
        larger = sum((y > x) - (y < x) for x in first for y in second) / (len(first) * len(second))
        assert found.delta == pytest.approx(larger) == cliffs_delta(first, second)


def test_the_shift_is_the_median_of_all_differences_however_many() -> None:
    rng = random.Random(8)
    first, second = [rng.gauss(1, 1) for _ in range(90)], [rng.gauss(3, 1) for _ in range(70)]
    shift, interval = hodges_lehmann(first, second)
    differences = sorted(y - x for x in first for y in second)
    assert shift == pytest.approx((differences[3149] + differences[3150]) / 2)
    assert interval is not None
    assert interval.low < shift < interval.high
    counted = _Counted(sorted(first), sorted(second))
    for rank in (0, 10, 3149, 6299):
        assert counted.at(rank) == pytest.approx(differences[rank], rel=1e-8)
    assert hodges_lehmann([1.0], [3.0]) == (2.0, None)
    assert mann_whitney([], [1.0]) is None


def test_proportions_equal_scipys() -> None:
    for (hits, n), expected in zip(PROPORTIONS, SCIPY["proportions"], strict=True):
        for ours, theirs in zip((wilson(hits, n), clopper_pearson(hits, n)), expected, strict=True):
            assert ours is not None
            assert [ours.low, ours.high] == pytest.approx(theirs, abs=1e-10)
    assert wilson(0, 0) is None
    assert clopper_pearson(0, 0) is None


def test_distributions_equal_scipys() -> None:
    for (k, n, p), expected in zip(BINOMIALS, SCIPY["binomials"], strict=True):
        assert binomial_cdf(k, n, p) == pytest.approx(expected, rel=1e-8)
    for (t, freedom), expected in zip(STUDENTS, SCIPY["students"], strict=True):
        assert student_two_sided(t, freedom) == pytest.approx(expected, rel=1e-8)
    assert student_value(0.95, 7) == pytest.approx(SCIPY["student_value"])


def test_a_sampled_total_is_near_the_truth_and_its_interval_covers_it() -> None:
    rng = random.Random(11)
    runs = [(rng.lognormvariate(6, 1), rng.random() < 0.03) for _ in range(2000)]
    values = [size * rng.uniform(0.8, 1.2) * 1e-6 for size, _ in runs]
    truth, covered, errors = sum(values), 0, []
    for _ in range(300):
        drawn = []
        for (size, failed), value in zip(runs, values, strict=True):
            chance = 1.0 if failed else 0.1
            if rng.random() < chance:
                drawn.append(Drawn(value=value, size=size, chance=chance))
        found = estimate_total(drawn, size_of_all=sum(size for size, _ in runs), count_of_all=len(runs))
        assert found is not None
        assert found.interval is not None
        covered += found.interval.holds(truth)
        errors.append(abs(found.total / truth - 1))
    assert covered / 300 >= 0.93
    assert sorted(errors)[285] < 0.025


def test_totals_at_the_edges() -> None:
    everything = [Drawn(value=2.0, size=10, chance=1.0), Drawn(value=3.0, size=10, chance=1.0)]
    whole = estimate_total(everything, size_of_all=20, count_of_all=2)
    assert whole is not None
    assert (whole.total, whole.exact) == (5.0, True)
    assert estimate_total(everything, size_of_all=90, count_of_all=7) is None  # nothing drawn from the rest
    one = estimate_total([Drawn(value=2.0, size=10, chance=0.5)], size_of_all=20, count_of_all=2)
    assert one is not None
    assert (one.total, one.interval) == (4.0, None)
    sizeless = [Drawn(value=2.0, size=0, chance=0.5)] * 4
    counted = estimate_total(sizeless, size_of_all=0, count_of_all=10)
    assert counted is not None
    assert counted.total == 20.0


def test_weighted_quantiles() -> None:
    even = weighted_quantile([(float(item), 1.0) for item in range(1000)], 0.95)
    plain = quantile([float(item) for item in range(1000)], 0.95)
    assert even.value == plain.value
    assert even.interval is not None
    assert plain.interval is not None
    assert even.interval.low == pytest.approx(plain.interval.low, abs=3)
    # all of the slow ones are read, one in ten of the rest: the weights undo that
    pairs = [(float(item), 10.0) for item in range(0, 900, 10)] + [(float(item), 1.0) for item in range(900, 1000)]
    assert weighted_quantile(pairs, 0.5).value == pytest.approx(500, abs=10)
    assert weighted_quantile([(1.0, 100.0)] + [(2.0, 1.0)] * 30, 0.95).value is None  # one value weighs nearly all


def test_a_share_from_unequal_chances() -> None:
    assert weighted_share([]) is None
    even = weighted_share([(number < 3, 5.0) for number in range(20)])
    assert even is not None
    assert even[0] == pytest.approx(0.15)
    assert even[1].low == pytest.approx(wilson(3, 20).low)  # type: ignore[union-attr]
    rng, held = random.Random(4), 0
    for _ in range(300):  # hits are drawn with certainty, the rest one in five
        hits = [rng.random() < 0.1 for _ in range(400)]
        drawn = [(hit, 1.0 if hit else 5.0) for hit in hits if hit or rng.random() < 0.2]
        found = weighted_share(drawn)
        assert found is not None
        held += found[1].holds(sum(hits) / 400)
    assert held >= 285


def test_a_mean_from_weights_is_students_where_they_are_equal() -> None:
    values = [1.0, 4.0, 2.5, 7.0, 3.0]
    mean, bounds = weighted_ratio([(value, 1.0, 20.0) for value in values])
    reach = student_value(0.95, 4) * statistics.stdev(values) / math.sqrt(5)
    assert bounds is not None
    assert (mean, bounds.low, bounds.high) == pytest.approx((3.5, 3.5 - reach, 3.5 + reach))
    assert weighted_ratio([(0.0, 1.0, 1.0)] * 9) == (0.0, None)  # that none was seen does not tell how many there are
    assert weighted_ratio([(2.0, 4.0, 1.0)]) == (0.5, None)
    assert weighted_ratio([]) == (0.0, None)
    found, bounds = weighted_ratio([(-1.0, 1.0, 1.0), (0.5, 1.0, 3.0), (0.0, 2.0, 1.0)], least=-math.inf)
    assert found == pytest.approx(0.5 / 6)
    assert bounds is not None
    assert bounds.low < 0
