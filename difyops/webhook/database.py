"""The file of the server: events, runs and calls back, every state a row. One thread writes, in groups.

What is acknowledged is on disk. A write waits for those that are there already and is committed with them: one flush
of the disk for many events. When a group fails, each of its writes is tried by itself, so that one bad row takes no
other with it; on a full disk all of them fail, and nobody is told that his event was taken.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from difyops.ledger.database import Layout, connect, faults, immediate

FILE = "webhook.sqlite3"
T = TypeVar("T")
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
_MOST_AT_ONCE = 500


@dataclass(slots=True)
class _Order:
    """One write: what to do, and whom to tell."""

    work: Work[Any]
    told: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class Database:
    """The open file. ``write`` from the event loop; ``read`` for short questions."""

    path: Path
    groups: int = 0
    written: int = 0
    _orders: queue.SimpleQueue[_Order | None] = field(default_factory=queue.SimpleQueue, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)
    _reader: sqlite3.Connection | None = field(default=None, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)

    def open(self) -> None:
        """Open the file and start the writer. Called on the event loop that will write.

        Raises:
            StoreError: the file is damaged, another program's, or cannot be written.
        """
        writer = connect(self.path, LAYOUT)
        self._reader = connect(self.path, LAYOUT)
        self._reader.row_factory = sqlite3.Row
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, args=(writer,), name="webhook-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what was ordered and close the file."""
        if self._thread is not None:
            self._orders.put(None)
            self._thread.join()
            self._thread = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        """Order a write; the future is done when it is on disk, or failed."""
        assert self._loop is not None  # noqa: S101  (it is open)
        told: asyncio.Future[T] = self._loop.create_future()
        self._orders.put(_Order(work, told))
        return told

    async def write(self, work: Work[T]) -> T:
        """Write, and return when it is on disk.

        Raises:
            StoreError: it could not be written (a full disk, a damaged file).
        """
        return await asyncio.shield(self.submit(work))

    def read(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return the rows of a short question.

        Raises:
            StoreError: the file cannot be read.
        """
        assert self._reader is not None  # noqa: S101  (it is open)
        with faults(self.path):
            return self._reader.execute(query, values).fetchall()

    def _serve(self, connection: sqlite3.Connection) -> None:
        while (order := self._orders.get()) is not None:
            group = [order]
            ends = False
            while len(group) < _MOST_AT_ONCE and not self._orders.empty():
                following = self._orders.get()
                if following is None:
                    ends = True
                    break
                group.append(following)
            self._commit(connection, group)
            self._tell(group)
            if ends:
                break
        connection.close()

    def _commit(self, connection: sqlite3.Connection, group: list[_Order]) -> None:
        try:
            self._together(connection, group)
        except Exception:  # whatever one of them raises, the thread goes on and the others are written
            for order in group:
                try:
                    self._together(connection, [order])
                except Exception as error:
                    order.error = self._named(error)

    def _together(self, connection: sqlite3.Connection, group: list[_Order]) -> None:
        with immediate(connection):
            for order in group:
                order.result = order.work(connection)
        self.groups += 1
        self.written += len(group)

    def _named(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            return error
        try:
            with faults(self.path):
                raise error
        except Exception as named:
            return named

    def _tell(self, group: list[_Order]) -> None:
        assert self._loop is not None  # noqa: S101  (it is open)
        try:
            self._loop.call_soon_threadsafe(_told, group)
        except RuntimeError:  # the loop is gone; what was written is written
            return


def _told(group: list[_Order]) -> None:
    for order in group:
        if order.told.done():
            continue
        if order.error is not None:
            order.told.set_exception(order.error)
            order.told.exception()  # seen: not everybody who orders a write waits for it
        else:
            order.told.set_result(order.result)
