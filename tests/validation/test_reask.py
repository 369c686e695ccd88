"""Asking again: what is sent, when it ends, and what happens when the app goes away or the fallback is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from difyops.errors import Unreachable, UsageError
from difyops.validation import FallbackAsk, FallbackValue, ReaskOptions, enforce_with

SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}
GOOD, BAD = '{"b": 1}', '{"b": "x"}'


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    tokens: int | None = 100


@dataclass(slots=True)
class App:
    """Answers in turn; an exception in the list is raised."""

    answers: Sequence[Any]
    tokens: int | None = 100
    asked: list[str] = field(default_factory=list)

    async def __call__(self, message: str) -> Said:
        answer = self.answers[len(self.asked)]
        self.asked.append(message)
        if isinstance(answer, Exception):
            raise answer
        return Said(answer, self.tokens)


async def test_a_good_first_answer_is_asked_for_once() -> None:
    app = App([GOOD])
    asked = await enforce_with(app, "How many?", SCHEMA, reask=ReaskOptions(attempts=3))
    assert (asked.verdict.value, asked.verdict.rung, asked.tokens, asked.stopped) == ({"b": 1}, "strict", 100, None)
    assert app.asked == ["How many?"]


async def test_a_bad_answer_goes_back_with_its_violations_and_the_schema() -> None:
    app = App([BAD, GOOD])
    asked = await enforce_with(app, "How many?", SCHEMA, reask=ReaskOptions(attempts=2))
    assert (asked.verdict.value, asked.verdict.rung, asked.tokens) == ({"b": 1}, "reask", 200)
    assert [attempt.error for attempt in asked.attempts] == ["violates", None]
    again = app.asked[1]
    assert again.startswith("How many?")
    assert all(part in again for part in ("/b", "integer", BAD, '"required": ["b"]'))


async def test_at_most_so_many_questions_are_asked() -> None:
    app = App([BAD] * 9)
    asked = await enforce_with(app, "?", SCHEMA, reask=ReaskOptions(attempts=2))
    assert (asked.verdict.error, asked.stopped, len(app.asked)) == ("violates", "attempts", 3)


async def test_the_token_budget_ends_it_before_it_is_passed() -> None:
    app = App([BAD] * 9)
    asked = await enforce_with(app, "?", SCHEMA, reask=ReaskOptions(attempts=8, token_budget=250))
    assert (asked.tokens, asked.stopped, len(app.asked)) == (200, "budget", 2)


async def test_a_budget_holds_for_apps_that_do_not_tell_their_tokens_and_for_the_fallback_app() -> None:
    for told in (None, 0):
        app, other = App([BAD] * 9, told), App([GOOD])
        options = ReaskOptions(attempts=8, token_budget=60, fallback=FallbackAsk(ask=other))
        asked = await enforce_with(app, "?" * 100, SCHEMA, reask=options)
        assert (asked.tokens, asked.stopped, len(app.asked), other.asked) == (0, "budget", 2, [])
        assert 60 < asked.counted < 300


async def test_an_app_that_goes_away_in_the_middle_is_an_error_that_tells_what_was_tried() -> None:
    app = App([BAD, Unreachable("The host does not answer.")])
    with pytest.raises(Unreachable) as caught:
        await enforce_with(app, "?", SCHEMA, reask=ReaskOptions(attempts=3))
    assert caught.value.exit_code == 1
    assert caught.value.details["attempts"] == ["violates"]


async def test_a_fallback_value_stands_in_for_failures_and_for_an_app_that_went_away() -> None:
    fallback = FallbackValue(value={"b": 0})
    for answers, stopped in (([BAD], "attempts"), ([Unreachable("gone")], "unreachable")):
        asked = await enforce_with(App(answers), "?", SCHEMA, reask=ReaskOptions(fallback=fallback))
        assert (asked.verdict.value, asked.verdict.rung, asked.stopped) == ({"b": 0}, "fallback", stopped)


async def test_a_fallback_value_that_violates_is_refused_before_anything_is_asked() -> None:
    app = App([GOOD])
    for value in ({"b": "x"}, {}, None, [1]):
        with pytest.raises(UsageError):
            await enforce_with(app, "?", SCHEMA, reask=ReaskOptions(fallback=FallbackValue(value=value)))
    assert app.asked == []


async def test_a_fallback_app_is_asked_once_and_judged_like_any_other() -> None:
    other = App([GOOD])
    asked = await enforce_with(App([BAD]), "?", SCHEMA, reask=ReaskOptions(fallback=FallbackAsk(ask=other)))
    assert (asked.verdict.value, asked.verdict.rung, other.asked) == ({"b": 1}, "fallback", ["?"])
    worse = App(["sorry, I cannot"])
    asked = await enforce_with(App([BAD]), "?", SCHEMA, reask=ReaskOptions(fallback=FallbackAsk(ask=worse)))
    assert (asked.verdict.ok, asked.verdict.error) == (False, "refusal")
