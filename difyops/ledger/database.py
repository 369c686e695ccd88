"""The ledger's file: making it, opening it, its tables, its errors as sentences. What rows mean is known elsewhere."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from difyops import dry_run
from difyops.atomic_file import PRIVATE, make_private_folder, store_error
from difyops.errors import StoreError
from difyops.ledger.records import GENESIS

SCHEMA_VERSION = 2
FACTS = ("CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL)",)

_OURS = 0x44464F50  # "DFOP", SQLite's application_id
_LARGEST_COPY = 64 * 1024 * 1024
_BUSY = 30.0  # seconds to wait for another writer; a write takes about a millisecond

_SCHEMA = (
    'CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, "when" TEXT NOT NULL, kind TEXT NOT NULL,'
    " subject TEXT NOT NULL, context TEXT NOT NULL, data TEXT NOT NULL)",
    "CREATE INDEX event_kind ON event (kind, id)",
    "CREATE INDEX event_subject ON event (subject, id)",
    'CREATE TABLE audit (id INTEGER PRIMARY KEY, "when" TEXT NOT NULL, actor TEXT NOT NULL, context TEXT NOT NULL,'
    " action TEXT NOT NULL, subject TEXT NOT NULL, outcome TEXT NOT NULL, data TEXT NOT NULL,"
    " prev_hash TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE TABLE chain (one INTEGER PRIMARY KEY CHECK (one = 1), length INTEGER NOT NULL, hash TEXT NOT NULL)",
    f"INSERT INTO chain VALUES (1, 0, '{GENESIS}')",  # noqa: S608  a constant
    *(
        f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'append-only'); END"
        for table in ("event", "audit")
        for verb in ("UPDATE", "DELETE")
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a file of ours holds: its mark, version and tables, and how durable each write is (``FULL``, ``NORMAL``).

    ``tables`` are those of version 1; ``later`` what leads from there to version 2, 3, ... A file is brought up to date
    when it is opened.
    """

    word: str
    mark: int
    version: int
    tables: tuple[str, ...]
    later: tuple[tuple[str, ...], ...] = ()
    synchronous: str = "FULL"

    def since(self, version: int) -> Iterator[str]:
        """Yield what leads from ``version`` (0: an empty file) to ours."""
        for step in (self.tables, *self.later)[version:]:
            yield from step


_LEDGER = Layout(word="ledger", mark=_OURS, version=SCHEMA_VERSION, tables=_SCHEMA, later=(FACTS,))


def connect(path: Path, layout: Layout = _LEDGER) -> sqlite3.Connection:
    """Open the file, made when missing, with durable writes and its tables in place.

    Raises:
        StoreError: it is damaged, another program's, a newer difyops's, or cannot be written. It is never deleted.

    A dry run makes no file and changes none: it works on a copy in memory, or on a new one where there is none. What is
    too large to copy is opened as it is.
    """
    if dry_run.is_on() and (not path.exists() or path.stat().st_size <= _LARGEST_COPY):
        return _in_memory(path, layout)
    _make_private(path)
    with faults(path):
        connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path, layout)
        except BaseException:
            connection.close()
            raise
    return connection


def _in_memory(path: Path, layout: Layout) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with faults(path):
        if path.exists():
            with contextlib.closing(
                sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=_BUSY, uri=True)
            ) as source:
                source.backup(connection)
        _prepare(connection, path, layout)
    return connection


def _make_private(path: Path) -> None:
    """Make the file, or take it back from group and others.

    An existing file is never opened here: closing it would drop the locks another connection of this process holds.
    """
    try:
        make_private_folder(path.parent)
        if not path.exists():
            path.touch(mode=PRIVATE)
        if path.stat().st_mode & 0o777 != PRIVATE:
            path.chmod(PRIVATE)
    except OSError as error:
        raise store_error(error, path) from error


def _prepare(connection: sqlite3.Connection, path: Path, layout: Layout) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(_BUSY * 1000)}")
    _flush(connection, layout)
    if _version(connection, path, layout) != layout.version:
        _switch_to_wal(connection)
        with immediate(connection):
            for statement in layout.since(_version(connection, path, layout)):  # another process may have been first
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {layout.mark}")
            connection.execute(f"PRAGMA user_version = {layout.version}")


def _flush(connection: sqlite3.Connection, layout: Layout) -> None:
    """Have writes on disk before they count as done."""
    connection.execute(f"PRAGMA synchronous = {layout.synchronous}")


def _version(connection: sqlite3.Connection, path: Path, layout: Layout) -> int:
    """Return the version of the file, 0 when it is empty."""
    # Tables first: when another process makes them between two of these reads, its mark is seen as well.
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if owner != layout.mark and (owner or version or tables):
        raise StoreError(
            f"{path} is a database of another program; it is left alone.", hint="Name another state folder."
        )
    if version > layout.version:
        raise StoreError(
            f"{path} was written by a newer difyops"
            f" ({layout.word} version {version}; this one knows {layout.version}).",
            hint="Upgrade difyops on this machine.",
        )
    return int(version)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging; SQLite does not wait for this lock itself when two processes start at once."""
    deadline = time.monotonic() + _BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            waits = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not waits or time.monotonic() > deadline:
                raise  # a full disk does not get better by waiting
            time.sleep(0.02)
        else:
            return


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the one write lock of the file; commit at the end of the block, roll back when it fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the first error counts; a failed commit may have rolled back itself
            connection.execute("ROLLBACK")
        raise


@contextmanager
def one_view(connection: sqlite3.Connection) -> Iterator[None]:
    """Read everything as of one moment, whoever appends meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one sentence that names the file and what to do."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a mistake of ours, not of the file
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise _fault(path, error) from error


def _fault(path: Path, error: Exception) -> StoreError:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
        return StoreError(
            f"No room left, or no way, to write {path} ({error}).", hint="Free disk space, then run again."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(f"{path} is locked by another process for {_BUSY:.0f} s.", retryable=True)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return StoreError(f"{path} cannot be written by this user ({error}).", hint=f"ls -l {path.parent}")
    if name.startswith("SQLITE_CONSTRAINT"):
        return StoreError(f"{path} refused a change: {error}.")
    return StoreError(
        f"{path} is damaged and cannot be read ({error}); it was left as it is.",
        hint=f"Move {path.name}, {path.name}-wal and {path.name}-shm away together; the next run starts a new one.",
    )
