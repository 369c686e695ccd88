"""One connection to a shared ledger: opened, its tables in place, transactions on it, its errors as sentences."""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from difyops import dry_run
from difyops.errors import StoreError
from difyops.ledger import server_tables
from difyops.ledger.backing import Statements, refuse_closed
from difyops.ledger.server_tables import SCHEMA, VERSION
from difyops.postgres import client
from difyops.secret_text import scrub
from difyops.state_address import StateAddress

T = TypeVar("T")
_WRITERS = 4919131752989213764  # the one write lock: "DFOPwrit" as a number
_OPTIONS = (
    f"-c search_path={SCHEMA} -c lock_timeout=30000 -c synchronous_commit=on -c default_transaction_read_only=off"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)
_HELLO = (
    "SELECT pg_backend_pid(), extract(epoch FROM clock_timestamp())::float8, to_regclass('difyops.fact') IS NOT NULL,"
    " (SELECT count(set_config(name, '0', false)) FROM pg_settings WHERE name = 'idle_session_timeout')"
)
_BEGIN = (
    f"BEGIN; SELECT pg_advisory_xact_lock({_WRITERS});"
    " SELECT extract(epoch FROM clock_timestamp())::float8, (SELECT value FROM fact WHERE name = 'closed'),"
    " (SELECT value FROM fact WHERE name = 'version')"
)
_NOT_NOW = ("53", "58", "XX", "25006", "55P03", "57014")  # no room, a fault of its disk, a copy, a lock, a time limit
_WHY = {
    "25006": "it is a copy that takes no writes, and its primary is the one to name",
    "55P03": "another process holds its write lock for 30 s",
}
_ENCODINGS = ("UTF8", "SQL_ASCII")  # the second keeps what it gets
_FINAL = (
    "authentication",
    "pg_hba",
    "does not exist",
    "permission denied",
    "permitted to log in",
    "no password supplied",
)


class Away(Exception):
    """There is no connection. ``is_final``: the server was there and said no; to try again is of no use.

    ``may_be_done``: the commit was sent, and no answer came.
    """

    def __init__(self, why: str, *, is_final: bool = False, may_be_done: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_final = is_final
        self.may_be_done = may_be_done


@dataclass(frozen=True, slots=True)
class _Inside:
    """Statements inside a transaction on the server."""

    connection: Any
    again: bool = False

    def execute(self, query: str, values: Sequence[Any] = ()) -> Any:
        return self.connection.execute(query.replace("?", "%s"), values)

    def execute_many(self, query: str, values: Sequence[Sequence[Any]]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(query.replace("?", "%s"), values)

    def follow_events(self) -> None:
        self.connection.execute("UPDATE chain SET events = (SELECT coalesce(max(id), 0) FROM event)")


@dataclass(slots=True)
class Connected:
    """An open connection. ``offset``: the server's clock (unix seconds) less this process's monotonic clock."""

    connection: Any
    place: str
    offset: float
    is_made: bool = False

    @classmethod
    def open(cls, address: StateAddress) -> Connected:
        """Connect, with the tables in place.

        Raises:
            Away: it cannot be reached, or lets nobody in. StoreError: something else is there. NotSupported: the client
            is not installed.
        """
        psycopg = client()
        from difyops.postgres.bounded import Bounded

        try:
            given = psycopg.conninfo.conninfo_to_dict(address.url)
        except psycopg.Error as error:
            raise StoreError(f"{address.place} is no PostgreSQL address: {scrub(str(error)).strip()}.") from None
        given["options"] = f"{given.get('options') or ''} {_OPTIONS}".strip()
        given |= {"connect_timeout": given.get("connect_timeout") or 5, "tcp_user_timeout": 15000}
        given |= {"client_encoding": "utf8", "application_name": "difyops"}
        if address.password is not None:
            given["password"] = address.password.reveal()
        try:
            connection = Bounded.reached(**given, autocommit=True)
        except psycopg.Error as error:
            raise _not_reached(error) from None
        made = cls(connection, address.place, 0.0)
        try:
            made._greet()
        except BaseException:
            made.close()
            raise
        return made

    def _greet(self) -> None:
        self._refuse_encoding()
        with self.faults():
            began = time.monotonic()
            backend, now, is_there, _ = self.connection.execute(_HELLO).fetchone()
            self.offset = now - (began + time.monotonic()) / 2
            if backend != self.connection.info.backend_pid:
                raise StoreError(
                    f"Between here and {self.place} stands a connection pooler, and locks do not pass it.",
                    hint="Give the address of the PostgreSQL itself.",
                )
            self.is_made = is_there
            if self._version(is_there) != VERSION and not dry_run.is_on():
                self._make_tables()
                self.is_made = True

    def _refuse_encoding(self) -> None:
        """Refuse a database that cannot hold every name; it would be noticed in the middle of a change."""
        encoding = self.connection.info.parameter_status("server_encoding")
        if encoding not in _ENCODINGS:
            raise StoreError(
                f"{self.place} holds text as {encoding}, and names of apps and people may be in any script.",
                hint="CREATE DATABASE difyops ENCODING 'UTF8' TEMPLATE template0",
            )

    def _version(self, is_there: bool) -> int:
        if not is_there:
            return 0
        row = self.connection.execute("SELECT value FROM fact WHERE name = 'version'").fetchone()
        return self._known(row[0] if row else "0")

    def _known(self, fact: str) -> int:
        """Return the version of the tables, refused where it is newer than ours."""
        version = int(fact)
        if version > VERSION:
            raise StoreError(
                f"{self.place} was written by a newer difyops (version {version}; this one knows {VERSION}).",
                hint="Upgrade difyops on this machine.",
            )
        return version

    def _make_tables(self) -> None:
        run = self.connection.execute
        run("BEGIN")
        run(f"SELECT pg_advisory_xact_lock({_WRITERS})")
        there, fact = run("SELECT to_regnamespace('difyops') IS NOT NULL, to_regclass('difyops.fact')").fetchone()
        if not there:
            run(f"CREATE SCHEMA {SCHEMA}")
        for statement in server_tables.since(self._version(fact is not None)):
            run(statement)
        run("COMMIT")

    def change(self, work: Callable[[Statements], T], *, again: bool, closed_too: bool = False) -> T:
        """Do ``work`` alone, as one transaction; in a ledger that is closed only where ``closed_too``.

        Raises:
            Away: the connection is gone, or takes no writes now. StoreError: the server refused a statement, or a newer
            difyops was there. StateMoved: the ledger is closed.
        """
        with self.faults():
            cursor = self.connection.execute(_BEGIN)
            cursor.nextset()
            cursor.nextset()
            now, closed, version = cursor.fetchone()
            self.offset = now - time.monotonic()
            self._known(version)  # another machine may have been upgraded since we came
            if not closed_too:
                refuse_closed(closed)
            result = work(_Inside(self.connection, again))
            try:
                self.connection.execute("COMMIT")
            except client().Error as error:
                if (lost := _lost(error, may_be_done=True)) is not None:
                    raise lost from None
                raise
        return result

    def ask(self, query: str, values: Sequence[Any]) -> tuple[list[str], list[Any]]:
        """Run one statement that only reads: it needs no transaction."""
        with self.faults():
            cursor = _Inside(self.connection).execute(query, values)
            return [column.name for column in cursor.description], cursor.fetchall()

    def read(self, work: Callable[[Statements], T]) -> T:
        """Do ``work`` as of one moment."""
        with self.faults():
            self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            result = work(_Inside(self.connection))
            self.connection.execute("COMMIT")
        return result

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """Turn the client's errors into ``Away`` or one sentence; what was begun is rolled back.

        Raises:
            Away: the connection is gone. StoreError: the server refused a statement.
        """
        psycopg = client()
        try:
            yield
        except psycopg.ProgrammingError as error:
            self._roll_back()
            raise _refused(self.place, error) from error
        except psycopg.Error as error:
            lost = _lost(error)
            if lost is None:
                self._roll_back()
                raise _refused(self.place, error) from error
            raise lost from None
        except json.JSONDecodeError as error:
            self._roll_back()
            raise StoreError(f"A line in {self.place} is damaged ({error}).") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        with contextlib.suppress(client().Error):
            if self.connection.info.transaction_status != client().pq.TransactionStatus.IDLE:
                self.connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close it; what cannot be said to the server any more is not said."""
        with contextlib.suppress(Exception):
            self.connection.close()


def _lost(error: Exception, *, may_be_done: bool = False) -> Away | None:
    """Return an ``Away`` where an error means that the connection is gone, or of no use now: another may be, perhaps to
    the server that took over. ``None``: the server refused.
    """
    psycopg, state = client(), getattr(error, "sqlstate", None)
    is_gone = isinstance(error, psycopg.InterfaceError) or (
        isinstance(error, psycopg.OperationalError) and (state is None or state[:2] == "08" or state[:3] == "57P")
    )
    if is_gone or str(state).startswith(_NOT_NOW):
        why = _WHY.get(str(state), _reason(error))
        return Away(why, may_be_done=may_be_done)
    return None


def _not_reached(error: Exception) -> Away:
    """Return why nobody was let in. What is not known to be final passes: a server may start up, recover or be full,
    and says so in a language of its own.
    """
    why = _reason(error)
    return Away(why, is_final=any(word in why for word in _FINAL))


def _reason(error: Exception) -> str:
    """Return what the client or the server said, in one line, without addresses and secrets."""
    text = scrub(str(error)).strip()
    fatal = text.rpartition("FATAL:")[2].strip() if "FATAL:" in text else text.rpartition("failed: ")[2]
    return (fatal.splitlines() or [type(error).__name__])[0].strip().rstrip(".")


def _refused(place: str, error: Exception) -> StoreError:
    state, said = getattr(error, "sqlstate", None) or "", _reason(error)
    diag = getattr(error, "diag", None)
    said = scrub(getattr(diag, "message_primary", None) or said)
    if state == "42501":
        return StoreError(
            f"This user may not write into {place} ({said}).",
            hint=f"CREATE SCHEMA {SCHEMA} AUTHORIZATION the user, or: GRANT CREATE ON DATABASE ...",
        )
    return StoreError(f"{place} refused a statement: {said}.")
