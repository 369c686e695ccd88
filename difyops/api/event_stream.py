"""The lines of an open streaming answer: bytes split at line feeds only, and silence noticed.

Two traps are the reason for this file. Text is split at line feeds alone: a model's answer may hold U+2028 or U+0085,
which ``str.splitlines`` takes for line ends and which would tear a JSON line in two. And silence is watched by one
timer a stream, instead of a task or a timer for every line: a broadcast reads a thousand streams at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from difyops.api.messages import HttpAnswer
from difyops.errors import ServerFault, TimedOut, Unreachable

_LONGEST_LINE = 32 * 1024 * 1024
_LOOKS = 4


async def lines(response: HttpAnswer, *, silence: float, whole: bool = False) -> AsyncGenerator[str, None]:
    """Yield the non-empty lines of a streaming answer, decoded, without their ends: the one reader of streams.

    A last line that was cut off is left out; with ``whole`` it is an error.

    Raises:
        TimedOut: nothing for ``silence`` seconds (pings come every 10). Unreachable: it broke in the middle.
        ServerFault: one line is longer than 32 MiB.
    """
    kept: list[bytes] = []
    size = 0
    body = response.body
    if body is None:
        return
    try:
        async with _Watch(silence) as watch:
            async for chunk in body:
                watch.heard = True
                head, *rest = chunk.split(b"\n")
                kept.append(head)
                size += len(head)
                if size > _LONGEST_LINE:
                    raise ServerFault(f"The stream sent a line longer than {_LONGEST_LINE} bytes.")
                if not rest:
                    continue
                for line in (b"".join(kept), *rest[:-1]):
                    if line.strip():
                        watch.at_work = True  # the reader's own time is not the server's silence
                        yield line.decode("utf-8", "replace").rstrip("\r")
                        watch.at_work = False
                kept, size = [rest[-1]], len(rest[-1])
    except TimeoutError as error:
        raise TimedOut(f"The stream fell silent for {silence:g} s; the run may go on.") from error
    except httpx.TimeoutException as error:
        raise TimedOut("The stream fell silent; the run may go on.") from error
    except httpx.RequestError as error:
        raise Unreachable("The stream broke off in the middle; the run may go on.") from error
    tail = b"".join(kept).strip()
    if tail.endswith(b"}"):  # a line that was cut off says nothing: its stream has no end
        yield tail.decode("utf-8", "replace")
    elif tail.startswith(b"data:") and whole:
        raise Unreachable("The stream broke off in the middle of a line; the run may go on.")
    elif whole and tail:
        yield tail.decode("utf-8", "replace")


class _Watch:
    """Raises ``TimeoutError`` in the block when nothing was ``heard`` for ``seconds`` (or a quarter more).

    One timer that looks back four times in that span, instead of one that is moved with every chunk.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self.heard = False
        self.at_work = False

    async def __aenter__(self) -> _Watch:
        await self._timeout.__aenter__()
        self._arm()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(*raised)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds / _LOOKS, self._look, 0)

    def _look(self, quiet: int) -> None:
        loop = asyncio.get_running_loop()
        quiet = 0 if self.heard or self.at_work else quiet + 1
        self.heard = False
        if quiet >= _LOOKS:
            self._timeout.reschedule(loop.time())
            return
        self._timer = loop.call_later(self._seconds / _LOOKS, self._look, quiet)
