"""Paired tests: as counted out, and as scipy says; exact for clusters; as many cases as have the power."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any

import pytest

from difyops.statistics import cases_for_margin, cases_needed, least_difference, mcnemar, paired_bootstrap

SCIPY = json.loads((Path(__file__).parent / "data" / "scipy.json").read_text())


def binomial(k: int, n: int, p: float) -> float:
    """Return the chance of ``k`` of ``n``."""
    if p in (0.0, 1.0):
        return float(k == n * p)
    sizes = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(sizes + k * math.log(p) + (n - k) * math.log1p(-p))


def up_to(k: int, n: int, p: float) -> float:
    """Return the chance of ``k`` or fewer of ``n``."""
    return math.fsum(binomial(number, n, p) for number in range(k + 1))


def changed(broken: int, fixed: int, same: int = 7) -> tuple[list[bool], list[bool]]:
    """Return pass and fail before and after."""
    before = [True] * broken + [False] * fixed + [True] * same
    return before, [False] * broken + [True] * fixed + [True] * same


@pytest.mark.parametrize("broken", [0, 1, 3, 6, 17, 240])
@pytest.mark.parametrize("fixed", [0, 1, 2, 9, 40])
def test_mcnemar_is_the_binomial_test(broken: int, fixed: int) -> None:
    found = mcnemar(*changed(broken, fixed))
    assert found is not None
    assert (found.broken, found.fixed, found.n) == (broken, fixed, broken + fixed + 7)
    if broken + fixed == 0:
        assert found.p == found.mid_p == 1.0
        return
    fewer, all_ = min(broken, fixed), broken + fixed
    tail = sum(math.comb(all_, number) for number in range(fewer + 1)) / 2**all_
    assert found.p == pytest.approx(min(1.0, 2 * tail), rel=1e-9)
    wanted = 1.0 if broken == fixed else 2 * tail - math.comb(all_, fewer) / 2**all_
    assert found.mid_p == pytest.approx(wanted, rel=1e-9)


def test_clusters_turn_as_a_whole() -> None:
    # twelve cases of one conversation that all broke are one event, not twelve
    before, after = changed(12, 0, same=0)
    assert mcnemar(before, after).p < 0.001  # type: ignore[union-attr]
    assert mcnemar(before, after, ["one"] * 12).p == 1.0  # type: ignore[union-attr]
    rng = random.Random(4)
    before = [rng.random() < 0.8 for _ in range(30)]
    after = [rng.random() < 0.6 for _ in range(30)]
    clusters = [place // 3 for place in range(30)]
    sums = [
        sum(int(after[place]) - int(before[place]) for place in range(3 * group, 3 * group + 3)) for group in range(10)
    ]
    flipped = [sum(map(int.__mul__, sums, signs)) for signs in itertools.product((1, -1), repeat=10)]
    wanted = sum(abs(total) >= abs(sum(sums)) for total in flipped) / len(flipped)
    assert mcnemar(before, after, clusters).p == pytest.approx(wanted)  # type: ignore[union-attr]


def differences_of() -> list[float]:
    rng = random.Random(9)
    before = [rng.random() for _ in range(60)]
    after = [value + rng.expovariate(8) - 0.05 for value in before]
    return [late - early for early, late in zip(before, after, strict=True)]


def _scipys_bootstrap() -> list[float]:
    stats: Any = pytest.importorskip("scipy.stats", reason="scipy is the oracle of what is recorded")
    np: Any = pytest.importorskip("numpy")
    found = stats.bootstrap((differences_of(),), np.mean, n_resamples=9999, rng=np.random.default_rng(3))
    return [float(found.confidence_interval.low), float(found.confidence_interval.high)]


@pytest.mark.long
def test_the_recorded_bootstrap_is_what_scipy_says() -> None:
    low, high = SCIPY["bootstrap"]
    assert _scipys_bootstrap() == pytest.approx([low, high], abs=0.05 * (high - low))


def test_the_bootstrap_is_scipys() -> None:
    differences = differences_of()
    found = paired_bootstrap(differences, draws=9999)
    assert found is not None
    assert found.interval is not None
    low, high = SCIPY["bootstrap"]
    assert found.mean == pytest.approx(fmean(differences))
    assert found.interval.low == pytest.approx(low, abs=0.05 * (high - low))
    assert found.interval.high == pytest.approx(high, abs=0.05 * (high - low))
    assert paired_bootstrap(differences, draws=500) == paired_bootstrap(differences, draws=500)


def test_the_bootstrap_draws_whole_clusters() -> None:
    rng = random.Random(2)
    shared = [rng.gauss(0, 1) for _ in range(20)]
    differences = [shared[place // 5] for place in range(100)]
    alone = paired_bootstrap(differences, draws=1000)
    together = paired_bootstrap(differences, [place // 5 for place in range(100)], draws=1000)
    assert alone.interval is not None  # type: ignore[union-attr]
    assert together.interval is not None  # type: ignore[union-attr]
    ratio = (together.interval.high - together.interval.low) / (alone.interval.high - alone.interval.low)  # type: ignore[union-attr]
    assert ratio == pytest.approx(math.sqrt(5), rel=0.2)
    assert together.clusters == 20  # type: ignore[union-attr]
    few = paired_bootstrap([1.0, 2.0, 3.0], draws=100)
    assert few is not None
    assert (few.mean, few.interval) == (2.0, None)
    assert paired_bootstrap([]) is None
    same = paired_bootstrap([0.0] * 12, draws=100)
    assert same is not None
    assert same.interval is not None
    assert (same.interval.low, same.interval.high) == (0.0, 0.0)


@pytest.mark.parametrize(("broken", "fixed"), [(0.10, 0.02), (0.30, 0.10), (0.05, 0.0), (0.15, 0.05)])
def test_the_cases_needed_have_the_power(broken: float, fixed: float) -> None:
    n = cases_needed(broken, fixed)
    assert n is not None
    share = broken + fixed
    power = 0.0  # exactly: over how many cases change, and how many of these broke
    for moved in range(n + 1):
        tails = list(itertools.accumulate(binomial(k, moved, 0.5) for k in range(moved + 1)))
        proven = [k for k in range(moved // 2 + 1) if 2 * tails[k] <= 0.05]
        lost = up_to(max(proven), moved, fixed / share) if proven else 0.0
        power += binomial(moved, n, share) * lost
    assert 0.7 <= power <= 0.93
    assert cases_needed(0.1, 0.1) is None


def _exact_chance(n: int, changed: float, margin: float) -> float:
    """Return how often the limit stays above the margin, nothing being worse."""
    found = 0.0
    for moved in range(n + 1):
        chance = binomial(moved, n, changed)
        if chance < 1e-9:
            continue
        for broken in range(moved + 1):
            if least_difference(n, broken, moved - broken) > -margin:
                found += chance * binomial(broken, moved, 0.5)
    return found


def test_the_cases_for_a_margin_have_the_power() -> None:
    n = cases_for_margin(0.1, 0.1)
    assert n == 62
    assert 0.7 <= _exact_chance(n, 0.1, 0.1) <= 0.9


def test_tangos_limit() -> None:
    # without any change it is z^2 / (n + z^2), as Wilson's
    z2 = NormalDist().inv_cdf(0.95) ** 2
    assert least_difference(20, 0, 0) == pytest.approx(-z2 / (20 + z2), abs=1e-6)
    # at the limit the score is the quantile, the discordant share being the likeliest one under that difference
    for n, broken, fixed in ((50, 5, 2), (200, 12, 14), (30, 0, 3)):
        limit = least_difference(n, broken, fixed)

        def likely(share: float, n: int = n, broken: int = broken, fixed: int = fixed, limit: float = limit) -> float:
            rest = (n - broken - fixed) * math.log(1 - 2 * share - limit)
            return rest + (broken * math.log(share) if broken else 0.0) + fixed * math.log(share + limit)

        low, high = max(0.0, -limit), (1 - limit) / 2
        grid = [low + (high - low) * step / 20_000 for step in range(1, 20_000)]
        share = max(grid, key=likely)
        score = (fixed - broken - n * limit) / math.sqrt(n * (2 * share + limit * (1 - limit)))
        assert score == pytest.approx(math.sqrt(z2), rel=1e-3)
