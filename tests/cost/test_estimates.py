"""The estimator kept as sums: equal to the one over lists, and honest over many draws."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from difyops.cost.estimates import CostMeasure, Estimator, Stratum
from difyops.statistics import Drawn, estimate_total


def sampled(rng: random.Random, count: int, share: float) -> tuple[Stratum, CostMeasure, list[Drawn], float]:
    stratum, measure, listed, truth = Stratum(), CostMeasure(), [], 0.0
    for run in range(1, count + 1):
        size = rng.lognormvariate(6, 0.8)
        value = size * rng.choice([0.5, 1.0, 1.3]) if rng.random() < 0.8 else 0.0
        truth += value
        stratum.count += 1
        stratum.size += int(size)
        if rng.random() < share / 3:
            stratum.sure_count += 1
            stratum.sure_size += int(size)
            measure.sure += Decimal(repr(value))
            listed.append(Drawn(value=value, size=int(size), chance=1.0))
        elif rng.random() < share:
            stratum.drawn[run] = (float(int(size)), share)
            if value:
                measure.values[run] = value
            listed.append(Drawn(value=value, size=float(int(size)), chance=share))
    return stratum, measure, listed, truth


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_the_estimator_over_lists(seed: int) -> None:
    stratum, measure, listed, _ = sampled(random.Random(seed), 300, 0.2)
    found = Estimator().total([(stratum, measure)])
    wanted = estimate_total(listed, size_of_all=stratum.size, count_of_all=stratum.count)
    assert wanted is not None
    assert wanted.interval is not None
    assert float(found.total) == pytest.approx(wanted.total)
    assert float(found.low or 0) == pytest.approx(wanted.interval.low)
    assert float(found.high or 0) == pytest.approx(wanted.interval.high)


def test_the_interval_covers_over_400_draws_of_two_strata() -> None:
    rng, hits = random.Random(11), 0
    for _ in range(400):
        parts, truth = [], 0.0
        for _ in range(2):
            stratum, measure, _, cost = sampled(rng, 130, 0.3)
            parts.append((stratum, measure))
            truth += cost
        found = Estimator().total(parts)
        assert found.low is not None
        assert found.high is not None
        hits += float(found.low) <= truth <= float(found.high)
    assert hits / 400 >= 0.93


def test_one_drawn_run_has_no_interval_and_none_stands_for_nothing() -> None:
    one = Stratum(count=10, size=100, drawn={1: (10.0, 0.1)})
    found = Estimator().total([(one, CostMeasure(values={1: 2.0}))])
    assert (found.total, found.low, found.exact) == (Decimal("20.0"), None, False)
    none = Stratum(count=10, size=100, sure_count=1, sure_size=5)
    found = Estimator().total([(none, CostMeasure(sure=Decimal(3)))])
    assert (found.total, found.unread, found.exact) == (Decimal(3), 9, False)
