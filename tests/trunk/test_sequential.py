"""The failure test that may be looked at after every call: how seldom it is wrong, how soon it is right."""

from __future__ import annotations

import random
import statistics

import pytest

from difyops.statistics import FailureTest


def calls_until_proof(seed: int, old: float, new: float, calls: int, *, held_against: int = 1) -> int | None:
    """Return after how many new calls it was proven that the new side fails more, ``None`` for never."""
    dice, test = random.Random(seed), FailureTest(alpha=0.01)
    for number in range(calls):
        test.take_block(dice.random() < new, sum(dice.random() < old for _ in range(held_against)), held_against)
        if test.is_proven:
            return number + 1
    return None


@pytest.mark.parametrize("rate", [0.01, 0.05])
@pytest.mark.parametrize("held_against", [1, 4])
def test_two_versions_that_fail_alike_are_seldom_told_apart(rate: float, held_against: int) -> None:
    wrong = [calls_until_proof(seed, rate, rate, 1000, held_against=held_against) for seed in range(60)]
    assert sum(item is not None for item in wrong) <= 2


@pytest.mark.parametrize(("new", "soon"), [(0.5, 60), (0.15, 400)])
def test_a_worse_version_is_found_soon(new: float, soon: int) -> None:
    found = [calls_until_proof(seed, 0.05, new, 4000) or 4000 for seed in range(60)]
    assert statistics.median(found) <= soon


def test_more_old_calls_make_it_sooner() -> None:
    one = statistics.median(calls_until_proof(seed, 0.02, 0.5, 500) or 500 for seed in range(40))
    ten = statistics.median(calls_until_proof(seed, 0.02, 0.5, 500, held_against=10) or 500 for seed in range(40))
    assert ten < one


def test_it_is_a_fair_wager_whatever_is_looked_at() -> None:
    """The mean of e stays 1 while both sides fail alike, for every chance: checked exactly over two rounds."""
    for chances in [(0.5, 0.5), (0.1, 0.9), (0.25, 1 / 3)]:
        mean = 0.0
        for first in (True, False):
            for second in (True, False):
                test = FailureTest()
                weight = 1.0
                for failed, chance in zip((first, second), chances, strict=True):
                    test.take(failed, chance)
                    weight *= chance if failed else 1 - chance
                mean += weight * test.e
        assert mean == pytest.approx(1.0)


def test_what_tells_nothing_moves_nothing() -> None:
    test = FailureTest()
    for _ in range(100):
        test.take_block(False, 0, 3)
        test.take_block(True, 3, 3)
    assert test.e == 1.0
    assert (test.calls, test.informative) == (200, 0)


def test_proof_stays_proof_and_large_numbers_do_not_overflow() -> None:
    test = FailureTest()
    for _ in range(5000):
        test.take(True, 0.1)
    assert test.is_proven
    assert test.e > 1e300
    for _ in range(5000):
        test.take(False, 0.9)
    assert test.is_proven
