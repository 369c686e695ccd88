"""The file of the server: events, runs and calls back, every state a row; written in groups.

What is acknowledged is on disk. A write waits for those that are there already and is committed with them: one flush
of the disk for many events. Rows are written on the event loop, where that takes microseconds; the commit, which waits
for the disk, is made in a thread, and what comes meanwhile is the next group. Behind a large group the loop waits those
microseconds that the thread needs to begin: without that it would go on first, for as long as it has work (Python
changes threads every 5 ms), and the disk would be idle meanwhile. When a group fails, or another process
has the file, each of its writes is made by itself in the thread, so that one bad row takes no other with it; on a full
disk all of them fail, and nobody is told that his event was taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from difyops.ledger.database import Layout, connect, faults, immediate

FILE = "webhook.sqlite3"
T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[sqlite3.Connection], T]

LAYOUT = Layout(
    word="webhook file",
    mark=0x44464F57,  # "DFOW"
    version=1,
    tables=(
        "CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL,"
        " dedupe TEXT NOT NULL, received REAL NOT NULL, sent REAL, hops INTEGER NOT NULL, kind TEXT NOT NULL,"
        " content_type TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (source, dedupe))",
        "CREATE INDEX event_received ON event (received)",
        "CREATE TABLE delivery (seq INTEGER PRIMARY KEY AUTOINCREMENT, event INTEGER NOT NULL REFERENCES event,"
        " destination TEXT NOT NULL, source TEXT NOT NULL, ordered INTEGER NOT NULL, state TEXT NOT NULL,"
        " attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, ended REAL, run TEXT, said TEXT,"
        " UNIQUE (event, destination))",
        "CREATE INDEX delivery_open ON delivery (destination, seq) WHERE state IN ('pending', 'started')",
        "CREATE TABLE run (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, app TEXT NOT NULL,"
        " via TEXT NOT NULL, accepted REAL NOT NULL, user TEXT NOT NULL, idempotency TEXT, callback TEXT, hops INTEGER"
        " NOT NULL, request TEXT NOT NULL, task_id TEXT, run_id TEXT, state TEXT NOT NULL, status TEXT, learned TEXT,"
        " ended REAL, said TEXT, UNIQUE (app, idempotency))",
        "CREATE INDEX run_open ON run (seq) WHERE state != 'ended'",
        "CREATE TABLE message (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, run TEXT NOT NULL,"
        " type TEXT NOT NULL, url TEXT NOT NULL, body BLOB NOT NULL, made REAL NOT NULL, hops INTEGER NOT NULL,"
        " state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, first REAL, due REAL NOT NULL, ended REAL,"
        " said TEXT)",
        "CREATE INDEX message_open ON message (due) WHERE state = 'pending'",
        "CREATE TABLE endpoint (url TEXT PRIMARY KEY, disabled REAL, why TEXT, failing_since REAL)",
        "CREATE TABLE watch (context TEXT NOT NULL, app TEXT NOT NULL, url TEXT NOT NULL, since REAL NOT NULL,"
        " PRIMARY KEY (context, app, url))",
    ),
)
_MOST_AT_ONCE = 200
_LARGE = 32  # so many callers who wait are much work for the loop
_FLUSHED, _UNFLUSHED = "PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"
_BUSY = 30_000  # milliseconds to wait for another process, in the thread


@dataclass(slots=True)
class _Order:
    """One write: what to do (alone, or for all ``item``s of a group at once), and whom to tell."""

    work: Any
    told: asyncio.Future[Any]
    item: Any = None
    flushed: bool = True
    result: Any = None
    error: Exception | None = None

    def alone(self, connection: sqlite3.Connection) -> Any:
        """Make this write by itself."""
        return self.work(connection) if self.item is None else self.work(connection, [self.item])[0]


@dataclass(slots=True)
class WebhookDatabase:
    """The open file. ``write`` is called on the event loop; ``read`` is for short questions."""

    path: Path
    groups: int = 0
    written: int = 0
    _orders: deque[_Order] = field(default_factory=deque, repr=False)
    _writer: sqlite3.Connection | None = field(default=None, repr=False)
    _reader: sqlite3.Connection | None = field(default=None, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    _thread: ThreadPoolExecutor | None = field(default=None, repr=False)
    _is_writing: bool = field(default=False, repr=False)
    _begun: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self) -> None:
        """Open the file. Called on the event loop that will write.

        Raises:
            StoreError: the file is damaged, another program's, or cannot be written.
        """
        self._writer = connect(self.path, LAYOUT)
        self._writer.execute("PRAGMA secure_delete = ON")  # what callers sent is overwritten when its time is over
        self._reader = connect(self.path, LAYOUT)
        self._reader.row_factory = sqlite3.Row
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webhook-writer")

    async def close(self) -> None:
        """Finish what was ordered and close the file."""
        while self._is_writing:
            await self.write(lambda _: None)
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()
        if self._thread is not None:
            self._thread.shutdown()
        self._writer = self._reader = self._thread = None

    def write(self, work: Work[T], *, flushed: bool = True) -> asyncio.Future[T]:
        """Write. Awaited, it returns when the rows are on disk; nobody has to wait for it.

        Not ``flushed``, it returns when they are in the file: what kills this process loses nothing, what takes the
        power from the machine may, until the next write that is flushed.

        Raises (when awaited):
            StoreError: it could not be written (a full disk, a damaged file).
        """
        return self._ordered(_Order(work, self._future(), flushed=flushed))

    def add(self, work: Callable[[sqlite3.Connection, list[T]], list[R]], item: T) -> asyncio.Future[R]:
        """Write one item together with the others of its kind in the group: ``work`` takes all of them at once."""
        return self._ordered(_Order(work, self._future(), item))

    def _future(self) -> asyncio.Future[Any]:
        assert self._loop is not None  # noqa: S101  (it is open)
        return self._loop.create_future()

    def _ordered(self, order: _Order) -> asyncio.Future[Any]:
        assert self._loop is not None  # noqa: S101  (it is open)
        self._orders.append(order)
        if not self._is_writing:
            self._is_writing = True
            self._loop.call_soon(self._write_group)
        return order.told

    def read(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return the rows of a short question.

        Raises:
            StoreError: the file cannot be read.
        """
        assert self._reader is not None  # noqa: S101  (it is open)
        with faults(self.path):
            return self._reader.execute(query, values).fetchall()

    def _write_group(self) -> None:
        """Write the rows of those that wait, and let the thread commit them."""
        assert self._loop is not None  # noqa: S101  (it is open)
        assert self._thread is not None  # noqa: S101
        group = [self._orders.popleft() for _ in range(min(len(self._orders), _MOST_AT_ONCE))]
        work = self._commit if self._written(group) else self._one_by_one
        if len(group) < _LARGE:
            done = self._loop.run_in_executor(self._thread, work, group)
        else:
            self._begun.acquire()
            done = self._loop.run_in_executor(self._thread, self._begin, work, group)
            self._begun.acquire()
            self._begun.release()
        done.add_done_callback(lambda _: self._tell(group))

    def _begin(self, work: Callable[[list[_Order]], None], group: list[_Order]) -> None:
        """Let the loop go on, which waits for that, and work; in the thread."""
        self._begun.release()
        work(group)

    def _written(self, group: list[_Order]) -> bool:
        """Write the rows of a group without waiting for anybody; say whether they are ready to be committed."""
        assert self._writer is not None  # noqa: S101  (it is open)
        try:
            self._writer.execute("PRAGMA busy_timeout = 0")
            self._writer.execute(_FLUSHED if any(order.flushed for order in group) else _UNFLUSHED)
            self._writer.execute("BEGIN IMMEDIATE")
            many: dict[Any, list[_Order]] = {}
            for order in group:
                if order.item is None:
                    order.result = order.work(self._writer)
                else:
                    many.setdefault(order.work, []).append(order)
            for work, orders in many.items():
                results = work(self._writer, [order.item for order in orders])
                for order, result in zip(orders, results, strict=True):
                    order.result = result
        except Exception:  # whatever one of them raises, the others are written
            self._roll_back()
            return False
        return True

    def _commit(self, group: list[_Order]) -> None:
        """Commit what was written; in the thread."""
        assert self._writer is not None  # noqa: S101  (it is open)
        try:
            self._writer.execute("COMMIT")
        except Exception:
            self._roll_back()
            self._one_by_one(group)
        else:
            self.groups += 1
            self.written += len(group)

    def _one_by_one(self, group: list[_Order]) -> None:
        """Make each write by itself, waiting for others who have the file; in the thread."""
        assert self._writer is not None  # noqa: S101  (it is open)
        self._writer.execute(f"PRAGMA busy_timeout = {_BUSY}")
        self._writer.execute(_FLUSHED)
        for order in group:
            try:
                with faults(self.path), immediate(self._writer):
                    order.result = order.alone(self._writer)
            except Exception as error:
                order.error = error
            else:
                self.groups += 1
                self.written += 1

    def _roll_back(self) -> None:
        if self._writer is not None and self._writer.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # a failed commit may have done so itself
                self._writer.execute("ROLLBACK")

    def _tell(self, group: list[_Order]) -> None:
        for order in group:
            if order.told.done():
                continue
            if order.error is not None:
                order.told.set_exception(order.error)
                order.told.exception()  # seen: not everybody who orders a write waits for it
            else:
                order.told.set_result(order.result)
        if self._orders:
            self._write_group()
        else:
            self._is_writing = False
