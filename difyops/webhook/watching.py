"""A watch over the runs of an app that others start: schedules, triggers, the web page, callers of the API.

Dify tells nobody that a run has ended, so its log is read, politely. What has ended becomes a message in the outbox,
under an id that follows from the run: looked at twice, or by two watches, it is told once. How far the watch is stands
in the file; runs that go on are looked for again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from difyops.api import runs as run_feed
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_content import RunContent, content_of
from difyops.api.runs import Run
from difyops.errors import DifyopsError, RequestRejected
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.webhook import events, outbox
from difyops.webhook.database import WebhookDatabase
from difyops.webhook.outbox import OutboxMessage

_OVERLAP = 30.0
_LONGEST_RUN = 1500.0
_STATUS = {run_feed.DEAD: "unknown", run_feed.CUT_OFF: "stopped"}
PAUSED = "paused"
_UNTOLD = frozenset({run_feed.RUNNING, "scheduled"})
_GOES_ON = _UNTOLD | {PAUSED}  # that a person is asked is told at once, and the end when it comes
log = logging.getLogger("difyops.webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """What is watched, for whom, and how often it is looked. ``since``: what ended before is not told.

    ``content``: answers and outputs are told, too; each takes one more call.
    """

    app: App
    url: str
    since: float
    every: float = 15.0
    once: bool = False
    content: bool = False


@dataclass(slots=True, kw_only=True)
class RunWatch:
    """One watch. ``told`` counts the ends that were put into the outbox."""

    database: WebhookDatabase
    instance: Instance
    request: WatchRequest
    on_told: Callable[[], None] = lambda: None
    told: int = 0
    failed: str = field(default="", init=False)
    _zone: str = field(default="", init=False, repr=False)

    async def run(self) -> int:
        """Watch until cancelled (or once); return how many ends were told.

        Raises:
            DifyopsError: with ``once``, the log cannot be read. Otherwise it is asked again.
        """
        while True:
            try:
                await self.look()
                self.failed = ""
            except DifyopsError as error:
                if self.request.once:
                    raise
                if error.message != self.failed:
                    log.warning("the runs of %s cannot be read: %s", self.request.app.name, error.message)
                self.failed = error.message
            if self.request.once:
                return self.told
            await asyncio.sleep(self.request.every)

    async def look(self) -> None:
        """Look once: tell what has ended since the last look, and keep how far that was."""
        request, now = self.request, time.time()
        since = self._since()
        if request.app.mode == "completion" and not self._zone:  # their list is asked in the account's time
            self._zone = (await self.instance.workspace.identify()).timezone
        begin, end = (datetime.fromtimestamp(moment, UTC) for moment in (since, now + 60.0))
        window = await run_feed.runs_in(self.instance, request.app, begin, end, timezone=self._zone or "UTC")
        going_on = [run.started for run in window.runs if run.status in _GOES_ON]
        following = min([now - _OVERLAP, *going_on])
        to_tell = [run for run in window.runs if run.status not in _UNTOLD and _end(run) >= request.since]
        contents = await self._contents(to_tell)
        messages = [_message(self.instance.name, request, run, now, contents.get(run.id)) for run in to_tell]
        self.told += await self.database.write(_keep(self.instance.name, request, messages, max(since, following)))
        self.on_told()

    async def _contents(self, runs: list[Run]) -> dict[str, RunContent]:
        """Return what the runs came to that are told for the first time; of one that is gone, nothing."""
        if not self.request.content:
            return {}
        new = [run for run in runs if run.status != PAUSED and not self._is_told(run)]
        found: dict[str, RunContent] = {}

        async def read(run: Run) -> RunContent:
            return await content_of(self.instance, self.request.app, run.id)

        async for one in fan_out(new, read, FanoutOptions(limit=self.instance.context.max_in_flight)):
            match one:
                case Done(item=run, value=content):
                    found[run.id] = content
                case Failed(error=error) if not isinstance(error, RequestRejected):
                    raise error
        return found

    def _is_told(self, run: Run) -> bool:
        one = _message_id(self.request, run)
        return bool(self.database.read("SELECT 1 FROM message WHERE id = ?", (one,)))

    def _since(self) -> float:
        rows = self.database.read(
            "SELECT since FROM watch WHERE context = ? AND app = ? AND url = ?",
            (self.instance.name, self.request.app.id, self.request.url),
        )
        return float(rows[0]["since"]) if rows else self.request.since - _LONGEST_RUN


def _end(run: Run) -> float:
    return run.started + (run.seconds or 0.0) + 1.0  # the log knows whole seconds


def _keep(
    context: str, request: WatchRequest, messages: list[OutboxMessage], since: float
) -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        count = sum(outbox.owe(message)(connection) for message in messages)
        connection.execute(
            "INSERT INTO watch (context, app, url, since) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (context, app, url) DO UPDATE SET since = excluded.since",
            (context, request.app.id, request.url, since),
        )
        return count

    return work


def _message(context: str, request: WatchRequest, run: Run, now: float, content: RunContent | None) -> OutboxMessage:
    status = _status(run)
    facts = {
        "run_id": run.id,
        "app_id": request.app.id,
        "context": context,
        "source": run.source,
        "version": run.version or None,
        "started_at": events.stamp(run.started),
        "seconds": run.seconds,
        "tokens": run.tokens,
        "error": run.error[:2000] or None,
    }
    said = {"answer": content.answer, "outputs": dict(content.outputs)} if content is not None else {}
    body = events.body_of(
        events.RunTold(run=run.id, app=request.app.name, status=status, when=_end(run), facts=facts, content=said)
    )
    return OutboxMessage(
        id=_message_id(request, run), run=run.id, type=events.type_of(status), url=request.url, body=body, made=now,
        hops=1,
    )  # fmt: skip


def _message_id(request: WatchRequest, run: Run) -> str:
    return outbox.message_id(f"{run.id}\n{_status(run)}", request.url)


def _status(run: Run) -> str:
    return _STATUS.get(run.status, run.status)
