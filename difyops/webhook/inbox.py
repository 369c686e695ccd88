"""Events that came in, and where each is to go: the rows, and the questions about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from difyops.webhook.rules import Source

PENDING = "pending"
STARTED = "started"  # handed to its destination; what came of it is not known yet
DONE = "done"
DEAD = "dead"
OPEN = (PENDING, STARTED)
FAR = 2 * 86400.0  # no try is set so far ahead: a clock went back, and what was due before is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
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
    event: Event
    destination: str
    state: str
    attempts: int
    run: str | None = None


def keep(event: Event, source: Source) -> Callable[[sqlite3.Connection], str | None]:
    """Return the write that keeps an event and its deliveries; it answers the id of the earlier one of a doublet."""

    def work(connection: sqlite3.Connection) -> str | None:
        cursor = connection.execute(
            "INSERT OR IGNORE INTO event (id, source, dedupe, received, sent, hops, kind, content_type, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.id, event.source, event.dedupe, event.received, event.sent, event.hops, event.kind,
                event.content_type, event.body,
            ),
        )  # fmt: skip
        if cursor.rowcount == 0:
            earlier = connection.execute(
                "SELECT id FROM event WHERE source = ? AND dedupe = ?", (event.source, event.dedupe)
            ).fetchone()
            return str(earlier[0]) if earlier else event.id
        connection.executemany(
            "INSERT INTO delivery (event, destination, source, ordered, state, due) VALUES (?, ?, ?, ?, 'pending', ?)",
            [(cursor.lastrowid, name, source.name, source.ordered, event.received) for name in source.to],
        )
        return None

    return work


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
    event = Event(
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
