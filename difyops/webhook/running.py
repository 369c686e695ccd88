"""Runs that the server starts: each is its own task, whoever listens, and its end is written before it is told.

The order that keeps promises: the run is accepted on disk, then the app is asked, once. The first event with the id of
the run is kept on disk before any listener sees it. The end and the call back that tells it are written together. A
process that begins finds the runs that had not ended: with an id their end is looked for; one whose call was never sent
(``asked``) did not run, and is begun where nobody was waiting for an answer; any other is looked for in the log of its
app (``finding``). Where that tells nothing, nobody can know whether it ran, and that is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.run_answer import Answer
from difyops.api.run_faults import CUT_OFF, PAUSED, RunFailed
from difyops.api.service import Question, Service
from difyops.errors import DifyopsError, NotAuthenticated, ServerFault, Unreachable
from difyops.webhook import outbox
from difyops.webhook.asked import AskedRuns
from difyops.webhook.database import WebhookDatabase
from difyops.webhook.finding import Finder
from difyops.webhook.listening import Listener, Sight
from difyops.webhook.outbox import RunEnd, RunRow
from difyops.webhook.reaching import SILENCE, Address, Desk, Desks
from difyops.webhook.telling import NotBegun, SeenEnd, is_open, message_of, not_begun, status_of

_RETRY_AFTER = 30.0
_BEGIN = {"async": 60.0, "": 10.0}  # seconds in which an app that cannot be reached is asked again, when a call is owed
_FIRST_PAUSE, _LONGEST_PAUSE_TO_BEGIN = 0.2, 5.0
_SEARCH_PATIENCE = 300.0
_PAUSED_LOOK = 15.0
_LONGEST_PAUSE = 8 * 86400.0  # a form waits a week
_SEARCHES = (1.0, 3.0, 10.0)  # seconds before each look into the log
log = logging.getLogger("difyops.webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerAnswer:
    """What is made of the end of a run: who asked for it under which name, and with its content or without."""

    address: Address
    content: bool = True


@dataclass(slots=True, kw_only=True)
class Runs:
    """The runs under way. ``places`` says where the app of a row is; ``on_end`` is called when one has ended."""

    database: WebhookDatabase
    desks: Desks
    places: Callable[[RunRow], CallerAnswer | None]
    patience: float
    on_end: Callable[[RunEnd], None]
    finder: Finder
    asked: AskedRuns
    live: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    _search: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def under_way(self) -> int:
        """Return how many runs are at work: those that wait for a person hold no place."""
        return len(self.live) - len(self.waiting)

    def begin(self, row: RunRow, desk: Desk, listener: Listener | None = None) -> None:
        """Start a run that was accepted on disk."""
        self._spawn(row.id, self._performed(row, desk, listener))

    def resume(self) -> int:
        """Go on with the runs that had not ended when the last process did; return how many."""
        rows = [outbox.run_of(row) for row in self.database.read(outbox.open_runs())]
        self.asked.keep(row.id for row in rows if row.run_id is None and self.asked.was_asked(row.id))
        unseen: dict[Address, list[RunRow]] = {}
        for row in rows:
            told = self.places(row)
            if row.run_id is None and not self.asked.was_asked(row.id):
                self._spawn(row.id, self._begun_anew(row))
            elif row.run_id is None and told is not None:
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

    async def _begun_anew(self, row: RunRow) -> None:
        """Begin a run that was accepted and never asked of its app; who waited for its answer has asked again."""
        if self.places(row) is None or (row.via == "run" and row.request.get("mode") != "async"):
            error = NotBegun("The server stopped before the app was asked: it did not run.")
            await self._ended(row, None, error)
        else:
            await self._performed(row, None, None)

    async def _performed(self, row: RunRow, desk: Desk | None, listener: Listener | None) -> None:
        answer: Answer | None = None
        error: DifyopsError | None = None
        sight = Sight(self.database, self.asked, row.id, listener)
        try:
            try:
                answer = await self._begun(row, desk, sight)
            except DifyopsError as failed:
                error = failed
                if is_open(failed):
                    answer, error = await self._found_in_log(row, failed)
        finally:  # whatever ends it here, nobody waits for more
            if listener is not None:
                listener.end(answer, error)
        await self._ended(row, *await self._resumed(replace(row, run_id=sight.run_id), answer, error))

    async def _begun(self, row: RunRow, desk: Desk | None, sight: Sight) -> Answer:
        """Ask the app. When nothing could be sent, nothing was begun: it is asked again for a while, then given up.

        Raises:
            NotBegun: it could not be asked. DifyopsError: what the run, or its stream, came to.
        """
        until, pause = time.monotonic() + _patience_of(row), _FIRST_PAUSE
        while True:
            try:
                if desk is None:
                    desk = await self._desk(row)
                return await self._asked(row, desk, sight)
            except (Unreachable, RunFailed) as error:
                waits = row.request.get("mode") != "async"  # who waits is told of a limit at once
                if not not_begun(error) or (waits and isinstance(error, RunFailed)) or time.monotonic() + pause > until:
                    raise
                log.info("run %s is not begun yet: %s", row.id, error.message)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_TO_BEGIN)

    async def _desk(self, row: RunRow) -> Desk:
        told = self.places(row)
        if told is None:
            raise NotBegun(f"{row.via} is not in the rules any more: it did not run.")
        try:
            return await self.desks.at(told.address)
        except DifyopsError as away:
            raise NotBegun(f"The app cannot be asked: {away.message}") from away

    async def _asked(self, row: RunRow, desk: Desk, sight: Sight) -> Answer:
        """Ask the app, once; a key that was refused was not used, so the app is asked with another one."""
        question = question_of(row)
        try:
            return await _run(desk.service, question, sight, self.patience)
        except NotAuthenticated:
            told = self.places(row)
            if sight.run_id is not None or told is None:
                raise
            desk = await self.desks.at(told.address, anew=True)
            return await _run(desk.service, question, sight, self.patience)

    async def _found_in_log(self, row: RunRow, lost: DifyopsError) -> tuple[Answer | None, DifyopsError | None]:
        """Look for a run that may have begun, whose id was not seen; return its end, or why there is none."""
        told = self.places(row)
        if told is None:
            return None, lost
        run_id = (await self._searched(told.address, [row])).get(row.id)
        if run_id is None:
            return None, lost
        try:
            desk = await self.desks.at(told.address)
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
        await self._ended(row, *await self._resumed(row, answer, error))

    async def _resumed(
        self, row: RunRow, answer: Answer | None, error: DifyopsError | None
    ) -> tuple[Answer | None, DifyopsError | None]:
        """Wait for the end of a run that waits for a person; that it waits is told at once."""
        told = self.places(row)
        if status_of(answer, error) != "paused" or row.run_id is None or told is None:
            return answer, error
        paused = SeenEnd(status="paused", when=time.time(), error=error)
        if (message := message_of(row, paused, content=told.content)) is not None:
            await self.database.write(outbox.owe(message))
            self.on_end(RunEnd(id=row.id, status="paused", when=time.time(), messages=(message,)))
        self.waiting.add(row.id)
        try:
            while True:
                await asyncio.sleep(_PAUSED_LOOK)
                try:
                    desk = await self.desks.at(told.address)
                    return await desk.service.end_of(row.run_id, row.user, patience=_PAUSED_LOOK), None
                except RunFailed as failed:
                    if failed.kind not in (PAUSED, CUT_OFF) or time.time() - row.accepted > _LONGEST_PAUSE:
                        return None, failed
                except DifyopsError as away:
                    log.info("run %s waits for a person: %s", row.id, away.message)
        finally:
            self.waiting.discard(row.id)

    async def _ended(self, row: RunRow, answer: Answer | None, error: DifyopsError | None) -> None:
        told, status, now = self.places(row), status_of(answer, error), time.time()
        seen = SeenEnd(status=status, when=now, answer=answer, error=error)
        message = message_of(row, seen, content=told is None or told.content)
        ended = RunEnd(
            id=row.id, status=status, when=now, said=error.message if error else "",
            learned=answer.learned if answer else "", messages=(message,) if message else (),
            retry_at=now + _RETRY_AFTER if row.via != "run" and error is not None and not_begun(error) else None,
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


async def _run(service: Service, question: Question, sight: Sight, patience: float) -> Answer:
    return await service.run(question, on_line=sight.take, on_send=sight.send, silence=SILENCE, patience=patience)


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


def _patience_of(row: RunRow) -> float:
    """Return how long an app that cannot be reached is asked again: an event has a ladder of its own."""
    if row.via != "run" or (row.callback is None and row.request.get("mode") != "async"):
        return 0.0
    return _BEGIN["async" if row.request.get("mode") == "async" else ""]
