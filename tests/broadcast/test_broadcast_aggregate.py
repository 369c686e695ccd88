"""Many answers become one: each aggregator's rule, and what a partial result means to it."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.broadcast import aggregate
from difyops.broadcast.aggregate import Answers, Combined, parse
from difyops.broadcast.answer import AgentAnswer
from difyops.errors import UsageError


def answer(text: str, number: int = 0, **more: Any) -> AgentAnswer:
    who: dict[str, Any] = {
        "target": f"a/{number}",
        "context": "a",
        "app_id": str(number),
        "app": f"bot {number}",
        "mode": "chat",
    }
    return AgentAnswer(**who, status="answered", text=text, order=number + 1, **more)


def answers(*texts: str, asked: int | None = None) -> Answers:
    given = [answer(text, number) for number, text in enumerate(texts)]
    return Answers(given=given, asked=len(given) if asked is None else asked)


async def combined(how: str, given: Answers, ask: Any = None) -> Combined:
    return await parse(how).combine(given, question="Which?", ask=ask)


async def test_list_keeps_every_answer_with_its_agent() -> None:
    found = await combined("list", answers("a", "b"))
    assert [item["text"] for item in found.value] == ["a", "b"]


async def test_first_is_the_first_by_arrival_not_by_plan() -> None:
    late, early = replace(answer("late", 0), order=2), replace(answer("early", 1), order=1)
    found = await combined("first", Answers(given=[late, early], asked=3))
    assert found.value == "early"
    assert found.decided


async def test_concat_says_who_is_missing() -> None:
    found = await combined("concat", answers("a", "b", asked=3))
    assert "## bot 0\n\na" in found.text
    assert "1 of 3 agents gave no answer" in found.text
    assert not found.decided


async def test_vote_counts_equal_words_and_equal_json_as_equal() -> None:
    assert (await combined("vote", answers("Yes.", " yes ", "no"))).value == "Yes."
    found = await combined("vote", answers('{"a":1,"b":2}', '```json\n{"b": 2, "a": 1}\n```', "{}"))
    assert found.value == {"a": 1, "b": 2}
    assert found.details["margin"] == 1


async def test_a_tie_and_a_mere_plurality_have_no_winner() -> None:
    tie = await combined("vote", answers("yes", "no"))
    assert (tie.value, tie.decided, tie.notes) == (None, False, ("a tie",))
    plurality = await combined("vote", answers("a", "a", "b", "c", "d"))
    assert plurality.value is None
    assert (await combined("vote:majority=0", answers("a", "a", "b", "c", "d"))).value == "a"


async def test_a_vote_that_the_missing_could_overturn_is_not_decided() -> None:
    assert (await combined("vote", answers("a", "a", "a", asked=4))).decided
    assert not (await combined("vote", answers("a", "a", "b", asked=3 + 1))).decided


async def test_merge_joins_objects_and_names_what_differs() -> None:
    found = await combined(
        "merge", answers('{"a": 1, "l": [1, 2], "o": {"x": 1}}', '{"a": 2, "l": [2, 3], "o": {"y": 2}}', "words")
    )
    assert found.value == {"a": 1, "l": [1, 2, 3], "o": {"x": 1, "y": 2}}
    assert found.used == 2
    assert any("a: bot 0's value kept, bot 1 says otherwise" in note for note in found.notes)
    assert any("bot 2: not a JSON object" in note for note in found.notes)


async def test_merge_takes_true_and_one_for_different() -> None:
    assert (await combined("merge", answers('{"a": true}', '{"a": 1}'))).details["conflicts"] == 1


async def test_the_judge_gets_all_answers_as_data_and_the_question() -> None:
    asked: list[str] = []

    async def ask(prompt: str) -> AgentAnswer:
        asked.append(prompt)
        return answer("the verdict", 9, tokens=5)

    found = await combined("judge:wise", answers('ignore "this"', "b", asked=3), ask)
    assert found.value == "the verdict"
    assert json.dumps('ignore "this"') in asked[0]
    assert "Which?" in asked[0]
    assert "1 of 3 agents gave no answer" in asked[0]


async def test_a_judge_that_fails_is_said_and_one_without_answers_is_not_asked() -> None:
    async def ask(_: str) -> AgentAnswer:
        return replace(answer("", 9), status="failed", message="out of order")

    assert "out of order" in ((await combined("judge:wise", answers("a"), ask)).error or "")
    assert "not asked" in ((await combined("judge:wise", answers(asked=2), ask)).error or "")


@pytest.mark.parametrize("how", ["list", "first", "concat", "vote", "merge"])
async def test_no_answer_at_all_is_a_result_that_says_so(how: str) -> None:
    found = await combined(how, answers(asked=3))
    assert (found.used, found.decided) == (0, False)


@pytest.mark.parametrize("how", ["bote", "vote:speed=2", "vote:majority=much", "judge", "list:x"])
def test_an_aggregator_that_cannot_be_meant_is_a_usage_error(how: str) -> None:
    with pytest.raises(UsageError):
        parse(how)


def test_a_judge_is_named_by_any_selector() -> None:
    assert parse("judge:tag:wise, the=one").judge == "tag:wise, the=one"


@given(st.lists(st.sampled_from(["yes", "Yes!", "no", "maybe", '{"a":1}']), max_size=9), st.integers(0, 4))
async def test_a_decided_vote_stays_whatever_the_missing_say(texts: list[str], missing: int) -> None:
    found = await combined("vote", answers(*texts, asked=len(texts) + missing))
    if not found.decided:
        return
    for other in ("yes", "no", "something else"):
        later = await combined("vote:majority=0", answers(*texts, *[other] * missing))
        assert later.value == found.value


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=4), max_size=5))
async def test_merge_loses_no_key_and_keeps_the_first_value(objects: list[dict[str, Any]]) -> None:
    found = await combined("merge", answers(*(json.dumps(item) for item in objects)))
    expected: dict[str, Any] = {}
    for item in objects:
        expected = {**item, **expected}
    assert (found.value or {}) == expected


@pytest.mark.parametrize("name", aggregate.names())
def test_every_aggregator_keeps_the_contract_of_a_plugin(name: str) -> None:
    module = importlib.import_module(f"difyops.broadcast.aggregate.{name}")
    assert module.__doc__
    assert set(aggregate.settings_of(module.aggregate).values()) <= {str, int, float, bool}
    assert f'"{name}' in Path(__file__).read_text(encoding="utf-8")
