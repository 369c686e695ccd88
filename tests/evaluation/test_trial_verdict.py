"""The judge of a trial: not worse, worse, not enough; classes that are cut before anything is asked. Pure."""

from __future__ import annotations

import random

import pytest

from difyops.errors import UsageError
from difyops.evaluation.cases import Case
from difyops.evaluation.trial.classes import classes_of
from difyops.evaluation.trial.verdict import NOT_ENOUGH, NOT_WORSE, WORSE, TriedModel, find
from difyops.statistics import (
    cases_for_margin,
    fewest_for_margin,
    least_difference,
    margin_limits,
    margin_of_cases,
    most_difference,
)

PASS, FAIL, NOT_JUDGED = "pass", "fail", "not judged"


def pairs(both: int = 0, broken: int = 0, fixed: int = 0, neither: int = 0, open_: int = 0) -> list[TriedModel]:
    words = [(PASS, PASS)] * both + [(PASS, FAIL)] * broken + [(FAIL, PASS)] * fixed + [(FAIL, FAIL)] * neither
    words += [(PASS, NOT_JUDGED)] * open_
    return [TriedModel(id=str(number), old=old, new=new) for number, (old, new) in enumerate(words)]


def test_the_limits_are_those_that_were_published() -> None:
    # Bentur and others 2009, as in Fagerland, Lydersen and Laake 2014, table IX: Tango's interval -0.517 to -0.026
    assert least_difference(21, broken=7, fixed=1, alpha=0.025) == pytest.approx(-0.517, abs=5e-4)
    assert most_difference(21, broken=7, fixed=1, alpha=0.025) == pytest.approx(-0.026, abs=5e-4)
    found = margin_limits([True] * 8 + [False] * 13, [False] * 7 + [True] * 2 + [False] * 12, alpha=0.025)
    assert found is not None
    assert (round(found.low, 3), round(found.high, 3)) == (-0.517, -0.026)
    assert margin_limits([], []) is None


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05, 0.1, 0.3])
def test_below_the_fewest_cases_nothing_shows_a_margin(margin: float) -> None:
    fewest = fewest_for_margin(margin)
    assert margin_of_cases(fewest) < margin <= margin_of_cases(fewest - 1) + 1e-9
    assert cases_for_margin(margin, 0.1) > cases_for_margin(margin, 0.05)
    with pytest.raises(ValueError, match="never told"):
        cases_for_margin(margin, 0.1, difference=-margin)


@pytest.mark.parametrize(
    ("tried", "verdict", "said"),
    [
        (pairs(both=95, broken=2, fixed=2, neither=1), NOT_WORSE, "may be lost, 5.0% are allowed"),
        (pairs(both=70, broken=28, fixed=1, neither=1), WORSE, "at least"),
        (pairs(both=30, broken=1), NOT_ENOUGH, "may be lost"),
        (pairs(both=80, open_=20), NOT_ENOUGH, "20 of 100 cases could not be judged"),
        (pairs(neither=95, both=5), NOT_ENOUGH, "passes only 5 of 100 cases itself"),
        (pairs(open_=4), NOT_ENOUGH, "no case could be judged"),
        ([], NOT_ENOUGH, "no case could be judged"),
    ],
)
def test_three_verdicts(tried: list[TriedModel], verdict: str, said: str) -> None:
    found = find("all", tried, margin=0.05, alpha=0.05)
    assert (found.verdict, said in found.text) == (verdict, True), found
    assert (found.more is not None) == (said in ("may be lost", "no case could be judged")) or verdict != NOT_ENOUGH


def test_conversations_count_as_wholes() -> None:
    alone = pairs(both=60, broken=1, fixed=1)
    talks = [
        TriedModel(id=item.id, old=item.old, new=item.new, cluster=f"c{number // 20}")
        for number, item in enumerate(alone)
    ]
    assert find("all", alone, margin=0.1, alpha=0.05).verdict == NOT_WORSE
    assert find("all", talks, margin=0.1, alpha=0.05).verdict == NOT_ENOUGH  # four talks


def test_how_often_a_loss_as_large_as_the_margin_passes() -> None:
    """A model that loses exactly what is allowed is called not worse in at most alpha of the trials, and a little."""
    chance, wrong, rounds = random.Random(5), 0, 1500
    for _ in range(rounds):
        drawn = chance.choices((PASS + FAIL, FAIL + PASS, PASS + PASS), weights=(0.15, 0.05, 0.8), k=150)
        broken, fixed = drawn.count(PASS + FAIL), drawn.count(FAIL + PASS)
        wrong += least_difference(150, broken, fixed) > -0.1
    assert wrong / rounds <= 0.065


def test_classes_by_size_and_by_an_input() -> None:
    cases = [Case(id=str(n), query="x" * n, inputs={"kind": "abc"[n % 3]} if n != 7 else {}) for n in range(1, 31)]
    names, class_of = classes_of(cases, "size")
    assert names == ("up to 11 characters", "12 to 21 characters", "more than 21 characters")
    assert [class_of(case) for case in (cases[0], cases[-1])] == [names[0], names[2]]
    counts = [sum(class_of(case) == name for case in cases) for name in names]
    assert counts == [10, 10, 10]
    names, class_of = classes_of(cases, "input:kind")
    assert set(names) == {"kind: a", "kind: b", "kind: c", "other"}
    assert class_of(cases[6]) == "other"
    assert classes_of(cases, "none")[0] == ()
    assert classes_of([Case(id="1", query="x"), Case(id="2", query="y")], "size")[0] == ()
    for wrong in ("colour", "input:", "input:nothing"):
        with pytest.raises(UsageError):
            classes_of(cases, wrong)
