"""Two results: what is proven, what is not, what is left out, and how many cases it would need."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from difyops.errors import UsageError
from difyops.evaluation.compare import IMPROVEMENT, NONE_PROVEN, REGRESSION, CompareLimits, compare
from difyops.evaluation.result import (
    Bound,
    CaseRow,
    CheckedAnswer,
    Evaluation,
    read_result,
    without_secrets,
    write_result,
)

BOUND = Bound(
    context="emu", app_id="a", app="shop", mode="chat", version="", content="c0", models=("m",), cases="h"
)  # fmt: skip


def result(words: str, *, content: str = "c0", clusters: list[str] | None = None, **rows: Any) -> Evaluation:
    """Return a result: one letter a case, p(ass), f(ail) or n(ot judged)."""
    names = {"p": "pass", "f": "fail", "n": "not judged"}
    made = tuple(
        CaseRow(
            id=f"case-{place}", hash="h", word=names[word], cluster=clusters[place] if clusters else "",
            score=rows["scores"][place] if "scores" in rows else {"p": 1.0, "f": 0.0}.get(word),
            seconds=rows["seconds"][place] if "seconds" in rows else 1.0, why="" if word == "p" else "because",
        )
        for place, word in enumerate(words)
    )  # fmt: skip
    bound = Bound(**{**{name: getattr(BOUND, name) for name in Bound.__slots__}, "content": content})
    return Evaluation(began="2026-11-26T00:00:00Z", seconds=1.0, bound=bound, rows=made)


def test_a_proven_regression_is_five() -> None:
    found = compare(result("p" * 20), result("f" * 6 + "p" * 14, content="c1"))
    assert found.verdict == REGRESSION
    assert found.error is not None
    assert found.error.exit_code == 5
    assert [item.id for item in found.broken] == [f"case-{place}" for place in range(6)]
    assert found.broken[0].why == "because"
    better = compare(result("f" * 6 + "p" * 14), result("p" * 20, content="c1"))
    assert (better.verdict, better.error) == (IMPROVEMENT, None)
    assert len(better.fixed) == 6


def test_what_is_not_proven_says_how_many_cases_it_would_need() -> None:
    found = compare(result("p" * 20), result("ff" + "p" * 18, content="c1"))
    assert (found.verdict, found.error) == (NONE_PROVEN, None)
    assert found.needed is not None
    assert found.needed > 20
    assert "10.0 points" in found.needed_for
    same = compare(result("p" * 20), result("p" * 20))
    assert same.needed is not None
    assert "none was seen" in same.needed_for
    assert any("chance" in item for item in same.warnings)


def test_one_conversation_is_one_event() -> None:
    clusters = ["talk"] * 8 + [str(place) for place in range(12)]
    found = compare(result("p" * 20, clusters=clusters), result("f" * 8 + "p" * 12, content="c1", clusters=clusters))
    assert found.verdict == NONE_PROVEN
    assert (found.paired.broken, found.clusters) == (8, 13)


def test_what_was_not_judged_is_no_pair_and_no_pass() -> None:
    found = compare(result("pppnpp"), result("ppnppp"))
    assert (found.pairs, [item.id for item in found.left_out]) == (4, ["case-2", "case-3"])
    mostly = compare(result("p" * 10), result("n" * 7 + "ppp"))
    assert mostly.error is not None
    assert mostly.error.exit_code == 3
    with pytest.raises(UsageError, match="no case in common"):
        compare(result("pp"), result("nn"))


def test_a_case_that_changed_is_another_one() -> None:
    after = result("ppp")
    rows = (CaseRow(id="case-0", hash="other", word="fail"), *after.rows[1:], CaseRow(id="new", hash="h", word="fail"))
    changed = Evaluation(began="x", seconds=1.0, bound=BOUND, rows=rows)
    found = compare(result("ppp"), changed)
    assert {item.id: item.why for item in found.left_out} == {
        "case-0": "the case itself was changed", "new": "it is only in the second",
    }  # fmt: skip


def test_scores_can_prove_what_pass_and_fail_cannot() -> None:
    rng = random.Random(1)
    before = [0.9 - rng.random() / 10 for _ in range(40)]
    after = [value - 0.1 - rng.random() / 20 for value in before]
    found = compare(result("p" * 40, scores=before), result("p" * 40, scores=after, content="c1"))
    assert found.verdict == REGRESSION
    assert "scores fell" in found.regressions[0]
    few = compare(result("p" * 5, scores=before[:5]), result("p" * 5, scores=after[:5], content="c1"))
    assert few.verdict == NONE_PROVEN
    assert any("too few" in item for item in few.warnings)


def test_times_count_only_where_a_limit_was_given() -> None:
    slow = [1.5 + place / 100 for place in range(20)]
    before, after = result("p" * 20), result("p" * 20, seconds=slow, content="c1")
    assert compare(before, after).verdict == NONE_PROVEN
    assert compare(before, after, CompareLimits(slower=0.2)).verdict == REGRESSION
    assert compare(before, after, CompareLimits(slower=0.9)).verdict == NONE_PROVEN


def test_no_more_false_alarms_than_alpha() -> None:
    rng = random.Random(7)
    alarms = 0
    for _ in range(300):
        before = "".join("p" if rng.random() < 0.7 else "f" for _ in range(40))
        after = "".join(word if rng.random() < 0.8 else ("f" if word == "p" else "p") for word in before)
        flipped = "".join(one if rng.random() < 0.5 else two for one, two in zip(before, after, strict=True))
        other = "".join(
            two if one == kept else one for one, two, kept in zip(before, after, flipped, strict=True)
        )  # the same pairs, each turned by a coin: nothing is better
        alarms += compare(result(flipped), result(other, content="c1")).verdict == REGRESSION
    assert alarms <= 15  # 5 % would be 15, and half of what alpha allows is a gain


def test_not_worse_is_a_question_of_its_own() -> None:
    few = compare(result("p" * 20), result("p" * 20, content="c1"), CompareLimits(margin=0.02))
    assert few.error is not None
    assert few.error.exit_code == 3
    assert few.needed is not None
    assert few.needed > 20
    many = compare(result("p" * 200), result("p" * 200, content="c1"), CompareLimits(margin=0.02))
    assert (many.error, many.verdict) == (None, NONE_PROVEN)
    lost = compare(result("p" * 200), result("f" * 20 + "p" * 180, content="c1"), CompareLimits(margin=0.2))
    assert lost.verdict == REGRESSION  # and yet within the margin: what is proven worse stays a no
    clusters = ["one", "two"] * 100
    shared = compare(
        result("p" * 200, clusters=clusters), result("p" * 200, clusters=clusters), CompareLimits(margin=0.02)
    )
    assert shared.error is not None


def test_a_file_comes_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    rows = (
        CaseRow(id="a", hash="h", word="fail", checks=(CheckedAnswer(check="exact", word="fail", why="x", score=0.0),)),
    )
    made = Evaluation(began="x", seconds=1.0, bound=BOUND, rows=rows)
    write_result(file, made)
    assert file.stat().st_mode & 0o077 == 0
    assert read_result(file) == made
    good = file.read_text()
    for bad in (
        "",
        "[]",
        "{}",
        good.replace('"fail"', '"fine"'),
        good.replace('"id": "a",', ""),
        good.replace("1.0", '"x"', 0),
    ):
        if bad == good:
            continue
        file.write_text(bad)
        with pytest.raises(UsageError, match=r"result\.json"):
            read_result(file)


def test_what_looks_secret_is_cut_from_answers() -> None:
    key = "sk-proj-" + "Aq3xT9mLw7Zk2vBn8RcY5dPs"
    kept = without_secrets(f"the key {key} is it, and curl -u bob:Zk2vBn8RcY5d")
    assert kept.startswith("the key ")
    assert key not in kept
    assert "Zk2vBn8RcY5d" not in kept
