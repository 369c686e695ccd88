"""Many calls side by side: bounded, adaptive, results as they complete. Fleet snapshots and broadcasts share it.

Concurrency follows what the server bears (additive increase, multiplicative decrease): times 0.9 after a rate limit, a
time-out or a 503, plus one after a success while at least half of the limit is in use. The limit is never exceeded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
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
class Skipped(Generic[T]):
    """The work on ``item`` was not begun, or was cancelled: deadline."""

    item: T
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FanoutOptions:
    """``limit``: most at once. ``timeout``: seconds per item. ``deadline``: seconds for all. ``adaptive``: AIMD."""

    limit: int = 4
    timeout: float | None = None
    deadline: float | None = None
    adaptive: bool = True


@dataclass(slots=True)
class Limiter:
    """The adaptive limit: between 1 and ``most``."""

    most: int
    adaptive: bool = True
    limit: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.limit = float(self.most)

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
            self.limit = max(1.0, self.limit * 0.9)


Result = Done[T, R] | Failed[T] | Skipped[T]
_Ended = tuple[asyncio.Task[Any], Result[T, R] | BaseException]


async def fan_out(
    items: Iterable[T],
    work: Callable[[T], Awaitable[R]],
    options: FanoutOptions | None = None,
    *,
    clock: Clock | None = None,
) -> AsyncIterator[Result[T, R]]:
    """Do ``work`` on every item and yield each result when it is there. Every item gets exactly one result.

    Closing the iterator early cancels what is in flight. Errors that are not ours are bugs and are raised.
    """
    options = options or FanoutOptions()
    clock = clock or SystemClock()
    limiter = Limiter(most=options.limit, adaptive=options.adaptive)
    waiting = iter(items)
    finished: asyncio.Queue[_Ended[T, R]] = asyncio.Queue()
    running: dict[asyncio.Task[Any], T] = {}
    ends = None if options.deadline is None else clock.monotonic() + options.deadline
    exhausted = False
    try:
        while True:
            while not exhausted and limiter.allows(len(running)):
                try:
                    item = next(waiting)
                except StopIteration:
                    exhausted = True
                    break
                running[asyncio.create_task(_one(item, work, options.timeout, clock, finished))] = item
            if exhausted and not running:
                return
            ended = await _next(finished, ends, clock)
            if ended is None:
                async for skipped in _give_up(running, finished, waiting):
                    yield skipped
                return
            task, result = ended
            in_flight = len(running)
            del running[task]
            if isinstance(result, BaseException):
                raise result
            limiter.record(result.error if isinstance(result, Failed) else None, in_flight)
            yield result
    finally:
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _one(
    item: T,
    work: Callable[[T], Awaitable[R]],
    seconds: float | None,
    clock: Clock,
    finished: asyncio.Queue[_Ended[T, R]],
) -> None:
    started = clock.monotonic()
    result: Result[T, R] | BaseException
    try:
        async with asyncio.timeout(seconds):
            value = await work(item)
        result = Done(item=item, value=value, seconds=clock.monotonic() - started)
    except DifyopsError as error:
        result = Failed(item=item, error=error, seconds=clock.monotonic() - started)
    except TimeoutError:
        late = TimedOut(f"No result within {seconds:g} s." if seconds else "Timed out.")
        result = Failed(item=item, error=late, seconds=clock.monotonic() - started)
    except asyncio.CancelledError:
        raise
    except Exception as bug:  # handed to the consumer, who raises it
        result = bug
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - we run inside one
    finished.put_nowait((task, result))


async def _next(finished: asyncio.Queue[_Ended[T, R]], ends: float | None, clock: Clock) -> _Ended[T, R] | None:
    if ends is None:
        return await finished.get()
    try:
        return await asyncio.wait_for(finished.get(), max(0.0, ends - clock.monotonic()))
    except TimeoutError:
        return None


async def _give_up(
    running: dict[asyncio.Task[Any], T], finished: asyncio.Queue[_Ended[T, R]], waiting: Iterable[T]
) -> AsyncIterator[Result[T, R]]:
    """End at the deadline: cancel what runs, keep what just finished, skip what never began."""
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    while not finished.empty():
        task, result = finished.get_nowait()
        del running[task]
        if isinstance(result, BaseException):
            raise result
        yield result
    for item in running.values():
        yield Skipped(item=item, reason="deadline")
    for item in waiting:
        yield Skipped(item=item, reason="deadline, not begun")
