"""Asking an app all cases, through the machinery of broadcasts: adaptive, stopped on the server when it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_transport import run_transport
from difyops.api.service import app_key
from difyops.broadcast.answer import AgentAnswer
from difyops.broadcast.engine import AnswerEnded, EngineOptions, broadcast
from difyops.broadcast.plan import BroadcastPlan, Target
from difyops.broadcast.runner import Reach, RunOptions
from difyops.errors import DifyopsError
from difyops.evaluation.cases import Case
from difyops.fanout import Halt
from difyops.secret_text import SecretText
from difyops.targets import pick

AT_ONCE = 4
_HEADROOM = 16  # stop calls travel beside the runs
_QUESTION = "evaluation"  # stands where a broadcast has its one question; every target has its own

OnAnswer = Callable[[AgentAnswer], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """How cases are asked: runs at once, seconds for one, tokens for all (``None``: no limit), seconds for all.

    ``repeatable``: the runs change nothing, so one that failed on the way may be tried again.
    """

    at_once: int = AT_ONCE
    timeout: float = 300.0
    max_tokens: int | None = None
    deadline: float | None = None
    repeatable: bool = False
    user: str = "difyops-eval"


@dataclass(slots=True)
class Asker:
    """The open way to the apps of one instance, and what judges have used of it."""

    instance: Instance
    apps: Sequence[App]
    options: AskOptions
    reach: Reach
    halt: Halt = field(default_factory=Halt)
    judges: dict[str, int] = field(default_factory=dict)
    judging: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.judging = asyncio.Semaphore(self.options.at_once)

    async def cases(self, app: App, cases: Sequence[Case], on_answer: OnAnswer | None = None) -> dict[str, AgentAnswer]:
        """Ask every case and return the answers by case id."""
        targets = [_target(self.instance, app, case, self.options, number) for number, case in enumerate(cases)]
        by_target = {target.id: case.id for target, case in zip(targets, cases, strict=True)}
        plan = BroadcastPlan(question=_QUESTION, targets=tuple(targets))
        found: dict[str, AgentAnswer] = {}
        options = self._engine()
        async with aclosing(broadcast(plan, {self.instance.name: self.reach}, options, halt=self.halt)) as events:
            async for event in events:
                if isinstance(event, AnswerEnded):
                    found[by_target[event.answer.target]] = event.answer
                    if on_answer:
                        on_answer(event.answer)
        return found

    async def judge(self, selector: str, question: str) -> str:
        """Ask a judge and return its answer.

        Raises:
            DifyopsError: it is no app here, or gave no answer.
        """
        app = pick(self.apps, selector)
        target = Target(id=f"judge/{app.id}", context=self.instance.name, app=app, question=question)
        plan = BroadcastPlan(question=_QUESTION, targets=(target,))
        options = replace(self._engine(), max_tokens=None)
        async with self.judging:
            events = broadcast(plan, {self.instance.name: self.reach}, options, halt=self.halt)
            async with aclosing(events):
                ended = [event.answer async for event in events if isinstance(event, AnswerEnded)]
        self.judges[app.id] = self.judges.get(app.id, 0) + (ended[0].tokens or 0)
        if not ended[0].ok:
            raise DifyopsError(ended[0].message or ended[0].status)
        return ended[0].text

    def _engine(self) -> EngineOptions:
        options = self.options
        return EngineOptions(
            run=RunOptions(user=options.user), max_in_flight=options.at_once, start=options.at_once,
            timeout=options.timeout, max_tokens=options.max_tokens, deadline=options.deadline,
        )  # fmt: skip


@asynccontextmanager
async def asker(instance: Instance, apps: Sequence[App], options: AskOptions) -> AsyncIterator[Asker]:
    """Open a transport for runs and close it at the end."""

    async def key_of(app: App) -> SecretText:
        return await app_key(instance.console, app.id)

    transport = run_transport(instance.context, limit=2 * options.at_once + _HEADROOM)
    try:
        yield Asker(instance, apps, options, Reach(transport=transport, key_of=key_of))
    finally:
        await transport.close()


def _target(instance: Instance, app: App, case: Case, options: AskOptions, number: int) -> Target:
    return Target(
        id=f"case/{number}", context=instance.name, app=app, inputs=case.inputs, question=case.query,
        repeatable=options.repeatable,
    )  # fmt: skip
