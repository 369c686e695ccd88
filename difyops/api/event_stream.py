"""The lines of an open streaming answer: bytes split at line feeds only, and silence noticed.

Two traps are the reason for this file. Text is split at line feeds alone: a model's answer may hold U+2028 or U+0085,
which ``str.splitlines`` takes for line ends and which would tear a JSON line in two. And one timer is moved with every
line, instead of one task made for every line: a broadcast reads a thousand streams at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx

from difyops.errors import ServerFault, TimedOut, Unreachable

_LONGEST_LINE = 32 * 1024 * 1024


async def lines(response: httpx.Response, *, silence: float) -> AsyncGenerator[str, None]:
    """Yield the non-empty lines of a streaming answer, decoded, without their ends.

    Raises:
        TimedOut: no line for ``silence`` seconds (pings come every 10). Unreachable: it broke in the middle.
        ServerFault: one line is longer than 32 MiB.
    """
    loop = asyncio.get_running_loop()
    kept: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(silence) as patience:
            async for chunk in response.aiter_bytes():
                head, *rest = chunk.split(b"\n")
                kept.append(head)
                size += len(head)
                if size > _LONGEST_LINE:
                    raise ServerFault(f"The stream sent a line longer than {_LONGEST_LINE} bytes.")
                if not rest:
                    continue
                patience.reschedule(loop.time() + silence)
                for line in (b"".join(kept), *rest[:-1]):
                    if line.strip():
                        yield line.decode("utf-8", "replace").rstrip("\r")
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
