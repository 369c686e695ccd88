"""Which lists an app has, and reading what is missing of each into the store.

workflow                logs (API, webhook, schedule)
advanced-chat           runs by cursor (1.9.2 and newer), messages
chat, agent-chat        messages, which are the runs there
completion              messages
with ``debugging``      the editor's runs of both workflow modes
"""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import run_detail
from difyops.api.run_records import LoggedRun, MessageRecord
from difyops.counting import counted
from difyops.errors import NotFound
from difyops.history.cursors import pieces
from difyops.history.gaps import Gap, gaps
from difyops.history.pace import Pace
from difyops.history.rows import Row, RowMaker
from difyops.history.store import OPEN, Batch, History, Stretch
from difyops.history.talks import changed_since, messages
from difyops.history.windows import LogReader

LOGS, RUNS, DEBUGGING, MESSAGES = "logs", "app-run", "debugging", "messages"
_NEIGHBOURS = 30.0  # seconds between open runs that are read again with one call
_STILL_MOVING = 8 * 86400.0  # a person may answer a paused run for a week
_STILL_WRITING = 1200.0  # an empty answer may still be on its way


@dataclass(slots=True)
class Feeds:
    """The lists of one app in one sync."""

    instance: Instance
    history: History
    pace: Pace
    app: App
    maker: RowMaker
    since: float
    until: float
    debugging: bool = False
    runs: int = 0
    messages: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the feeds of this app's mode on this server."""
        extra = (DEBUGGING,) if self.debugging and self.app.has_workflow else ()
        if self.app.mode == "workflow":
            return (LOGS, *extra)
        if self.app.mode == "advanced-chat":
            by_trigger = self.instance.capabilities.can("runs_by_trigger")
            return ((RUNS, MESSAGES) if by_trigger else (MESSAGES,)) + extra
        return (MESSAGES,)

    def missing(self) -> float:
        """Return how many seconds are still missing, over all feeds."""
        return sum(gap.t1 - gap.t0 for name in self.names for gap in self._gaps(name))

    async def read(self) -> None:
        """Read what moved on and what is missing, newest feed rows last so that an end leaves the past whole."""
        self._clock_went_back()
        for name in self.names:
            if name == LOGS:
                await self._logs()
            elif name == MESSAGES:
                await self._talks()
            else:
                await self._cursor(name)

    def _gaps(self, feed: str) -> list[Gap]:
        return gaps(self.history.stretches(self.instance.name, self.app.id, feed), self.since, self.until)

    def _clock_went_back(self) -> None:
        for name in self.names:
            covered = self.history.stretches(self.instance.name, self.app.id, name)
            if covered and covered[-1].t1 > self.until + 1:
                self.history.uncover(self.instance.name, self.app.id, name, after=self.until)
                self.warnings.append(f"{self.app.name}: the server's clock went back; what lies later is read again.")

    async def _logs(self) -> None:
        reader = LogReader(instance=self.instance, app_id=self.app.id, pace=self.pace)
        for low, high in self._seconds_of_open_runs():
            self._write(LOGS, await reader.between(low, high), None)
        for gap in self._gaps(LOGS):
            async for window in reader.windows(gap):
                if window.whole:
                    stretch = self._stretch(window.t0, window.t1, window.total, window.calls)
                else:
                    stretch = None
                    self.warnings.append(
                        f"{self.app.name}: {len(window.runs)} of {counted(window.total, 'run')} came; "
                        "the window stays a gap."
                    )
                self._write(LOGS, window.runs, stretch)

    def _seconds_of_open_runs(self) -> list[tuple[float, float]]:
        spans: list[tuple[float, float]] = []
        for (logged,) in self._open("logged", "source NOT IN ('chat', 'debugging')"):
            low, high = float(int(logged)), float(int(logged)) + 1
            if spans and low - spans[-1][1] <= _NEIGHBOURS:
                spans[-1] = (spans[-1][0], high)
            else:
                spans.append((low, high))
        return spans

    def _open(self, column: str, test: str) -> list[tuple[str]]:
        query = (
            f"SELECT {column} FROM run WHERE context = ? AND app = ? AND status IN {OPEN!r}"
            f" AND started > ? AND {test} ORDER BY logged"
        )
        return self.history.all(query, [self.instance.name, self.app.id, self.until - _STILL_MOVING])

    async def _cursor(self, feed: str) -> None:
        for (run,) in self._open("id", f"source = '{feed}'"):
            await self._again(run)
        for gap in reversed(self._gaps(feed)):
            known = self.history.one(
                "SELECT id FROM run WHERE context = ? AND app = ? AND source = ? AND started > ?"
                " ORDER BY started LIMIT 1",
                [self.instance.name, self.app.id, feed, gap.t1],
            )
            source = feed
            async for piece in pieces(self.instance, self.app, self.pace, gap, source=source, cursor=known):
                stretch = self._stretch(piece.t0, piece.t1, len(piece.runs), 1) if piece.t0 < piece.t1 else None
                self._write(feed, piece.runs, stretch)

    async def _again(self, run: str) -> None:
        """Read one run that was running: its cursor has no way to ask for it."""
        try:
            detail = await self.pace.call(lambda: run_detail(self.instance, self.app.id, run))
        except NotFound:
            detail = {"id": run, "status": "gone"}
        now = LoggedRun.of_run(detail, "")
        with self.history.changing() as connection:
            connection.execute(
                "UPDATE run SET status = ?, finished = ?, elapsed = ?, tokens = ?, steps = ?, exceptions = ?"
                " WHERE context = ? AND app = ? AND id = ?",
                [
                    now.status, now.finished, now.elapsed, now.tokens, now.steps, now.exceptions,
                    self.instance.name, self.app.id, run,
                ],
            )  # fmt: skip

    async def _talks(self) -> None:
        unanswered = {row[0] for row in self._open("conversation", "source = 'chat'")}
        for unfinished in unanswered:
            await self._talk(unfinished, self.since)
        missing = self._gaps(MESSAGES)
        if not missing:
            return
        low = missing[0].t0
        for talk in await changed_since(self.instance, self.app, self.pace, low):
            seen = self.history.one(
                "SELECT changed FROM conversation WHERE context = ? AND app = ? AND id = ?",
                [self.instance.name, self.app.id, talk.id],
            )
            if seen is None or seen < talk.changed:
                await self._talk(talk.id, low if seen is None else min(low, seen))
                changed = min(talk.changed, self.until)
                self.history.note_conversation(self.instance.name, self.app.id, talk.id, changed)
        self._write(MESSAGES, (), self._stretch(low, self.until, 0, 0))

    async def _talk(self, talk: str, since: float) -> None:
        records = [record async for record in messages(self.instance, self.app, self.pace, talk, since)]
        self._write_messages([self._dated(record) for record in records if record.started <= self.until])

    def _dated(self, record: MessageRecord) -> MessageRecord:
        young = record.status == "cut-off" and self.until - record.started < _STILL_WRITING
        return replace(record, status="running") if young else record

    def _write_messages(self, records: list[MessageRecord]) -> None:
        rows: dict[str, list[Row]] = {"message": [self.maker.message(record) for record in records]}
        if self.app.mode != "advanced-chat" or RUNS not in self.names:
            rows["run"] = [self.maker.run(record.as_run()) for record in records]
        content = [kept for record in records if (kept := self.maker.kept("message", record))]
        self.history.write(self.instance.name, self.app.id, MESSAGES, Batch(rows=rows, content=content))
        self.messages += len(records)

    def _write(self, feed: str, runs: Iterable[LoggedRun], stretch: Stretch | None) -> None:
        found = list(runs)
        content = [kept for run in found if (kept := self.maker.kept("run", run))]
        rows = {"run": [self.maker.run(run) for run in found]}
        self.history.write(self.instance.name, self.app.id, feed, Batch(rows=rows, content=content, stretch=stretch))
        self.runs += len(found)

    def _stretch(self, t0: float, t1: float, rows: int, calls: int) -> Stretch:
        return Stretch(t0=t0, t1=t1, rows=rows, calls=calls, read_at=self.until)
