"""The broadcast at work: targets side by side, events in the order in which things happen.

Every target ends exactly once. Quorum, deadline, budget and a ``Halt`` from outside cancel what runs, stop it on its
servers and keep what came. What lives here: the stop rules and the tally; how one target is asked is ``runner``'s.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from difyops.api.run_faults import BAD_INPUT, RunFailed
from difyops.broadcast.answer import FAILED, REFUSED, SKIPPED, STOPPED, AgentAnswer, without_answer
from difyops.broadcast.calls import Calls
from difyops.broadcast.plan import BroadcastPlan, Target
from difyops.broadcast.runner import Live, Reach, Runner, RunOptions
from difyops.clock import Clock, SystemClock
from difyops.errors import CredentialError, DifyopsError
from difyops.fanout import Done, Failed, FanoutLimits, FanoutOptions, Halt, Result, fan_out

T = TypeVar("T")
QUORUM, BUDGET, DEADLINE, INTERRUPTED = "quorum", "budget", "deadline", "interrupted"
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A target's turn came."""

    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a target's answer arrived."""

    target: Target
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEnded:
    """A target ended: its one answer."""

    target: Target
    answer: AgentAnswer


Event = Started | Delta | AnswerEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How a broadcast runs.

    ``max_in_flight``: most runs at once in all; each instance begins with ``start`` of them and gets one more for every
    answer while it bears it. ``timeout``: seconds per target; ``deadline``: seconds for all. ``wait``: so many answers
    are enough (``None``: all). ``max_tokens``: stop when they are spent. The rest: ``RunOptions``.
    """

    run: RunOptions
    max_in_flight: int = 1000
    start: int | None = 80
    timeout: float = 300.0
    deadline: float | None = None
    wait: int | None = None
    max_tokens: int | None = None


async def broadcast(
    plan: BroadcastPlan,
    reaches: Mapping[str, Reach],
    options: EngineOptions,
    *,
    clock: Clock | None = None,
    halt: Halt | None = None,
) -> AsyncGenerator[Event, None]:
    """Ask every target of ``plan`` and yield what happens, as it happens; exactly one ``AnswerEnded`` per target.

    ``halt`` ends it from outside: the rest is stopped and ended, and the events go on until the last one. Closing the
    generator instead stops everything without further events.

    Raises:
        OutOfBudget: the estimate is over ``max_tokens``; nothing was called. UsageError: ``wait`` asks for more
        answers than there are targets.
    """
    plan.check_budget(options.max_tokens)
    plan.check_wait(options.wait)
    engine = _Engine(plan, options, clock or SystemClock(), halt or Halt(), reaches)
    driver = asyncio.create_task(engine.drive())
    with _rare_collections():
        try:
            while (event := await engine.queue.get()) is not None:
                yield event
            await driver
        finally:
            driver.cancel()
            await asyncio.gather(driver, return_exceptions=True)


async def until_halted(work: Coroutine[Any, Any, T], stop: Callable[[str], None]) -> T:
    """Drive ``work``, which reads a broadcast's events, so that a cancellation halts the broadcast and loses nothing.

    The first cancellation (Ctrl-C) calls ``stop`` (a ``Halt``'s ``now``): the rest is stopped on its servers and
    ``work`` ends with what came. A second one cancels it.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.done():
            raise
        stop(INTERRUPTED)
        return await task


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often: thousands of live tasks make each look long, and none of them garbage.

    A quarter of the CPU of a thousand runs is spent there otherwise.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@dataclass(slots=True)
class _Engine:
    plan: BroadcastPlan
    options: EngineOptions
    clock: Clock
    halt: Halt
    reaches: Mapping[str, Reach]
    queue: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)
    limits: FanoutLimits = field(init=False)
    runner: Runner = field(init=False)
    answered: int = 0
    ended: int = 0
    spent: float = 0.0
    arriving: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.limits = FanoutLimits(most=self.options.max_in_flight, start=self.options.start)
        self.runner = Runner(
            reaches=self.reaches,
            question=self.plan.question,
            attachments=self.plan.attachments,
            options=self.options.run,
            limits=self.limits,
            clock=self.clock,
            on_delta=self.hear,
            calls=Calls(self.limits),
        )

    async def drive(self) -> None:
        """Run to the end; the queue's last item is ``None``, whatever happens."""
        options = FanoutOptions(timeout=self.options.timeout, deadline=self.options.deadline)
        asked = [target for target in self.plan.targets if target.refusal is None]
        self.runner.allow_twins(len(asked))
        try:
            for target in self.plan.targets:
                if target.refusal is not None:
                    self.end(target, without_answer(target, REFUSED, target.refusal))
            results = fan_out(
                asked,
                self.work,
                options,
                clock=self.clock,
                limits=self.limits,
                group_of=lambda target: target.context,
                halt=self.halt,
            )
            async for result in results:
                self.end(result.item, self.answer_of(result))
        finally:
            try:
                await self.runner.close()
            finally:
                self.queue.put_nowait(None)

    async def work(self, target: Target) -> AgentAnswer:
        self.queue.put_nowait(Started(target=target))
        return await self.runner.ask(target)

    def hear(self, target: Target, text: str) -> None:
        """Pass a piece of an answer on; what streams in counts against the budget before its bill comes."""
        self.queue.put_nowait(Delta(target=target, text=text))
        if self.options.max_tokens is not None:
            guess = len(text) / _CHARACTERS_PER_TOKEN
            self.arriving[target.id] = self.arriving.get(target.id, 0.0) + guess
            self.pay(guess)

    def end(self, target: Target, answer: AgentAnswer) -> None:
        self.ended += 1
        self.queue.put_nowait(AnswerEnded(target=target, answer=replace(answer, order=self.ended)))
        if answer.tokens is not None:
            self.pay(answer.tokens - self.arriving.pop(target.id, 0.0))
        if answer.ok:
            self.answered += 1
            if self.answered == self.options.wait and self.ended < len(self.plan.targets):
                self.halt.now(QUORUM)

    def pay(self, tokens: float) -> None:
        self.spent += tokens
        if self.options.max_tokens is not None and self.spent >= self.options.max_tokens:
            self.halt.now(BUDGET)

    def answer_of(self, result: Result[Target, AgentAnswer]) -> AgentAnswer:
        live = self.runner.lives.pop(result.item.id, None) or Live(target=result.item)
        match result:
            case Done(value=answer):
                return answer
            case Failed(item=target, error=error, seconds=seconds):
                status = REFUSED if _was_refused(error, live) else FAILED
                return _kept(without_answer(target, status, error, seconds=seconds), live)
        status = STOPPED if result.begun and live.attempts > 0 else SKIPPED
        said = "stopped while at work" if status == STOPPED else "not begun"
        return _kept(replace(without_answer(result.item, status), error=self.halt.reason, message=said), live)


def _kept(answer: AgentAnswer, live: Live) -> AgentAnswer:
    """Add what came before the end."""
    return replace(answer, text=live.text, attempts=live.attempts, hedged=live.hedged, unused_inputs=live.unused)


def _was_refused(error: DifyopsError, live: Live) -> bool:
    """Say whether the target was never called: no key, or its inputs do not fit."""
    bad_input = isinstance(error, RunFailed) and error.kind == BAD_INPUT
    return live.attempts == 0 and (isinstance(error, CredentialError) or bad_input)
