"""Events that came in, and where each is to go: the rows, and the questions about them."""

from __future__ import annotations

import itertools
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from difyops.webhook.rules import EventSource

PENDING = "pending"
STARTED = "started"  # handed to its destination; what came of it is not known yet
DONE = "done"
DEAD = "dead"
OPEN = (PENDING, STARTED)
FAR = 2 * 86400.0  # no try is set so far ahead: a clock went back, and what was due before is due


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEvent:
    """One event as it came. ``dedupe`` is equal for the same event; ``kind`` is the sender's word for what it is."""

    id: str
    source: str
    dedupe: str
    received: float
    sent: float | None
    hops: int
    kind: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one destination, with the event itself."""

    seq: int
    event_seq: int
    event: InboxEvent
    destination: str
    state: str
    attempts: int
    run: str | None = None


class EventIds:
    """Makes the ids of events: by time, so that the file's index of them grows at its end."""

    def __init__(self) -> None:
        self._maker = secrets.token_hex(4)
        self._count = itertools.count(secrets.randbelow(0x1000))

    def at(self, now: float) -> str:
        """Return a new id. Processes, and calls within the same millisecond, get different ones."""
        return f"evt_{int(now * 1000):011x}{next(self._count) & 0xFFFF:04x}{self._maker}"


_KEEP = (
    "INSERT OR IGNORE INTO event (id, source, dedupe, received, sent, hops, kind, content_type, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SEND = "INSERT INTO delivery (event, destination, source, ordered, state, due) VALUES (?, ?, ?, ?, 'pending', ?)"

Kept = tuple[InboxEvent, EventSource]


def keep(connection: sqlite3.Connection, kept: list[Kept]) -> list[str | None]:
    """Write events and their deliveries; answer for each the id of the earlier one of a doublet, or ``None``."""
    before = connection.total_changes
    connection.executemany(
        _KEEP,
        [
            (one.id, one.source, one.dedupe, one.received, one.sent, one.hops, one.kind, one.content_type, one.body)
            for one, _ in kept
        ],
    )
    if connection.total_changes - before == len(kept):  # nothing was left out, so their numbers follow one another
        last = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
        numbers = range(last - len(kept) + 1, last + 1)
        found: list[str | None] = [None] * len(kept)
        new = list(zip(numbers, kept, strict=True))
    else:
        found, new = _told_apart(connection, kept)
    connection.executemany(
        _SEND,
        [
            (number, name, source.name, source.ordered, one.received)
            for number, (one, source) in new
            for name in source.to
        ],
    )
    return found


def _told_apart(connection: sqlite3.Connection, kept: list[Kept]) -> tuple[list[str | None], list[tuple[int, Kept]]]:
    found: list[str | None] = []
    new: list[tuple[int, Kept]] = []
    for one, source in kept:
        number, known = connection.execute(
            "SELECT seq, id FROM event WHERE source = ? AND dedupe = ?", (one.source, one.dedupe)
        ).fetchone()
        if known == one.id:
            new.append((number, (one, source)))
        found.append(None if known == one.id else known)
    return found, new


def due(destination: str, now: float, most: int) -> tuple[str, Sequence[object]]:
    """Return the question for the deliveries of a destination whose time has come, the oldest first.

    Of an ordered source only the first one that is open counts.
    """
    return (
        "SELECT d.seq, d.destination, d.state, d.attempts, d.run, d.event AS event_seq, e.id, e.source, e.dedupe,"
        " e.received, e.sent, e.hops, e.kind, e.content_type, e.body FROM delivery d JOIN event e ON e.seq = d.event"
        " WHERE d.destination = ? AND d.state = 'pending' AND (d.due <= ? OR d.due > ?)"
        " AND (d.ordered = 0 OR NOT EXISTS"
        " (SELECT 1 FROM delivery b WHERE b.destination = d.destination AND b.source = d.source AND b.seq < d.seq"
        " AND b.state IN ('pending', 'started'))) ORDER BY d.seq LIMIT ?",
        (destination, now, now + FAR, most),
    )


def delivery_of(row: sqlite3.Row) -> Delivery:
    """Return what ``due`` found."""
    event = InboxEvent(
        id=row["id"], source=row["source"], dedupe=row["dedupe"], received=row["received"], sent=row["sent"],
        hops=row["hops"], kind=row["kind"], content_type=row["content_type"], body=bytes(row["body"]),
    )  # fmt: skip
    return Delivery(
        seq=row["seq"], event_seq=row["event_seq"], event=event, destination=row["destination"], state=row["state"],
        attempts=row["attempts"], run=row["run"],
    )  # fmt: skip


def start(seq: int, run: str | None = None) -> Callable[[sqlite3.Connection], bool]:
    """Return the write that says that a delivery begins now; it answers whether it still was to be made."""

    def work(connection: sqlite3.Connection) -> bool:
        cursor = connection.execute(
            "UPDATE delivery SET state = 'started', attempts = attempts + 1, run = ?"
            " WHERE seq = ? AND state = 'pending'",
            (run, seq),
        )
        return cursor.rowcount == 1

    return work


def end(seq: int, state: str, said: str, now: float) -> Callable[[sqlite3.Connection], None]:
    """Return the write that says how a delivery ended: done or dead."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE delivery SET state = ?, said = ?, ended = ? WHERE seq = ?", (state, said[:500], now, seq)
        )

    return work


def again(seq: int, said: str, due_at: float, attempts: int) -> Callable[[sqlite3.Connection], None]:
    """Return the write that lets a delivery wait for its next attempt."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE delivery SET state = 'pending', said = ?, due = ?, attempts = ? WHERE seq = ?",
            (said[:500], due_at, attempts, seq),
        )

    return work


def replay(event_ids: Sequence[str], now: float) -> Callable[[sqlite3.Connection], int]:
    """Return the write that lets events go to their destinations once more; it answers how many deliveries that are."""

    def work(connection: sqlite3.Connection) -> int:
        query = (
            "UPDATE delivery SET state = 'pending', attempts = 0, due = ?, ended = NULL, run = NULL, said = NULL"
            " WHERE state IN ('done', 'dead') AND event = (SELECT seq FROM event WHERE id = ?)"
        )
        return sum(connection.execute(query, (now, one)).rowcount for one in event_ids)

    return work


def forget(before: float) -> Callable[[sqlite3.Connection], int]:
    """Return the write that removes old events whose deliveries are done. What is dead or open stays for a person."""

    def work(connection: sqlite3.Connection) -> int:
        old = (
            "SELECT seq FROM event WHERE received < ? AND NOT EXISTS"
            " (SELECT 1 FROM delivery WHERE event = event.seq AND state != 'done') LIMIT 1000"
        )
        seqs = [row[0] for row in connection.execute(old, (before,)).fetchall()]
        connection.executemany("DELETE FROM delivery WHERE event = ?", [(seq,) for seq in seqs])
        connection.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq in seqs])
        return len(seqs)

    return work
