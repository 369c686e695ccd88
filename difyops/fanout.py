"""Many calls side by side: bounded, adaptive, results as they complete. Fleet snapshots and broadcasts share it.

Concurrency follows what the server bears (additive increase, multiplicative decrease): times 0.9 after a rate limit, a
time-out or a 503, plus one after a success while at least half of the limit is in use. The limit is never exceeded:
not in all, not per group (an instance), twins of hedged calls included. What lives here: scheduling. What may not:
anything about apps, answers or HTTP.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from difyops.clock import Clock, SystemClock
from difyops.errors import DifyopsError, RateLimited, ServerFault, TimedOut

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[T, R]):
    """The work on ``item`` ended well after ``seconds``."""

    item: T
    value: R
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Generic[T]):
    """The work on ``item`` ended with one of our errors."""

    item: T
    error: DifyopsError
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedItem(Generic[T]):
    """The work on ``item`` was not begun, or was cancelled: deadline, or the reason a ``Halt`` gave."""

    item: T
    reason: str
    begun: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FanoutOptions:
    """``limit``: most at once. ``timeout``: seconds per item. ``deadline``: seconds for all. ``adaptive``: AIMD."""

    limit: int = 4
    timeout: float | None = None
    deadline: float | None = None
    adaptive: bool = True


@dataclass(slots=True)
class Limiter:
    """The adaptive limit of one group: between 1 and ``most``, beginning at ``start`` (default: ``most``)."""

    most: int
    adaptive: bool = True
    limit: float = field(default=0.0)
    start: int | None = None

    def __post_init__(self) -> None:
        self.limit = float(min(self.most, self.start or self.most))

    def allows(self, in_flight: int) -> bool:
        """Say whether one more may start."""
        return in_flight < max(1, math.floor(self.limit))

    def record(self, error: DifyopsError | None, in_flight: int) -> None:
        """Learn from one end: ``error`` of a failed item, ``None`` for a success."""
        if not self.adaptive:
            return
        if error is None:
            if in_flight * 2 >= self.limit:
                self.limit = min(float(self.most), self.limit + 1)
        elif isinstance(error, (RateLimited, TimedOut)) or (isinstance(error, ServerFault) and error.retryable):
            self.shrink()

    def shrink(self) -> None:
        """Take back a tenth: the server said that it is too much."""
        if self.adaptive:
            self.limit = max(1.0, self.limit * 0.9)


@dataclass(slots=True)
class FanoutLimits:
    """How much may be in flight: ``most`` in all, and an adaptive limit per group that begins at ``start``.

    A slot is taken for every call on a server, so a hedged twin takes one too, and work that was given up holds its
    slot until the server was told.
    """

    most: int
    start: int | None = None
    adaptive: bool = True
    groups: dict[str, Limiter] = field(default_factory=dict)
    in_flight: dict[str, int] = field(default_factory=dict)
    total: int = 0
    freed: Callable[[], None] | None = field(default=None, repr=False)

    def group(self, name: str) -> Limiter:
        """Return the limiter of a group, made when it is first asked for."""
        found = self.groups.get(name)
        if found is None:
            found = self.groups[name] = Limiter(most=self.most, adaptive=self.adaptive, start=self.start)
        return found

    def has_room(self, name: str) -> bool:
        """Say whether one more call of this group may start."""
        return self.total < self.most and self.group(name).allows(self.in_flight.get(name, 0))

    def take(self, name: str) -> None:
        """Count a call that starts."""
        self.total += 1
        self.in_flight[name] = self.in_flight.get(name, 0) + 1

    def give(self, name: str) -> None:
        """Count a call that ended; work that waits for room is woken."""
        self.total -= 1
        self.in_flight[name] -= 1
        if self.freed:
            self.freed()


@dataclass(slots=True)
class Halt:
    """A switch that ends a fan-out early: what runs is cancelled, what waits is skipped, what came is kept."""

    reason: str | None = None
    listeners: list[Callable[[], None]] = field(default_factory=list, repr=False)

    def now(self, reason: str) -> None:
        """End it; the first reason stays."""
        if self.reason is None:
            self.reason = reason
            for tell in self.listeners:
                tell()


Result = Done[T, R] | Failed[T] | SkippedItem[T]
_Ended = tuple[asyncio.Task[Any], Result[T, R] | BaseException]


async def fan_out(
    items: Iterable[T],
    work: Callable[[T], Awaitable[R]],
    options: FanoutOptions | None = None,
    *,
    clock: Clock | None = None,
    limits: FanoutLimits | None = None,
    group_of: Callable[[T], str] | None = None,
    halt: Halt | None = None,
) -> AsyncIterator[Result[T, R]]:
    """Do ``work`` on every item and yield each result when it is there. Every item gets exactly one result.

    ``group_of`` names the group whose limit an item counts against (default: one for all); ``limits`` replaces
    ``options.limit``; ``halt`` ends it from outside. Closing the iterator early cancels what is in flight. Errors that
    are not ours are bugs and are raised.
    """
    options = options or FanoutOptions()
    floor = _Floor(
        work=work,
        timeout=options.timeout,
        clock=clock or SystemClock(),
        limits=limits or FanoutLimits(most=options.limit, adaptive=options.adaptive),
        group_of=group_of or _one_group,
        halt=halt or Halt(),
    )
    for item in items:
        floor.waiting.setdefault(floor.group_of(item), deque()).append(item)
    timer = None
    if options.deadline is not None:
        timer = asyncio.get_running_loop().call_later(max(0.0, options.deadline), floor.halt.now, "deadline")
    floor.listen()
    try:
        async with aclosing(floor.results()) as results:
            async for result in results:
                yield result
    finally:
        floor.unlisten()
        if timer is not None:
            timer.cancel()
        await floor.clear()


def _one_group(_: object) -> str:
    return ""


@dataclass(slots=True)
class _Floor(Generic[T, R]):
    """One fan-out at work: who waits (per group), who runs, and the queue on which ends and wake-ups arrive."""

    work: Callable[[T], Awaitable[R]]
    timeout: float | None
    clock: Clock
    limits: FanoutLimits
    group_of: Callable[[T], str]
    halt: Halt
    waiting: dict[str, deque[T]] = field(default_factory=dict)
    running: dict[asyncio.Task[Any], T] = field(default_factory=dict)
    queue: asyncio.Queue[_Ended[T, R] | None] = field(default_factory=asyncio.Queue)

    def listen(self) -> None:
        self.limits.freed = self.wake
        self.halt.listeners.append(self.wake)

    def unlisten(self) -> None:
        self.limits.freed = None
        self.halt.listeners.remove(self.wake)

    def wake(self) -> None:
        if self.waiting or self.halt.reason:
            self.queue.put_nowait(None)

    async def results(self) -> AsyncGenerator[Result[T, R], None]:
        while self.halt.reason is None:
            self.start_what_fits()
            if not self.running and not self.waiting:
                return
            ended = await self.queue.get()
            if ended is not None:
                yield self.taken_off(ended)
        async for result in self.given_up(self.halt.reason):
            yield result

    def start_what_fits(self) -> None:
        """Start from the groups in turn, so that a large instance does not keep a small one waiting."""
        idle: set[str] = set()
        while len(idle) < len(self.waiting):
            name = next(name for name in self.waiting if name not in idle)
            if not self.limits.has_room(name):
                idle.add(name)
                continue
            line = self.waiting.pop(name)
            item = line.popleft()
            if line:
                self.waiting[name] = line
            self.limits.take(name)
            self.running[asyncio.create_task(self.one(item))] = item

    def taken_off(self, ended: _Ended[T, R]) -> Result[T, R]:
        """Free the slot of an item that ended, learn from it, return its result."""
        task, result = ended
        if isinstance(result, BaseException):
            raise result
        name = self.group_of(self.running.pop(task))
        error = result.error if isinstance(result, Failed) else None
        self.limits.group(name).record(error, self.limits.in_flight[name])
        self.limits.total -= 1
        self.limits.in_flight[name] -= 1
        return result

    async def given_up(self, reason: str) -> AsyncIterator[Result[T, R]]:
        """Cancel what runs, keep what just finished, skip what never began."""
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        while not self.queue.empty():
            ended = self.queue.get_nowait()
            if ended is not None:
                yield self.taken_off(ended)
        for item in list(self.running.values()):
            yield SkippedItem(item=item, reason=reason)
        for line in self.waiting.values():
            for item in line:
                yield SkippedItem(item=item, reason=f"{reason}, not begun", begun=False)

    async def clear(self) -> None:
        """Leave nothing running; slots of cancelled items are free again."""
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        for item in self.running.values():
            self.limits.give(self.group_of(item))
        self.running.clear()

    async def one(self, item: T) -> None:
        started = self.clock.monotonic()
        result: Result[T, R] | BaseException
        try:
            async with asyncio.timeout(self.timeout):
                value = await self.work(item)
            result = Done(item=item, value=value, seconds=self.clock.monotonic() - started)
        except DifyopsError as error:
            result = Failed(item=item, error=error, seconds=self.clock.monotonic() - started)
        except TimeoutError:
            late = TimedOut(f"No result within {self.timeout:g} s." if self.timeout else "Timed out.")
            result = Failed(item=item, error=late, seconds=self.clock.monotonic() - started)
        except asyncio.CancelledError:
            raise
        except Exception as bug:  # handed to the consumer, who raises it
            result = bug
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we run inside one
        self.queue.put_nowait((task, result))
