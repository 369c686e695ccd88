"""Runs that callers started, and the calls back that they are owed: the rows, and the questions about them.

A run is ``asked`` (the call that starts it was about to be made), ``running`` (its id was seen) or ``ended``. The end
of a run and the call back that tells it are written together, or not at all. The id of a message follows from the run,
so that one end is never told under two ids.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ASKED = "asked"
RUNNING = "running"
ENDED = "ended"

FAR = 2 * 86400.0  # no try is set so far ahead: a clock went back, and what was due before is due
_MOST_TRIES = 8
PENDING = "pending"
DELIVERED = "delivered"
DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run that was accepted. ``request`` is what the app is asked; ``via`` is ``run`` or the destination's name."""

    id: str
    app: str
    via: str
    accepted: float
    user: str
    request: Mapping[str, Any]
    callback: str | None = None
    idempotency: str | None = None
    hops: int = 0
    state: str = ASKED
    task_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """A call back: what is sent, to whom, and how far it is."""

    id: str
    run: str
    type: str
    url: str
    body: bytes
    made: float
    hops: int = 0
    state: str = PENDING
    attempts: int = 0
    first: float | None = None
    due: float = 0.0
    said: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended, as it is written: with the call back that tells it, where one is owed.

    ``retry_at``: it was never begun, and the event that asked for it may ask again then.
    """

    id: str
    status: str
    when: float
    said: str = ""
    learned: str = ""
    messages: Sequence[OutboxMessage] = field(default_factory=tuple)
    retry_at: float | None = None


def message_id(run: str, url: str) -> str:
    """Return the id under which the end of a run is told to a receiver, however often it is told."""
    return "msg_" + hashlib.sha256(f"{run}\n{url}".encode()).hexdigest()[:24]


def accept(row: RunRow, delivery: int | None = None) -> Callable[[sqlite3.Connection], str | None]:
    """Return the write that accepts a run; it answers the id of the earlier run with the same idempotency key."""

    def work(connection: sqlite3.Connection) -> str | None:
        cursor = connection.execute(
            "INSERT OR IGNORE INTO run (id, app, via, accepted, user, idempotency, callback, hops, request, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.id, row.app, row.via, row.accepted, row.user, row.idempotency, row.callback, row.hops,
                json.dumps(row.request, ensure_ascii=False), row.state,
            ),
        )  # fmt: skip
        if cursor.rowcount == 0:
            earlier = connection.execute(
                "SELECT id FROM run WHERE app = ? AND idempotency = ?", (row.app, row.idempotency)
            ).fetchone()
            return str(earlier[0]) if earlier else row.id
        if delivery is not None:
            connection.execute(
                "UPDATE delivery SET state = 'started', attempts = attempts + 1, run = ? WHERE seq = ?",
                (row.id, delivery),
            )
        return None

    return work


def see(run: str, run_id: str, task_id: str | None) -> Callable[[sqlite3.Connection], None]:
    """Return the write that keeps the id by which the end of a run can be found, whatever is killed."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE run SET state = 'running', run_id = ?, task_id = ? WHERE id = ? AND state != 'ended'",
            (run_id, task_id, run),
        )

    return work


def end(ended: RunEnd) -> Callable[[sqlite3.Connection], bool]:
    """Return the write that ends a run and owes its call back; a run that has ended stays as it is."""

    def work(connection: sqlite3.Connection) -> bool:
        cursor = connection.execute(
            "UPDATE run SET state = 'ended', status = ?, ended = ?, said = ?, learned = ?, request = '{}'"
            " WHERE id = ? AND state != 'ended'",
            (ended.status, ended.when, ended.said[:500], ended.learned, ended.id),
        )
        if cursor.rowcount == 0:
            return False
        for message in ended.messages:
            owe(message)(connection)
        state = "done" if ended.status in ("succeeded", "partial-succeeded") else "dead"
        if ended.retry_at is not None:
            connection.execute(
                "UPDATE delivery SET state = 'pending', due = ?, said = ?, run = NULL"
                " WHERE run = ? AND state = 'started' AND attempts < ?",
                (ended.retry_at, ended.said[:500], ended.id, _MOST_TRIES),
            )
        connection.execute(
            "UPDATE delivery SET state = ?, ended = ?, said = ? WHERE run = ? AND state = 'started'",
            (state, ended.when, ended.said[:500] or ended.status, ended.id),
        )
        return True

    return work


def owe(message: OutboxMessage) -> Callable[[sqlite3.Connection], bool]:
    """Return the write that puts a message into the outbox; one that is there already stays as it is."""

    def work(connection: sqlite3.Connection) -> bool:
        cursor = connection.execute(
            "INSERT OR IGNORE INTO message (id, run, type, url, body, made, hops, state, due)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, CASE WHEN EXISTS (SELECT 1 FROM endpoint WHERE url = ?4 AND disabled"
            " IS NOT NULL) THEN 'dead' ELSE 'pending' END, ?6",
            (message.id, message.run, message.type, message.url, message.body, message.made, message.hops),
        )
        return cursor.rowcount == 1

    return work


def open_runs() -> str:
    """Return the question for the runs that have not ended, the oldest first."""
    return "SELECT * FROM run WHERE state != 'ended' ORDER BY seq"


def run_of(row: sqlite3.Row) -> RunRow:
    """Return a run that ``open_runs`` found."""
    return RunRow(
        id=row["id"], app=row["app"], via=row["via"], accepted=row["accepted"], user=row["user"],
        request=json.loads(row["request"]), callback=row["callback"], idempotency=row["idempotency"], hops=row["hops"],
        state=row["state"], task_id=row["task_id"], run_id=row["run_id"],
    )  # fmt: skip


def due_messages(now: float, most: int) -> tuple[str, Sequence[object]]:
    """Return the question for the messages whose time has come."""
    return (
        "SELECT * FROM message WHERE state = 'pending' AND (due <= ? OR due > ?) ORDER BY due LIMIT ?",
        (now, now + FAR, most),
    )


def message_of(row: sqlite3.Row) -> OutboxMessage:
    """Return a message that was found."""
    return OutboxMessage(
        id=row["id"], run=row["run"], type=row["type"], url=row["url"], body=bytes(row["body"]), made=row["made"],
        hops=row["hops"], state=row["state"], attempts=row["attempts"], first=row["first"], due=row["due"],
        said=row["said"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedCall:
    """How one attempt to deliver a message ended; ``due`` is when the next one is to be made."""

    message: OutboxMessage
    state: str
    said: str
    now: float
    due: float | None = None
    disables: str | None = None


_DISABLED_AFTER = 5 * 86400.0


def tried(attempt: TriedCall) -> Callable[[sqlite3.Connection], None]:
    """Return the write that says how an attempt ended; a receiver that is gone gets nothing more.

    One that failed for five days without a success between is switched off, too.
    """

    def work(connection: sqlite3.Connection) -> None:
        message, now = attempt.message, attempt.now
        connection.execute(
            "UPDATE message SET state = ?, attempts = attempts + 1, first = coalesce(first, ?), due = coalesce(?, due),"
            " ended = ?, said = ? WHERE id = ? AND state = 'pending'",
            (
                attempt.state, now, attempt.due, None if attempt.state == PENDING else now, attempt.said[:500],
                message.id,
            ),
        )  # fmt: skip
        if attempt.state == DELIVERED:
            connection.execute("DELETE FROM endpoint WHERE url = ?", (message.url,))
            return
        connection.execute(
            "INSERT INTO endpoint (url, failing_since) VALUES (?, ?) ON CONFLICT (url) DO NOTHING", (message.url, now)
        )
        since = connection.execute("SELECT failing_since FROM endpoint WHERE url = ?", (message.url,)).fetchone()[0]
        why = attempt.disables or ("it failed for five days" if now - (since or now) >= _DISABLED_AFTER else None)
        if why:
            connection.execute("UPDATE endpoint SET disabled = ?, why = ? WHERE url = ?", (now, why, message.url))
            connection.execute(
                "UPDATE message SET state = 'dead', ended = ?, said = ? WHERE url = ? AND state = 'pending'",
                (now, f"the receiver is switched off: {why}", message.url),
            )

    return work


def replay_messages(ids: Sequence[str], now: float) -> Callable[[sqlite3.Connection], int]:
    """Return the write that lets messages be sent once more, under their own ids; it answers how many that are."""

    def work(connection: sqlite3.Connection) -> int:
        count = 0
        for one in ids:
            connection.execute(
                "DELETE FROM endpoint WHERE url = (SELECT url FROM message WHERE id = ? OR run = ?)", (one, one)
            )
            count += connection.execute(
                "UPDATE message SET state = 'pending', attempts = 0, first = NULL, due = ?, ended = NULL"
                " WHERE (id = ? OR run = ?) AND state != 'pending'",
                (now, one, one),
            ).rowcount
        return count

    return work


def forget_runs(before: float) -> Callable[[sqlite3.Connection], int]:
    """Return the write that removes old runs that have ended and whose calls back were delivered."""

    def work(connection: sqlite3.Connection) -> int:
        connection.execute("DELETE FROM message WHERE state = 'delivered' AND ended < ?", (before,))
        return connection.execute(
            "DELETE FROM run WHERE state = 'ended' AND ended < ?"
            " AND NOT EXISTS (SELECT 1 FROM message WHERE run = run.id) AND NOT EXISTS"
            " (SELECT 1 FROM delivery WHERE run = run.id)",
            (before,),
        ).rowcount

    return work
