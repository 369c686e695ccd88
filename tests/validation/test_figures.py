"""The figures the room promises, on answers whose truth is known. The full table is printed by ``make bench``."""

from __future__ import annotations

import functools
import json

from difyops.validation import compile_schema, enforce
from tests.validation import wrapping
from tests.validation.corpus import KINDS, Answer, answers
from tests.validation.scoring import Score, compiled_once, json_repair_checked, ours, recipe, score


@functools.cache
def corpus() -> list[Answer]:
    return list(answers(seed=11, count=1_300))


@functools.cache
def our_score() -> Score:
    return score(corpus(), ours)


def test_at_least_95_of_100_answers_end_right_and_at_most_5_of_1000_wrong_but_valid() -> None:
    result = our_score()
    assert result.share("right") >= 0.95
    assert result.share("wrong") <= 0.005


def test_every_kind_of_damage_is_in_the_corpus_and_none_is_given_up() -> None:
    result = our_score()
    assert {damage.__name__ for damage in KINDS} <= set(result.kinds)
    assert [kind for kind, counts in result.kinds.items() if counts["right"] < 0.8 * counts.total()] == []


def test_the_regex_recipe_and_json_repair_do_worse_on_both_counts() -> None:
    some = corpus()[::5]
    mine = score(some, ours)
    for other in (score(some, recipe), score(some, json_repair_checked)):
        assert other.share("right") < mine.share("right")
        assert other.share("wrong") > mine.share("wrong")


def test_valid_answers_come_back_unchanged_and_without_edits() -> None:
    for answer in corpus():
        if answer.kind == wrapping.valid.__name__:
            verdict = enforce(answer.text, compile_schema(answer.schema))
            assert verdict.rung == "strict"
            assert verdict.edits == ()
            assert json.dumps(verdict.value) == json.dumps(json.loads(answer.text))


def test_a_repaired_value_always_lists_what_was_changed() -> None:
    for answer in corpus()[::6]:
        verdict = enforce(answer.text, compiled_once(answer.schema))
        if verdict.rung in ("extract", "repair"):
            assert verdict.edits
            assert all(edit.reason for edit in verdict.edits)
