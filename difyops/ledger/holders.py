"""Locks that several machines share: advisory locks of the session, so that they end with their holder's connection.

A row beside each says who holds it, with a token. After a connection was lost its locks are taken again only where the
token still stands: somebody who had the lock meanwhile has put another one there, or removed it.
"""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

import getpass
import hashlib
import os
import re
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from difyops.clock import iso
from difyops.errors import LockHeld, LockLost

_KEYS = "l.locktype = 'advisory' AND l.granted AND ((l.classid::bigint << 32) | l.objid::bigint) ="
_HERE = "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
_TAKE = (
    "WITH got AS MATERIALIZED (SELECT pg_try_advisory_lock(%(key)s) AS ok)"
    " INSERT INTO holder (name, token, backend, host, pid, actor, command, holding)"
    " SELECT %(name)s, %(token)s, pg_backend_pid(), %(host)s, %(pid)s, %(actor)s, %(command)s, %(holding)s"
    " FROM got WHERE ok ON CONFLICT (name) DO UPDATE SET token = excluded.token, backend = excluded.backend,"
    " host = excluded.host, pid = excluded.pid, actor = excluded.actor, command = excluded.command,"
    " holding = excluded.holding, since = clock_timestamp() RETURNING token"
)
_GIVE = (
    "WITH gone AS (DELETE FROM holder WHERE name = %(name)s AND token = %(token)s RETURNING 1)"
    " SELECT pg_advisory_unlock(%(key)s), (SELECT count(*) FROM gone)"
)
_LIST = (
    "SELECT h.name, h.host, h.pid, h.actor, h.command, h.holding, h.since, h.backend IN (SELECT l.pid FROM pg_locks l"
    f" WHERE l.locktype = 'advisory' AND l.granted {_HERE}) FROM holder h ORDER BY h.since"
)


def this_host() -> str:
    """Return what this machine is called: ``DIFYOPS_HOST``, or its host name."""
    return os.environ.get("DIFYOPS_HOST") or socket.gethostname()


def this_user() -> str:
    """Return who is at work here: the user's name, or its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user id that has no name
        return f"uid {os.getuid()}"


def this_command() -> str:
    """Return the command that runs, in its first two words: what follows may be a secret that somebody typed."""
    words = [word for word in sys.argv[1:] if re.fullmatch(r"[a-z][a-z-]{0,20}", word)]
    return " ".join(words[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock: process, person, command, since when. ``is_alive``: the lock is held, not only written down."""

    name: str
    host: str
    pid: int
    actor: str
    command: str
    holding: str
    since: datetime
    is_alive: bool = True

    @property
    def text(self) -> str:
        """Return it in words."""
        runs = f"difyops {self.command}" if self.command else "difyops"
        return f"{runs} of {self.actor} on {self.host} (process {self.pid}), since {iso(self.since)}"


@dataclass(slots=True)
class Held:
    """A lock that this process holds. ``is_lost``: somebody else had it while the connection was gone."""

    name: str
    holding: str
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    is_lost: bool = False

    @property
    def given(self) -> Mapping[str, Any]:
        """Return what its statements need."""
        return {
            "name": self.name, "key": key_of(self.name), "token": self.token, "holding": self.holding,
            "host": this_host(), "pid": os.getpid(), "actor": _actor(), "command": this_command(),
        }  # fmt: skip

    def take(self, connection: Any, *, in_writing: bool) -> bool:
        """Take the lock if it is free; say whether it is ours now. ``in_writing``: and write down whose it is."""
        if not in_writing:
            return bool(connection.execute("SELECT pg_try_advisory_lock(%s)", [key_of(self.name)]).fetchone()[0])
        return connection.execute(_TAKE, self.given).fetchone() is not None

    def take_again(self, connection: Any) -> bool:
        """Take the lock on a new connection, if nobody had it meanwhile; ``False``: our former one still holds it.

        Raises:
            LockLost: somebody else had it, or has it.
        """
        row = connection.execute("SELECT token, backend FROM holder WHERE name = %s", [self.name]).fetchone()
        if row is None or row[0] != self.token:
            self.is_lost = True
            self.refuse_lost()
        if connection.execute("SELECT pg_try_advisory_lock(%s)", [key_of(self.name)]).fetchone()[0]:
            connection.execute(
                "UPDATE holder SET backend = pg_backend_pid() WHERE name = %s AND token = %s", [self.name, self.token]
            )
            return True
        connection.execute(
            f"SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE {_KEYS} %s {_HERE} AND l.pid = %s",
            [key_of(self.name), row[1]],
        )
        return False

    def refuse_lost(self) -> None:
        """Refuse to go on without the lock.

        Raises:
            LockLost: it is lost.
        """
        if self.is_lost:
            raise LockLost(
                f"While PostgreSQL was away, another process took over {self.holding}; nothing more is done here.",
                hint="Look what it did, then run this again: difyops changes list",
            )

    def give(self, connection: Any) -> None:
        """Give the lock back."""
        connection.execute(_GIVE, self.given).fetchone()


def refuse_held(connection: Any, name: str, holding: str) -> None:
    """Refuse, naming who holds the lock.

    Raises:
        LockHeld: always.
    """
    found = [holder for holder in holders(connection) if holder.name == name and holder.is_alive]  # no dead one's row
    who = found[0].text if found else "another difyops"
    raise LockHeld(
        f"Somebody works on {holding}: {who}.",
        hint="Wait until it ends, then run this again.",
        details={"host": found[0].host, "pid": found[0].pid, "actor": found[0].actor} if found else None,
    )


def is_held(connection: Any, name: str) -> bool:
    """Say whether a session holds the lock now."""
    query = f"SELECT count(*) FROM pg_locks l WHERE {_KEYS} %s {_HERE}"
    return bool(connection.execute(query, [key_of(name)]).fetchone()[0])


def holders(connection: Any) -> list[Holder]:
    """Return who wrote that he holds a lock, oldest first."""
    names = ("name", "host", "pid", "actor", "command", "holding", "since", "is_alive")
    return [Holder(**dict(zip(names, row, strict=True))) for row in connection.execute(_LIST).fetchall()]


def key_of(name: str) -> int:
    """Return the number that stands for a lock's name."""
    return int.from_bytes(hashlib.sha256(f"difyops {name}".encode()).digest()[:8], "big", signed=True)


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user id that has no name
        return f"uid {os.getuid()}"
