"""Running an evaluation: every case asked, every answer checked, bound to what was live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from difyops.api.instance import Instance
from difyops.api.model import App
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
from difyops.evaluation.asking import Asker, AskOptions, OnAnswer, asker
from difyops.evaluation.binding import bind
from difyops.evaluation.cases import Case, hash_of
from difyops.evaluation.checks import FAIL, NOT_JUDGED
from difyops.evaluation.judging import JudgedAnswer, judge
from difyops.evaluation.result import CaseRow, Evaluation, without_secrets
from difyops.targets import pick

# Words for failures that say nothing about the app: limits, providers, the way to them, a case that does not fit.
NOT_THE_APP = frozenset({
    BAD_INPUT, CONCURRENCY, CUT_OFF, PAUSED, PLUGIN_DOWN, PROVIDER_AUTH, PROVIDER_DOWN, PROVIDER_MISSING, PROVIDER_RATE,
    QUOTA, RATE_LIMIT, "unreachable", "rate_limited", "not_authenticated", "forbidden", "credential", "server_fault",
})  # fmt: skip


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


async def _judged(asking: Asker, case: Case, answer: AgentAnswer) -> CaseRow:
    if not answer.ok:
        word = FAIL if answer.status == FAILED and answer.error not in NOT_THE_APP else NOT_JUDGED
        why = f"{answer.message or answer.status} ({answer.error or answer.status})"
        return _row(case, answer, JudgedAnswer(word=word, why=without_secrets(why)))
    return _row(case, answer, await judge(case, answer.text, answer.outputs, asking.judge))


def _row(case: Case, answer: AgentAnswer, judged: JudgedAnswer) -> CaseRow:
    return CaseRow(
        id=case.id, hash=case.hash, word=judged.word, why=judged.why, score=judged.score, cluster=case.cluster,
        checks=judged.checks, answer=without_secrets(answer.text), seconds=answer.seconds, tokens=answer.tokens,
        price=answer.price, currency=answer.currency or "", run_id=answer.run_id or answer.message_id or "",
    )  # fmt: skip
