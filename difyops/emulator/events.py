"""Server-sent events: ``data: {json}`` lines, bare ``event: ping`` lines every ten seconds, and silence.

A ``Channel`` carries events from work that may outlive the client to the one answer that shows them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.responses import StreamingResponse

from difyops.emulator.instance import Instance
from difyops.emulator.shapes import JsonDict, dumps

PING = b"event: ping\n\n"
PING_SECONDS = 10.0
SILENCE_SECONDS = 300.0


def line(event: JsonDict) -> bytes:
    """Return one event as it goes on the wire."""
    return b"data: " + dumps(event) + b"\n\n"


def stream(body: AsyncIterator[bytes], headers: dict[str, str] | None = None) -> StreamingResponse:
    """Return a streaming answer."""
    return StreamingResponse(body, media_type="text/event-stream; charset=utf-8", headers=headers)


async def silence(instance: Instance, *first: bytes) -> AsyncIterator[bytes]:
    """Yield ``first`` and then nothing until the server closes, five minutes later (divided by speed)."""
    for item in first:
        yield item
    await instance.pause(SILENCE_SECONDS)


class Channel:
    """Events on their way to a client. ``None`` ends it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[JsonDict | None] = asyncio.Queue()

    def put(self, event: JsonDict) -> None:
        """Add an event."""
        self._queue.put_nowait(event)

    def close(self) -> None:
        """Add the end."""
        self._queue.put_nowait(None)

    async def lines(self, instance: Instance, *, ping_first: bool) -> AsyncIterator[bytes]:
        """Yield the events as they come, with a ping whenever ten seconds pass without one."""
        if ping_first:
            yield PING
        while True:
            try:
                event = await asyncio.wait_for(self._queue.get(), instance.scaled(PING_SECONDS))
            except TimeoutError:
                yield PING
                continue
            if event is None:
                return
            yield line(event)

    async def drain(self) -> list[JsonDict]:
        """Return all events, once the end has come."""
        events: list[JsonDict] = []
        while (event := await self._queue.get()) is not None:
            events.append(event)
        return events


async def with_worker(
    instance: Instance, channel: Channel, work: Coroutine[Any, Any, None], *, detached: bool, ping_first: bool
) -> AsyncIterator[bytes]:
    """Run ``work`` beside the stream of its events. Only ``detached`` work goes on when the client leaves."""
    task = instance.spawn(work)
    try:
        async for item in channel.lines(instance, ping_first=ping_first):
            yield item
    finally:
        if not detached and not task.done():
            task.cancel()
