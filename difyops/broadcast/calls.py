"""Runs on a server that can be given up cleanly: raced with a twin, stopped on the server, never left behind.

A run is its own task, so that giving it up does not tear its stream at once: the stop endpoint wants the task id, which
the first event tells. Whoever gives a run up keeps its slot until the server was told, so that limits stay true.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from difyops.api.run_faults import CUT_OFF, RunFailed
from difyops.api.service import Answer, Question, Service
from difyops.errors import DifyopsError, TimedOut, Unreachable
from difyops.fanout import FanoutLimits

log = logging.getLogger("difyops.broadcast")
STOP_PATIENCE = 3.0


@dataclass(slots=True, eq=False)
class Call:
    """One run of one app that is under way."""

    service: Service
    user: str
    group: str
    is_twin: bool = False
    parts: list[str] = field(default_factory=list)
    task_id: str | None = None
    known: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[Answer] = field(init=False)

    def begin(self, question: Question, silence: float, on_delta: Callable[[str], None]) -> None:
        """Start the run."""

        def take(delta: str) -> None:
            self.parts.append(delta)
            on_delta(delta)

        work = self.service.run(question, on_delta=take, on_task=self._learn, silence=silence)
        self.task = asyncio.create_task(work)

    @property
    def may_go_on(self) -> bool:
        """Say whether the server may still be at work on it: it is not done, or we lost sight of it."""
        if not self.task.done():
            return True
        error = None if self.task.cancelled() else self.task.exception()
        lost = isinstance(error, (TimedOut, Unreachable)) or (isinstance(error, RunFailed) and error.kind == CUT_OFF)
        return lost and self.task_id is not None

    def _learn(self, task_id: str) -> None:
        self.task_id = task_id
        self.known.set()


@dataclass(slots=True)
class Calls:
    """The runs of one broadcast: those that were given up are stopped in the background, each within seconds."""

    limits: FanoutLimits
    leaving: set[asyncio.Task[None]] = field(default_factory=set)

    def let_go(self, call: Call) -> None:
        """Be done with a call: when the server may go on with it, stop it there; its slot is held until then."""
        if not call.may_go_on:
            if call.is_twin:
                self.limits.give(call.group)
            return
        if not call.is_twin:  # a twin has its own slot already
            self.limits.take(call.group)
        task = asyncio.create_task(self._stop(call))
        self.leaving.add(task)
        task.add_done_callback(self.leaving.discard)

    async def all_gone(self) -> None:
        """Wait until every run that was given up was stopped, or its seconds are over."""
        while self.leaving:
            await asyncio.gather(*self.leaving, return_exceptions=True)

    async def _stop(self, call: Call) -> None:
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                await _known_or_ended(call)
                if call.task_id is not None and call.may_go_on:
                    await call.service.stop(call.task_id, call.user)
        except (DifyopsError, TimeoutError) as error:
            log.info("a run that was given up may go on: %s", error or "no answer to the stop")
        finally:
            call.task.cancel()
            await asyncio.gather(call.task, return_exceptions=True)
            self.limits.give(call.group)


async def _known_or_ended(call: Call) -> None:
    if call.task_id is not None or call.task.done():
        return
    known = asyncio.create_task(call.known.wait())
    try:
        await asyncio.wait({call.task, known}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        known.cancel()


async def first_good(calls: Sequence[Call]) -> Call:
    """Return the first call that ends well.

    Raises:
        DifyopsError: all failed; the error is that of the first call.
    """
    pending = {call.task for call in calls}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for call in calls:
            if call.task in done and call.task.exception() is None:
                return call
    calls[0].task.result()
    raise AssertionError("unreachable: a failed task raises")
