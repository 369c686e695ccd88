"""One answer put before the checks of its case, wherever it came from: the live app, a copy, a replay."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api.run_answer import text_of
from difyops.errors import UsageError
from difyops.evaluation.cases import Case, Expectation
from difyops.evaluation.checks import CHECKS, FAIL, NOT_JUDGED, PASS, Ask, CheckFound, CheckInput, as_text
from difyops.evaluation.result import CheckedAnswer, without_secrets
from difyops.history.failures import GOOD, OURS
from difyops.replay import ReplayTold

_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """What an answer is worth: pass, fail, not judged, the first thing that is not well, what each check found."""

    word: str
    why: str = ""
    checks: tuple[CheckedAnswer, ...] = ()

    @property
    def score(self) -> float | None:
        """Return the mean of the checks' scores; ``None`` when it was not judged."""
        scores = [item.score for item in self.checks if item.score is not None]
        if self.word == NOT_JUDGED:
            return None
        return sum(scores) / len(scores) if scores else float(self.word == PASS)


async def judge(case: Case, said: str, outputs: Mapping[str, Any], ask: Ask) -> JudgedAnswer:
    """Judge what a run that succeeded answered. ``ask`` reaches the apps that judge.

    Raises:
        UsageError: a check of another package returned something else.
    """
    text = said if said.strip() or not outputs else text_of(outputs)
    if not text.strip() and not any(value not in (None, "", [], {}) for value in outputs.values()):
        return JudgedAnswer(word=FAIL, why="the run succeeded with an empty answer (a cut edge, or blank outputs)")
    checks = tuple([await _checked(ask, case, item, outputs, text) for item in case.expect])
    words = [item.word for item in checks]
    word = FAIL if FAIL in words else NOT_JUDGED if NOT_JUDGED in words else PASS
    why = next((f"{item.check}: {item.why}" for item in checks if item.word == word and word != PASS), "")
    return JudgedAnswer(word=word, why=without_secrets(why), checks=checks)


async def judge_told(case: Case, told: ReplayTold, ask: Ask) -> JudgedAnswer:
    """Judge what a replay was told: a failure of the app's own is a failure, one of others says nothing."""
    if told.outcome == GOOD:
        return await judge(case, told.text, told.outputs, ask)
    why = without_secrets(told.error)
    if told.outcome == OURS:
        return JudgedAnswer(word=FAIL, why=why)
    return JudgedAnswer(word=NOT_JUDGED, why=f"{told.outcome}: {why}" if why else told.outcome)


async def _checked(ask: Ask, case: Case, item: Expectation, outputs: Mapping[str, Any], text: str) -> CheckedAnswer:
    value: Any = (outputs or text) if not item.at else place_in(outputs or {"answer": text}, item.at)
    if value is _MISSING:
        has = ", ".join(map(str, outputs)) or "answer"
        return CheckedAnswer(
            check=item.check, at=item.at, word=FAIL, why=f"there is no {item.at} (there is: {has})", score=0.0
        )
    if not item.at and len(outputs) == 1 and isinstance(only := next(iter(outputs.values())), str | int | float):
        value = only if item.check != "schema" else outputs
    given = CheckInput(
        value=value, text=as_text(value) if item.at else text, query=case.query, inputs=case.inputs,
        reference=case.reference, ask=ask,
    )  # fmt: skip
    function: Any = CHECKS.get(item.check).module
    found = function.check(given, **item.parameters)
    if inspect.isawaitable(found):
        found = await found
    if not isinstance(found, CheckFound):
        raise UsageError(f"The check {item.check} is broken: it returned {type(found).__name__}.")
    return CheckedAnswer(
        check=item.check, at=item.at, word=found.word, why=without_secrets(found.why), score=found.score
    )


def place_in(value: Any, at: str) -> Any:
    """Return what stands at ``result.items.0.name``; JSON texts on the way are read."""
    for part in at.split("."):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return _MISSING
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value
