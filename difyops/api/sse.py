"""Server-sent events as the platform sends them: ``data: {json}`` lines, bare ``event: ping`` every 10 seconds.

An iterator of typed events that skips what it does not know (comments, other fields, broken JSON is an error) and
ends on silence: no line for ``silence`` seconds means that nobody works on the run any more.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from difyops.api.event_stream import lines
from difyops.api.messages import HttpAnswer
from difyops.errors import ServerFault

SILENCE = 30.0


class BrokenStream(ServerFault):
    """A line of a stream is no event: what came before it counts, what comes after it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event: its name (``workflow_finished``, ``message``, ``ping`` ...) and its JSON body (``{}`` for pings)."""

    name: str
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """Return the ``data`` member of workflow events, ``{}`` when absent."""
        inner = self.body.get("data")
        return inner if isinstance(inner, dict) else {}


async def events(response: HttpAnswer, *, silence: float = SILENCE) -> AsyncIterator[ServerEvent]:
    """Yield the events of an open streaming answer, pings included.

    Raises:
        TimedOut: no line for ``silence`` seconds.
        Unreachable: the connection broke in the middle.
        ServerFault: a ``data:`` line that is not JSON, or longer than 32 MiB.
    """
    async with aclosing(lines(response, silence=silence, whole=True)) as arriving:
        async for line in arriving:
            if (event := parse_line(line)) is not None:
                yield event


def parse_line(line: str) -> ServerEvent | None:
    """Turn one line into an event, or ``None`` for blank lines, comments and fields that carry nothing.

    Raises:
        BrokenStream: a ``data:`` line that is not a JSON object.
    """
    if line.startswith("event:"):
        return ServerEvent(name="ping") if line[6:].strip() == "ping" else None
    if not line.startswith("data:"):
        return None
    text = line[5:].strip()
    if not text:
        return None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise BrokenStream("The stream sent a line that is not a JSON object.")
    return ServerEvent(name=str(body.get("event", "")), body=body)
