"""Runs that the server starts: each is its own task, whoever listens, and its end is written before it is told.

The order that keeps promises: the run is accepted on disk, then the app is asked, once. The first event with the id of
the run is kept on disk before any listener sees it. The end and the call back that tells it are written together. A
process that begins finds the runs that had not ended: with an id their end is looked for, without one the run is looked
for in the log of its app (``finding``). Where that tells nothing, nobody can know whether it ran, and that is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.run_answer import Answer
from difyops.api.run_faults import CUT_OFF, PAUSED, STOPPED, RunFailed, was_never_sent
from difyops.api.service import Question, Service
from difyops.api.sse import Event
from difyops.errors import DifyopsError, NotAuthenticated, ServerFault, Unreachable
from difyops.webhook import events, outbox
from difyops.webhook.database import Database
from difyops.webhook.finding import Finder
from difyops.webhook.outbox import Message, RunEnd, RunRow
from difyops.webhook.reaching import SILENCE, Address, Desk, Desks

PING = b"event: ping\n\n"
_PING_AFTER = 15.0
_RETRY_AFTER = 30.0
_SEARCH_PATIENCE = 300.0
_SEARCHES = (1.0, 3.0, 10.0)  # seconds before each look into the log
_MOST_KEPT = 1024 * 1024
_ENDS = frozenset({"workflow_finished", "message_end", "error"})
log = logging.getLogger("difyops.webhook")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is made of the end of a run: who asked for it under which name, and with its content or without."""

    address: Address
    content: bool = True


@dataclass(slots=True, kw_only=True)
class Runs:
    """The runs under way. ``places`` says where the app of a row is; ``on_end`` is called when one has ended."""

    database: Database
    desks: Desks
    places: Callable[[RunRow], Told | None]
    patience: float
    on_end: Callable[[RunEnd], None]
    finder: Finder
    live: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _search: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    counts: dict[str, int] = field(default_factory=dict)

    def begin(self, row: RunRow, desk: Desk, listener: Listener | None = None) -> None:
        """Start a run that was accepted on disk."""
        self._spawn(row.id, self._performed(row, desk, listener))

    def resume(self) -> int:
        """Go on with the runs that had not ended when the last process did; return how many."""
        rows = [outbox.run_of(row) for row in self.database.read(outbox.open_runs())]
        unseen: dict[Address, list[RunRow]] = {}
        for row in rows:
            told = self.places(row)
            if row.run_id is None and told is not None:
                unseen.setdefault(told.address, []).append(row)
            else:
                self._spawn(row.id, self._found_again(row))
        for address, group in unseen.items():
            searched = asyncio.get_running_loop().create_task(self._searched(address, group))
            for row in group:
                self._spawn(row.id, self._found_again(row, searched))
        return len(rows)

    async def drained(self, seconds: float) -> int:
        """Wait for the runs under way, then leave the rest to the next process; return how many were left."""
        if self.live:
            await asyncio.wait(set(self.live.values()), timeout=seconds)
        left = list(self.live.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)

    def _spawn(self, run: str, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.live[run] = task
        task.add_done_callback(lambda _: self.live.pop(run, None))

    async def _performed(self, row: RunRow, desk: Desk, listener: Listener | None) -> None:
        answer: Answer | None = None
        error: DifyopsError | None = None
        try:
            try:
                answer = await self._asked(row, desk, listener)
            except Unreachable as lost:
                answer, error = await self._found_in_log(row, desk, lost)
            except DifyopsError as failed:
                error = failed
        finally:  # whatever ends it here, nobody waits for more
            if listener is not None:
                listener.end(answer, error)
        await self._ended(row, answer, error)

    async def _asked(self, row: RunRow, desk: Desk, listener: Listener | None) -> Answer:
        """Ask the app, once; a key that was refused was not used, so the app is asked with another one."""
        question = question_of(row)
        sight = _Sight(self.database, row.id, listener)
        try:
            return await _run(desk.service, question, sight, self.patience)
        except NotAuthenticated:
            told = self.places(row)
            if sight.seen or told is None:
                raise
            desk = await self.desks.at(told.address, anew=True)
            return await _run(desk.service, question, sight, self.patience)

    async def _found_in_log(
        self, row: RunRow, desk: Desk, lost: Unreachable
    ) -> tuple[Answer | None, DifyopsError | None]:
        """Look for a run that may have begun, whose id was not seen; return its end, or why there is none."""
        told = self.places(row)
        if was_never_sent(lost) or told is None:
            return None, lost
        run_id = (await self._searched(told.address, [row])).get(row.id)
        if run_id is None:
            return None, lost
        try:
            return await desk.service.end_of(run_id, row.user, patience=self.patience), None
        except DifyopsError as error:
            return None, error

    async def _searched(self, address: Address, rows: Sequence[RunRow]) -> dict[str, str]:
        """Look for runs in the log, several times: a run may be written late. What is found is kept at once."""
        found: dict[str, str] = {}
        looks, end = list(_SEARCHES), time.monotonic() + min(self.patience, _SEARCH_PATIENCE)
        while looks and len(found) < len(rows):
            await asyncio.sleep(looks[0])
            left = [row for row in rows if row.id not in found]
            try:
                async with self._search:  # one after the other: a run is claimed once
                    for row_id, run_id in (await self.finder.find(address, left)).items():
                        await self.database.write(outbox.see(row_id, run_id, None))
                        found[row_id] = run_id
            except (Unreachable, ServerFault) as away:  # it is asked again when it is back
                if time.monotonic() > end:
                    log.info("nobody can be asked what became of %d runs: %s", len(left), away.message)
                    return found
            else:
                looks.pop(0)
        return found

    async def _found_again(self, row: RunRow, searched: asyncio.Task[dict[str, str]] | None = None) -> None:
        """Find the end of a run that another process began."""
        if searched is not None:
            row = replace(row, run_id=(await asyncio.shield(searched)).get(row.id))
        answer: Answer | None = None
        error: DifyopsError | None = None
        told, anew = self.places(row), False
        try:
            if row.run_id is None:
                raise Unreachable("The server stopped before a run id was seen: it is unknown whether the app ran.")
            if told is None:
                raise Unreachable(f"{row.via} is not in the rules any more, so the end of the run is unknown.")
            while True:
                try:
                    desk = await self.desks.at(told.address, anew=anew)
                    answer = await desk.service.end_of(row.run_id, row.user, patience=self.patience)
                except (Unreachable, ServerFault, NotAuthenticated) as away:  # not the run: asked again when it is back
                    anew = isinstance(away, NotAuthenticated)
                    if time.time() - row.accepted > self.patience * 4:
                        raise
                    log.info("run %s: %s", row.id, away.message)
                    await asyncio.sleep(2.0)
                else:
                    break
        except DifyopsError as failed:
            error = failed
        await self._ended(row, answer, error)

    async def _ended(self, row: RunRow, answer: Answer | None, error: DifyopsError | None) -> None:
        told, status, now = self.places(row), status_of(answer, error), time.time()
        message = self._message(row, told, status, now, answer, error)
        ended = RunEnd(
            id=row.id, status=status, when=now, said=error.message if error else "",
            learned=answer.learned if answer else "", messages=(message,) if message else (),
            retry_at=now + _RETRY_AFTER if row.via != "run" and error is not None and _not_begun(error) else None,
        )  # fmt: skip
        while True:
            try:
                await self.database.write(outbox.end(ended))
                break
            except DifyopsError as full:  # an end is not forgotten because the disk is full
                log.error("run %s ended and it cannot be written: %s", row.id, full.message)
                await asyncio.sleep(1.0)
        self.counts[status] = self.counts.get(status, 0) + 1
        self.on_end(ended)

    def _message(
        self, row: RunRow, told: Told | None, status: str, now: float, answer: Answer | None, error: DifyopsError | None
    ) -> Message | None:
        if row.callback is None:
            return None
        content: dict[str, Any] = {}
        if answer is not None and (told is None or told.content):
            content = {"answer": answer.text, "outputs": dict(answer.outputs)}
        facts = {
            "run_id": (answer.run_id if answer else None) or row.run_id,
            "task_id": row.task_id,
            "message_id": answer.message_id if answer else None,
            "conversation_id": answer.conversation_id if answer else None,
            "user": row.user,
            "session_id": row.request.get("session_id"),
            "metadata": row.request.get("metadata"),
            "accepted_at": events.stamp(row.accepted),
            "seconds": round(now - row.accepted, 3),
            "tokens": answer.tokens if answer else None,
            "error": error.message if error else None,
        }
        body = events.body_of(
            events.RunTold(run=row.id, app=row.app, status=status, when=now, facts=facts, content=content)
        )
        return Message(
            id=outbox.message_id(row.id, row.callback), run=row.id, type=events.type_of(status), url=row.callback,
            body=body, made=now, hops=row.hops + 1,
        )  # fmt: skip


@dataclass(slots=True)
class _Sight:
    """What is seen of a run while it goes on: its id goes to the disk before its listener sees anything after it."""

    database: Database
    run: str
    listener: Listener | None
    seen: bool = False

    def take(self, line: str, event: Event | None) -> None:
        """Take one line of the stream."""
        kept: asyncio.Future[Any] | None = None
        if not self.seen and event is not None and (run_id := event.body.get("workflow_run_id")):
            self.seen = True
            kept = self.database.write(outbox.see(self.run, str(run_id), str(event.body.get("task_id") or "")))
        if self.listener is not None:
            self.listener.told_end |= event is not None and event.name in _ENDS
            self.listener.take(line, kept)


async def _run(service: Service, question: Question, sight: _Sight, patience: float) -> Answer:
    return await service.run(question, on_line=sight.take, silence=SILENCE, patience=patience)


def question_of(row: RunRow) -> Question:
    """Return what the app is asked."""
    asked = row.request
    inputs, files = asked.get("inputs"), asked.get("files")
    return Question(
        inputs=inputs if isinstance(inputs, Mapping) else {},
        query=str(asked.get("query") or ""),
        user=row.user,
        files=tuple(item for item in files if isinstance(item, Mapping)) if isinstance(files, list) else (),
        conversation_id=str(asked["conversation_id"]) if asked.get("conversation_id") else None,
    )


def _not_begun(error: DifyopsError) -> bool:
    return was_never_sent(error) or (isinstance(error, RunFailed) and not error.was_begun)


def status_of(answer: Answer | None, error: DifyopsError | None) -> str:
    """Return how a run ended: succeeded, partial-succeeded, failed, stopped, paused, or unknown."""
    if answer is not None:
        return answer.status
    if isinstance(error, RunFailed):
        return {CUT_OFF: "unknown", PAUSED: "paused", STOPPED: "stopped"}.get(error.kind, "failed")
    if isinstance(error, Unreachable):
        return "failed" if was_never_sent(error) else "unknown"
    return "failed"
