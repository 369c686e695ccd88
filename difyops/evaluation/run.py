"""Running an evaluation: every case asked, every answer checked, bound to what was live."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_answer import text_of
from difyops.api.run_faults import (
    BAD_INPUT,
    CONCURRENCY,
    CUT_OFF,
    PAUSED,
    PLUGIN_DOWN,
    PROVIDER_AUTH,
    PROVIDER_DOWN,
    PROVIDER_MISSING,
    PROVIDER_RATE,
    QUOTA,
    RATE_LIMIT,
)
from difyops.broadcast.answer import FAILED, AgentAnswer
from difyops.broadcast.engine import until_halted
from difyops.broadcast.result import unused_inputs
from difyops.clock import Clock, SystemClock, iso
from difyops.errors import UsageError
from difyops.evaluation.asking import Asker, AskOptions, OnAnswer, asker
from difyops.evaluation.binding import bind
from difyops.evaluation.cases import Case, Expectation, hash_of
from difyops.evaluation.checks import CHECKS, FAIL, NOT_JUDGED, PASS, Found, Given, as_text
from difyops.evaluation.result import Checked, Evaluation, Row, without_secrets
from difyops.targets import pick

# Words for failures that say nothing about the app: limits, providers, the way to them, a case that does not fit.
NOT_THE_APP = frozenset({
    BAD_INPUT, CONCURRENCY, CUT_OFF, PAUSED, PLUGIN_DOWN, PROVIDER_AUTH, PROVIDER_DOWN, PROVIDER_MISSING, PROVIDER_RATE,
    QUOTA, RATE_LIMIT, "unreachable", "rate_limited", "not_authenticated", "forbidden", "credential", "server_fault",
})  # fmt: skip
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRequest:
    """What to evaluate: a selector of one app, the cases, how they are asked."""

    app: str
    cases: tuple[Case, ...]
    options: AskOptions = field(default_factory=AskOptions)
    on_answer: OnAnswer | None = None


async def run(instance: Instance, request: EvalRequest, *, clock: Clock | None = None) -> Evaluation:
    """Ask every case and judge the answers.

    Raises:
        SelectorError: no such app, or a judge that is none. Refused: nothing is published. OutOfBudget: the fewest
            tokens are over the limit. DifyopsError: the instance cannot be read.
    """
    clock = clock or SystemClock()
    began, watch = clock.now(), time.monotonic()
    apps = [app async for app in instance.console.apps()]
    app = pick(apps, request.app)
    judges = set(judge_calls(apps, request.cases))
    bound = await bind(instance, app, hash_of(request.cases))
    async with asker(instance, apps, request.options) as asking:
        answers = await until_halted(asking.cases(app, request.cases, request.on_answer), asking.halt.now)
        ended = asking.halt.reason or "all"
        rows = await asyncio.gather(*(_judged(asking, case, answers[case.id]) for case in request.cases))
        judged_by = asking.judges
    after = await bind(instance, app, bound.cases)
    moved = (after.version, after.content) != (bound.version, bound.content)
    warnings: list[str] = []
    if moved:
        warnings.append(f"{app.name} was published anew meanwhile: these answers are of two versions.")
    warnings += unused_inputs(list(answers.values()))
    if app.id in judges:
        warnings.append(f"{app.name} judges itself.")
    return Evaluation(
        began=iso(began), seconds=round(time.monotonic() - watch, 3), bound=bound, rows=tuple(rows), moved=moved,
        judges=judged_by, ended=ended, warnings=tuple(warnings),
    )  # fmt: skip


def judge_calls(apps: Sequence[App], cases: Sequence[Case]) -> list[str]:
    """Return the id of the app of each call of a judge.

    Raises:
        SelectorError: one is no app here, so no case that wants it could be judged.
    """
    named = [str(item.parameters["app"]) for case in cases for item in case.expect if "app" in item.parameters]
    known = {name: pick(apps, name).id for name in sorted(set(named))}
    return [known[name] for name in named]


async def _judged(asking: Asker, case: Case, answer: AgentAnswer) -> Row:
    if not answer.ok:
        word = FAIL if answer.status == FAILED and answer.error not in NOT_THE_APP else NOT_JUDGED
        return _row(case, answer, word, f"{answer.message or answer.status} ({answer.error or answer.status})", ())
    outputs = dict(answer.outputs)
    text = answer.text if answer.text.strip() or not outputs else text_of(outputs)
    if not text.strip() and not any(value not in (None, "", [], {}) for value in outputs.values()):
        why = "the run succeeded with an empty answer (a cut edge, or blank outputs)"
        return _row(case, answer, FAIL, why, ())
    checks = tuple([await _checked(asking, case, item, outputs, text) for item in case.expect])
    words = [item.word for item in checks]
    word = FAIL if FAIL in words else NOT_JUDGED if NOT_JUDGED in words else PASS
    why = next((f"{item.check}: {item.why}" for item in checks if item.word == word and word != PASS), "")
    return _row(case, answer, word, why, checks)


async def _checked(asking: Asker, case: Case, item: Expectation, outputs: Mapping[str, Any], text: str) -> Checked:
    value: Any = (outputs or text) if not item.at else place_in(outputs or {"answer": text}, item.at)
    if value is _MISSING:
        has = ", ".join(map(str, outputs)) or "answer"
        return Checked(
            check=item.check, at=item.at, word=FAIL, why=f"there is no {item.at} (there is: {has})", score=0.0
        )
    if not item.at and len(outputs) == 1 and isinstance(only := next(iter(outputs.values())), str | int | float):
        value = only if item.check != "schema" else outputs
    given = Given(
        value=value, text=as_text(value) if item.at else text, query=case.query, inputs=case.inputs,
        reference=case.reference, ask=asking.judge,
    )  # fmt: skip
    function: Any = CHECKS.get(item.check).module
    found = function.check(given, **item.parameters)
    if inspect.isawaitable(found):
        found = await found
    if not isinstance(found, Found):
        raise UsageError(f"The check {item.check} is broken: it returned {type(found).__name__}.")
    return Checked(check=item.check, at=item.at, word=found.word, why=without_secrets(found.why), score=found.score)


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


def _row(case: Case, answer: AgentAnswer, word: str, why: str, checks: tuple[Checked, ...]) -> Row:
    scores = [item.score for item in checks if item.score is not None]
    judged = None if word == NOT_JUDGED else sum(scores) / len(scores) if scores else float(word == PASS)
    return Row(
        id=case.id, hash=case.hash, word=word, why=without_secrets(why), score=judged, cluster=case.cluster,
        checks=checks, answer=without_secrets(answer.text), seconds=answer.seconds, tokens=answer.tokens,
        price=answer.price, currency=answer.currency or "", run_id=answer.run_id or "",
    )  # fmt: skip
