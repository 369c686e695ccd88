"""Asking again: an answer that fails goes back with its violations, at most N times, within a budget; then a fallback.

The asking itself is handed in as a function, so nothing in here knows how an app is reached.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from difyops.errors import DifyopsError, UsageError
from difyops.validation.judge import Schema, compiled
from difyops.validation.ladder import enforce
from difyops.validation.verdict import DEFAULTS, FALLBACK, REASK, STRICT, EnforceOptions, Verdict

_MOST_SHOWN = 20
_LONGEST_SCHEMA = 6_000
_LONGEST_ANSWER = 2_000
_CHARACTERS_PER_TOKEN = 4


class AppAnswer(Protocol):
    """What asking gives: the text, and how many tokens it took where that is known."""

    @property
    def text(self) -> str:
        """Return what the model wrote."""
        ...

    @property
    def tokens(self) -> int | None:
        """Return the tokens of the whole call, ``None`` when the app does not tell."""
        ...


Ask = Callable[[str], Awaitable[AppAnswer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackValue:
    """A value to take when nothing else stands. It must satisfy the schema itself; that is checked before any call."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackAsk:
    """Somebody else to ask, once, with the first question; the answer is judged like any other."""

    ask: Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaskOptions:
    """How often and how dearly to ask again.

    ``attempts``: questions after the first one. ``token_budget``: tokens for all calls together, the fallback's too; no
    question is asked that would probably pass it (as dear as the dearest so far). A call that does not tell its tokens
    counts as a quarter of its characters. ``fallback``: what to do in the end.
    """

    attempts: int = 0
    token_budget: int | None = None
    fallback: FallbackValue | FallbackAsk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One question that was asked and what became of it. ``counted`` is what
    it takes from the budget: its tokens, estimated where nobody told them."""

    rung: str
    error: str | None
    tokens: int | None
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaskRequest:
    """The end of asking: the last verdict, every attempt in order, tokens spent in all (of the calls that told).

    ``stopped`` says why no further question was asked when nothing stood: ``attempts``, ``budget``, ``unreachable``.
    """

    verdict: Verdict
    attempts: tuple[Attempt, ...]
    tokens: int
    stopped: str | None = None

    @property
    def counted(self) -> int:
        """Return the tokens spent in all, estimated where a call did not tell."""
        return sum(attempt.counted for attempt in self.attempts)


async def enforce_with(
    ask: Ask,
    question: str,
    schema: Schema | Mapping[str, Any] | bool,
    *,
    options: EnforceOptions = DEFAULTS,
    reask: ReaskOptions | None = None,
) -> ReaskRequest:
    """Ask until an answer satisfies the schema, or the attempts, the budget or the fallback are used up.

    Raises:
        ConfigError: the schema cannot be used. UsageError: the fallback value does not satisfy it (nothing was asked).
        DifyopsError: asking failed and there is no fallback; ``details`` tell the attempts made before.
    """
    course = _Course(compiled(schema), options, reask or ReaskOptions(), question)
    if isinstance(course.reask.fallback, FallbackValue):
        check_fallback(course.reask.fallback, course.schema)
    try:
        asked = await course.ask_repeatedly(ask)
    except DifyopsError as error:
        if course.reask.fallback is None:
            error.details["attempts"] = [attempt.error or attempt.rung for attempt in course.attempts]
            raise
        asked = course.ended("unreachable")
    if asked.verdict.ok or course.reask.fallback is None:
        return asked
    return await course.fall_back(asked)


def check_fallback(fallback: FallbackValue, schema: Schema) -> None:
    """Check a fallback value as an answer is checked, without repair.

    Raises:
        UsageError: it does not satisfy the schema.
    """
    verdict = enforce(_as_json(fallback.value), schema, options=replace(DEFAULTS, repair=False))
    if verdict.rung != STRICT:
        raise UsageError(
            f"The fallback does not satisfy the schema: {verdict.message or 'it is not strict JSON.'}",
            hint="Nothing was asked; correct the fallback.",
        )


@dataclass(slots=True)
class _Course:
    schema: Schema
    options: EnforceOptions
    reask: ReaskOptions
    question: str
    attempts: list[Attempt] = field(default_factory=list)
    verdict: Verdict = field(default_factory=lambda: Verdict(ok=False, rung="failed", error="no_answer"))

    async def ask_repeatedly(self, ask: Ask) -> ReaskRequest:
        message = self.question
        for number in range(self.reask.attempts + 1):
            if number and self._would_pass_budget():
                return self.ended("budget")
            text = await self._ask_once(ask, message)
            if self.verdict.ok:
                if number:
                    self.verdict = self.verdict._replace(rung=REASK)
                return self.ended(None)
            message = again(self.question, text, self.verdict, self.schema)
        return self.ended("attempts")

    async def fall_back(self, asked: ReaskRequest) -> ReaskRequest:
        fallback = self.reask.fallback
        if isinstance(fallback, FallbackValue):
            verdict = Verdict(ok=True, rung=FALLBACK, value=fallback.value)
            return replace(asked, verdict=verdict)
        if isinstance(fallback, FallbackAsk):
            if self._would_pass_budget():
                return self.ended("budget")
            await self._ask_once(fallback.ask, self.question)
            if self.verdict.ok:
                self.verdict = self.verdict._replace(rung=FALLBACK)
        return self.ended(asked.stopped)

    async def _ask_once(self, ask: Ask, message: str) -> str:
        answer = await ask(message)
        self.verdict = enforce(answer.text, self.schema, options=self.options)
        counted = answer.tokens or (len(message) + len(answer.text)) // _CHARACTERS_PER_TOKEN
        self.attempts.append(
            Attempt(rung=self.verdict.rung, error=self.verdict.error, tokens=answer.tokens, counted=counted)
        )
        return answer.text

    def ended(self, stopped: str | None) -> ReaskRequest:
        told = sum(attempt.tokens or 0 for attempt in self.attempts)
        return ReaskRequest(verdict=self.verdict, attempts=tuple(self.attempts), tokens=told, stopped=stopped)

    def _would_pass_budget(self) -> bool:
        if self.reask.token_budget is None:
            return False
        costs = [attempt.counted for attempt in self.attempts]
        return sum(costs) + max(costs, default=0) > self.reask.token_budget


def again(question: str, answer: str, verdict: Verdict, schema: Schema) -> str:
    """Return the question with what was wrong with the last answer, quoted, and the schema."""
    wrong = [f"- {item.pointer or '/'}: {item.message} (expected {item.expected})" for item in verdict.violations]
    lines = [
        question,
        "",
        "Your last answer could not be used. It was:",
        _shortened(answer, _LONGEST_ANSWER),
        "",
        f"What was wrong: {verdict.message}",
        *wrong[:_MOST_SHOWN],
        "",
        "Answer again with one JSON value and nothing else. It must satisfy this JSON Schema:",
        _shortened(_as_json(schema.document), _LONGEST_SCHEMA),
    ]
    return "\n".join(lines)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} [...]"


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
