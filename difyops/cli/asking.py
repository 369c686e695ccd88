"""Carrying out a broadcast: contexts are opened, the plan is made, events are read until the last target ended.

The part of ``broadcast``'s door that waits. Nothing is shown here but through what the door hands in.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_transport import run_transport
from difyops.api.service import app_key
from difyops.broadcast import saving
from difyops.broadcast.aggregate import Answers, Chosen, Combined
from difyops.broadcast.answer import FAILED, AgentAnswer, without_answer
from difyops.broadcast.engine import (
    BUDGET,
    DEADLINE,
    INTERRUPTED,
    AnswerEnded,
    Delta,
    EngineOptions,
    Event,
    Started,
    broadcast,
    until_halted,
)
from difyops.broadcast.plan import BroadcastPlan, Member, Target, Wishes, make_plan
from difyops.broadcast.result import Broadcast, tally, unused_inputs
from difyops.broadcast.runner import Reach
from difyops.cli.session import Session
from difyops.cost import BUDGETS_FILE
from difyops.errors import DifyopsError, OutOfBudget, SelectorError, StoreError, TimedOut
from difyops.fanout import Halt
from difyops.render.live import MOST_SHOWN, View, live_view
from difyops.secret_text import SecretText
from difyops.targets import pick

_HEADROOM = 16  # stop calls travel beside the runs


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastRequest:
    """A broadcast as the command line and the panel ask for it."""

    question: str
    members: Sequence[Member]
    contexts: Sequence[str | None]
    wishes: Wishes
    options: EngineOptions
    chosen: Chosen
    save: Path | None = None
    resumed: saving.Saved | None = None
    on_answer: Callable[[AgentAnswer], None] | None = None


@dataclass(slots=True)
class OpenedInstances:
    """The instances that could be opened, their apps, and what went wrong with the others."""

    instances: dict[str, Instance] = field(default_factory=dict)
    fleets: dict[str, list[App]] = field(default_factory=dict)
    failed: dict[str, DifyopsError] = field(default_factory=dict)


def new_user() -> str:
    """Return who asks: one name per broadcast, so that its runs can be found in the logs."""
    return f"difyops-{uuid.uuid4().hex[:12]}"


async def plan_only(session: Session, wanted: BroadcastRequest) -> BroadcastPlan:
    """Return the plan; nothing is called but the app lists."""
    async with AsyncExitStack() as stack:
        opened = await _opened(session, wanted, stack, None)
        return _plan(wanted, opened)


async def carry_out(session: Session, wanted: BroadcastRequest) -> Broadcast:
    """Ask everybody and return the result; Ctrl-C and the deadline of the options end it early, with what came.

    Raises:
        SelectorError, UsageError, OutOfBudget: refused before any run. DifyopsError: no instance could be opened.
    """
    began = time.monotonic()
    deadline = wanted.options.deadline
    async with AsyncExitStack() as stack:
        opened = await _opened(session, wanted, stack, deadline)
        plan = _plan(wanted, opened)
        judge = _judge(wanted, opened)
        reaches = _reaches(wanted, opened, stack)
        left = None if deadline is None else max(0.0, deadline - (time.monotonic() - began))
        asking = _Asking(wanted, plan, reaches, replace(wanted.options, deadline=left), quiet=session.quiet)
        asked = [(target.context, target.app.id) for target in plan.targets]
        with _holding(session, asked) as settle:
            result = await until_halted(asking.result(judge, opened.failed), asking.stop)
            settle(_used(plan, result))
    return replace(result, seconds=time.monotonic() - began)


@contextmanager
def _holding(
    session: Session, asked: Sequence[tuple[str, str]]
) -> Iterator[Callable[[Mapping[tuple[str, str], int]], None]]:
    """Hold what the runs will take in the budgets; without budgets the rooms of costs are not loaded at all."""
    if not session.config.user_file.with_name(BUDGETS_FILE).exists():
        yield lambda used: None
        return
    from difyops.cli.cost_holding import holding

    with holding(session, asked, what="the broadcast") as settle:
        yield settle


def _used(plan: BroadcastPlan, result: Broadcast) -> dict[tuple[str, str], int]:
    """Return the tokens of the answers, by context and app."""
    apps = {target.id: (target.context, target.app.id) for target in plan.targets}
    found: dict[tuple[str, str], int] = {}
    for answer in result.answers:
        if answer.target in apps:
            found[apps[answer.target]] = found.get(apps[answer.target], 0) + (answer.tokens or 0)
    return found


@dataclass(slots=True)
class _Asking:
    wanted: BroadcastRequest
    plan: BroadcastPlan
    reaches: Mapping[str, Reach]
    options: EngineOptions
    quiet: bool
    halt: Halt = field(default_factory=Halt)
    judging: Halt = field(default_factory=Halt)
    began: float = field(default_factory=time.monotonic)
    unsaved: str | None = None
    judge_tokens: int = 0

    def stop(self, reason: str) -> None:
        """End it early, whether the agents or the judge are at work."""
        self.halt.now(reason)
        self.judging.now(reason)

    async def result(self, judge: Target | None, failed: Mapping[str, DifyopsError]) -> Broadcast:
        done = self.wanted.resumed.done if self.wanted.resumed else ()
        mine = {target.id for target in self.plan.targets}
        earlier = [answer for answer in done if answer.target in mine]
        came = await self._came({answer.target for answer in earlier}, len(earlier))
        lost = [_lost(name, error) for name, error in failed.items()]
        answers = (*tally(self.plan, came, earlier=earlier), *lost)
        result = Broadcast(
            question=self.plan.question,
            user=self.options.run.user,
            answers=answers,
            seconds=0.0,
            ended=self.halt.reason or "all",
            wanted=self.wanted.options.wait,
            earlier=len(earlier),
            unsaved=self.unsaved,
            warnings=(*self.plan.warnings, *unused_inputs(came)),
        )
        return await self._with_combined(result, judge)

    async def _came(self, done: set[str], earlier: int) -> list[AgentAnswer]:
        plan = replace(self.plan, targets=tuple(item for item in self.plan.targets if item.id not in done))
        wait = self.options.wait
        if not plan.targets or (wait is not None and wait <= earlier):
            return []
        options = replace(self.options, wait=None if wait is None else min(wait - earlier, len(plan.targets)))
        saver = self._saver()
        came: list[AgentAnswer] = []
        try:
            with live_view(len(plan.targets), quiet=self.quiet, answers=len(plan.targets) <= MOST_SHOWN) as view:
                async with aclosing(broadcast(plan, self.reaches, options, halt=self.halt)) as events:
                    async for event in events:
                        _show(view, event)
                        if isinstance(event, AnswerEnded):
                            came.append(event.answer)
                            self._save(saver, event.answer)
                            if self.wanted.on_answer:
                                self.wanted.on_answer(event.answer)
        finally:
            if saver:
                saver.close()
        return came

    def _save(self, saver: saving.Saver | None, answer: AgentAnswer) -> None:
        """Save an answer. A full disk does not cost the answers that are still to come: it is said at the end."""
        if saver is None or self.unsaved is not None:
            return
        try:
            saver.add(answer)
        except StoreError as error:
            self.unsaved = error.message

    def _saver(self) -> saving.Saver | None:
        path = self.wanted.save
        if path is None:
            return None
        if self.wanted.resumed is not None:
            return saving.Saver.go_on(path, self.wanted.resumed)
        return saving.Saver.create(path, question=self.plan.question, user=self.options.run.user)

    async def _with_combined(self, result: Broadcast, judge: Target | None) -> Broadcast:
        if judge is not None and result.ended in (INTERRUPTED, DEADLINE, BUDGET):
            return replace(result, warnings=(*result.warnings, f"the judge was not asked: {result.ended}"))
        answers = Answers(given=[item for item in result.answers if item.ok], asked=len(result.answers))
        ask = partial(self._ask_one, judge, result.tokens) if judge is not None else None
        combined: Combined = await self.wanted.chosen.combine(answers, question=result.question, ask=ask)
        ended = self.judging.reason or result.ended
        return replace(result, combined=combined, ended=ended, judge_tokens=self.judge_tokens)

    async def _ask_one(self, target: Target, spent: int, question: str) -> AgentAnswer:
        """Ask one app one thing, a broadcast of one, with what is left of the budget."""
        plan = BroadcastPlan(question=question, targets=(target,))
        budget = self.options.max_tokens
        try:
            plan.check_budget(None if budget is None else budget - spent - self.judge_tokens)
        except OutOfBudget as error:
            return without_answer(target, FAILED, error)
        left = self.options.deadline
        if left is not None:
            left = max(0.0, left - (time.monotonic() - self.began))
        options = replace(self.options, wait=None, max_tokens=None, deadline=left)
        async with aclosing(broadcast(plan, self.reaches, options, halt=self.judging)) as events:
            ended = [event.answer async for event in events if isinstance(event, AnswerEnded)]
        self.judge_tokens += ended[0].tokens or 0
        return ended[0]


async def _opened(
    session: Session, wanted: BroadcastRequest, stack: AsyncExitStack, deadline: float | None
) -> OpenedInstances:
    """Open the contexts side by side; with several of them, one that fails does not stop the others."""
    opened = OpenedInstances()

    async def one(name: str | None) -> None:
        context = session.config.context(name)
        try:
            instance = await stack.enter_async_context(session.instance(context.name))
            opened.fleets[context.name] = [app async for app in instance.console.apps()]
            opened.instances[context.name] = instance
        except DifyopsError as error:
            if len(wanted.contexts) == 1:
                raise
            opened.failed[context.name] = error

    try:
        async with asyncio.timeout(deadline):
            await asyncio.gather(*(one(name) for name in wanted.contexts))
    except TimeoutError as error:
        raise TimedOut(f"The deadline of {deadline:g} s passed before anybody was asked.") from error
    if not opened.fleets:
        raise next(iter(opened.failed.values()))
    order = [session.config.context(name).name for name in wanted.contexts]
    opened.fleets = {name: opened.fleets[name] for name in order if name in opened.fleets}
    return opened


def _plan(wanted: BroadcastRequest, opened: OpenedInstances) -> BroadcastPlan:
    try:
        plan = make_plan(wanted.question, wanted.members, opened.fleets, wanted.wishes)
    except SelectorError:
        if opened.failed:
            raise next(iter(opened.failed.values())) from None
        raise
    plan.check_budget(wanted.options.max_tokens)
    plan.check_wait(wanted.options.wait)
    return plan


def _judge(wanted: BroadcastRequest, opened: OpenedInstances) -> Target | None:
    selector = wanted.chosen.judge
    if selector is None:
        return None
    context, apps = next(iter(opened.fleets.items()))
    app = pick(apps, selector)
    return Target(id=f"judge/{app.id}", context=context, app=app)


def _reaches(wanted: BroadcastRequest, opened: OpenedInstances, stack: AsyncExitStack) -> dict[str, Reach]:
    reaches: dict[str, Reach] = {}
    for name, instance in opened.instances.items():
        options = wanted.options
        transport = run_transport(
            instance.context, limit=options.max_in_flight + _HEADROOM, silence=options.run.silence
        )
        stack.push_async_callback(transport.close)
        reaches[name] = Reach(transport=transport, key_of=partial(_key_of, instance))
    return reaches


async def _key_of(instance: Instance, app: App) -> SecretText:
    return await app_key(instance.console, app.id)


def _lost(context: str, error: DifyopsError) -> AgentAnswer:
    """Return the record that stands for all apps of an instance that could not be opened."""
    target = Target(id=f"{context}/*", context=context, app=App(id="*", name=f"(all of {context})", mode=""))
    return without_answer(target, FAILED, error)


def _show(view: View, event: Event) -> None:
    match event:
        case Started(target=target):
            view.started(target.id, target.app.name)
        case Delta(target=target, text=text):
            view.delta(target.id, text)
        case AnswerEnded(target=target, answer=answer):
            view.ended(target.id, target.app.name, answer.status, _said(answer), answer.seconds)


def _said(answer: AgentAnswer) -> str:
    return answer.text if answer.ok else answer.message or answer.error or ""
