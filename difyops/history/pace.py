"""How fast a sync reads: two calls in flight, one where answers slow down, a budget of calls, an end when told to.

A stock server has ten connections for everybody and one process behind them: its answer times are the one sign of
strain that a guest sees. When the median of the last answers is twice that of the first ones, calls go one at a time,
and each waits first, twice as long each time it stays so; when it is well again, the wait halves.
"""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from difyops.clock import Clock
from difyops.errors import DifyopsError, RateLimited, ServerFault, Unreachable, UnreadableAnswer

T = TypeVar("T")
IN_FLIGHT = 2
_LOOK_BACK = 12
_SLOWER = 2.0
_NOISE = 0.02  # answers below this are quick whatever their ratio
_LONGEST_WAIT = 5.0


class SyncEnded(Exception):
    """The sync ends here: the budget is spent (``error`` is ``None``), or the server had to be left alone."""

    def __init__(self, reason: str, error: DifyopsError | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


@dataclass(slots=True)
class Pace:
    """The calls of one sync."""

    clock: Clock
    max_calls: int
    calls: int = 0
    wait: float = 0.0
    longest_wait: float = 0.0
    most_in_flight: int = 0
    _in_flight: int = 0
    _first: list[float] = field(default_factory=list)
    _last: deque[float] = field(default_factory=lambda: deque(maxlen=_LOOK_BACK))
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Make one call when it is its turn.

        Raises:
            Ended: no calls are left, or the server says 429, 5xx or nothing. DifyopsError: what else it says.
        """
        async with self._slots:
            if self.calls >= self.max_calls:
                raise SyncEnded(f"the budget of {self.max_calls} calls is spent")
            self.calls += 1
            if not self.wait:
                return await self._made(work)
            async with self._alone:
                await self.clock.sleep(self.wait)
                return await self._made(work)

    async def _made(self, work: Callable[[], Awaitable[T]]) -> T:
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        began = self.clock.monotonic()
        try:
            result = await work()
        except UnreadableAnswer:
            raise  # of this app alone, and the server is well
        except (RateLimited, ServerFault, Unreachable) as error:
            raise SyncEnded(f"the server had to be left alone: {error.message}", error) from error
        finally:
            self._in_flight -= 1
        self._note(self.clock.monotonic() - began)
        return result

    def _note(self, seconds: float) -> None:
        if len(self._first) < _LOOK_BACK:
            self._first.append(seconds)
            return
        self._last.append(seconds)
        if len(self._last) < _LOOK_BACK:
            return
        usual, now = statistics.median(self._first), statistics.median(self._last)
        if now > max(_SLOWER * usual, _NOISE):
            self.wait = min(_LONGEST_WAIT, max(now, self.wait * 2))
            self.longest_wait = max(self.longest_wait, self.wait)
            self._last.clear()
        elif self.wait:
            self.wait = self.wait / 2 if self.wait > _NOISE else 0.0
            self._last.clear()


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all; when one fails, the others are cancelled and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
