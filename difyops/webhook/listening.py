"""Who listens to a run: the caller who stays, and the file, which learns the id of the run before he does."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from difyops.api.run_answer import Answer
from difyops.api.sse import ServerEvent
from difyops.errors import DifyopsError
from difyops.webhook import outbox
from difyops.webhook.asked import AskedRuns
from difyops.webhook.database import WebhookDatabase

PING = b"event: ping\n\n"
_PING_AFTER = 15.0
_MOST_KEPT = 1024 * 1024
_ENDS = frozenset({"workflow_finished", "message_end", "error"})


@dataclass(slots=True, eq=False)
class Listener:
    """A caller who stays: gets the lines of the stream. One who reads too slowly is let go; the run goes on."""

    lines: deque[tuple[str, asyncio.Future[Any] | None]] = field(default_factory=deque)
    size: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)
    error: DifyopsError | None = None
    answer: Answer | None = None
    ended: bool = False
    left: bool = False
    told_end: bool = False

    def take(self, line: str, kept: asyncio.Future[Any] | None) -> None:
        """Take a line; it may be shown when ``kept`` is done."""
        if self.left:
            return
        if self.size > _MOST_KEPT and self.lines:
            self.left = True
            self.lines.clear()
        else:
            self.lines.append((line, kept))
            self.size += len(line)
        self.more.set()

    def end(self, answer: Answer | None, error: DifyopsError | None) -> None:
        """Take the end of the run."""
        self.answer, self.error, self.ended = answer, error, True
        self.more.set()

    async def next(self) -> bytes | None:
        """Return the lines that are there, as they are sent on; ``None`` at the end of the stream.

        When there is none for a while, it is a ping.
        """
        while not self.lines:
            if self.ended or self.left:
                return None
            self.more.clear()
            try:
                async with asyncio.timeout(_PING_AFTER):
                    await self.more.wait()
            except TimeoutError:
                return PING
        ready: list[str] = []
        while self.lines:
            line, kept = self.lines[0]
            if kept is not None and not kept.done():
                if ready:
                    break
                await asyncio.wait({kept})
                if not self.lines:
                    break
            self.lines.popleft()
            self.size -= len(line)
            ready += (line, "\n\n")
        return "".join(ready).encode()


@dataclass(slots=True)
class Sight:
    """What is seen of a run: that it is asked is noted before, its id goes to the disk before its listener sees it."""

    database: WebhookDatabase
    asked: AskedRuns
    run: str
    listener: Listener | None
    run_id: str | None = None

    def send(self) -> None:
        """Note that the call is sent now.

        Raises:
            StoreError: that cannot be noted, so it is not sent.
        """
        self.asked.note(self.run)

    def take(self, line: str, event: ServerEvent | None) -> None:
        """Take one line of the stream."""
        kept: asyncio.Future[Any] | None = None
        if self.run_id is None and event is not None and (run_id := event.body.get("workflow_run_id")):
            self.run_id = str(run_id)
            kept = self.database.write(outbox.see(self.run, self.run_id, str(event.body.get("task_id") or "")))
        if self.listener is not None:
            self.listener.told_end |= event is not None and event.name in _ENDS
            self.listener.take(line, kept)
