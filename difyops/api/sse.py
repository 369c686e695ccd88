"""Server-sent events as the platform sends them: ``data: {json}`` lines, bare ``event: ping`` every 10 seconds.

An iterator of typed events that skips what it does not know (comments, other fields, broken JSON is an error) and
ends on silence: no line for ``silence`` seconds means that nobody works on the run any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from difyops.errors import ServerFault, TimedOut, Unreachable

SILENCE = 30.0
_LONGEST_LINE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its name (``workflow_finished``, ``message``, ``ping`` ...) and its JSON body (``{}`` for pings)."""

    name: str
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """Return the ``data`` member of workflow events, ``{}`` when absent."""
        inner = self.body.get("data")
        return inner if isinstance(inner, dict) else {}


async def events(response: httpx.Response, *, silence: float = SILENCE) -> AsyncIterator[Event]:
    """Yield the events of an open streaming answer, pings included.

    Raises:
        TimedOut: no line for ``silence`` seconds.
        Unreachable: the connection broke in the middle.
        ServerFault: a ``data:`` line that is not JSON, or longer than 16 MiB.
    """
    kept = b""
    async for chunk in _chunks(response, silence):
        *lines, kept = (kept + chunk).split(b"\n")
        if len(kept) > _LONGEST_LINE:
            raise ServerFault(f"The stream sent a line longer than {_LONGEST_LINE} bytes.")
        for line in lines:
            event = parse_line(line.decode("utf-8", "replace"))
            if event is not None:
                yield event
    try:
        last = parse_line(kept.decode("utf-8", "replace"))
    except ServerFault as error:
        raise Unreachable("The stream broke off in the middle of a line; the run may go on.") from error
    if last is not None:
        yield last


async def _chunks(response: httpx.Response, silence: float) -> AsyncIterator[bytes]:
    """Yield the bytes as they come. Lines are cut by the caller at line feeds only: answers may hold U+2028."""
    chunks = response.aiter_bytes().__aiter__()
    while True:
        try:
            yield await asyncio.wait_for(anext(chunks), silence)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise TimedOut(f"The stream fell silent for {silence:g} s; the run may go on.") from error
        except httpx.TimeoutException as error:
            raise TimedOut("The stream fell silent; the run may go on.") from error
        except httpx.RequestError as error:
            raise Unreachable("The stream broke off in the middle; the run may go on.") from error


def parse_line(line: str) -> Event | None:
    """Turn one line into an event, or ``None`` for blank lines, comments and fields that carry nothing.

    Raises:
        ServerFault: a ``data:`` line that is not a JSON object.
    """
    if line.startswith("event:"):
        return Event(name="ping") if line[6:].strip() == "ping" else None
    if not line.startswith("data:"):
        return None
    text = line[5:].strip()
    if not text:
        return None
    try:
        body = json.loads(text) if len(text) <= _LONGEST_LINE else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ServerFault("The stream sent a line that is not a JSON object.")
    return Event(name=str(body.get("event", "")), body=body)
