"""What is shown of the file: events, runs, calls back, counts. Addresses without their query; no secret."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difyops.clock import iso
from difyops.errors import NothingKept, UsageError
from difyops.ledger.database import connect, faults, immediate
from difyops.secret_text import scrub
from difyops.webhook import inbox, outbox
from difyops.webhook.database import FILE, LAYOUT, WebhookDatabase
from difyops.webhook.deliver import shown
from difyops.webhook.serving import Serving

_LONGEST_BODY = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event on its way to one destination, as it is shown."""

    id: str
    source: str
    kind: str
    received: str
    destination: str
    state: str
    attempts: int
    run: str | None
    said: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """One call back, as it is shown."""

    id: str
    type: str
    run: str
    url: str
    made: str
    state: str
    attempts: int
    next: str | None
    said: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """One event, run or message with all that is known of it."""

    id: str
    what: str
    facts: Mapping[str, Any]
    body: str = ""
    deliveries: Sequence[EventRow] = field(default_factory=tuple)
    messages: Sequence[MessageRow] = field(default_factory=tuple)


class KeptEvent:
    """The file, opened to look at it, or to send something again; a server may be at work on it meanwhile."""

    def __init__(self, state: Path) -> None:
        self.path = state / FILE
        if not self.path.exists():
            raise NothingKept("No webhook server ever ran here: there are no events.", hint="difyops webhook serve")

    def read(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return the rows of a question."""
        with closing(connect(self.path, LAYOUT)) as connection, faults(self.path):
            connection.row_factory = sqlite3.Row
            return connection.execute(query, values).fetchall()

    def replay(self, ids: Sequence[str]) -> int:
        """Let events and messages be sent again; return how many deliveries that are.

        Raises:
            NothingKept: there is none of such an id.
        """
        with closing(connect(self.path, LAYOUT)) as connection, faults(self.path), immediate(connection):
            return _replayed(connection, ids)


Reads = WebhookDatabase | KeptEvent


async def replay(database: WebhookDatabase, ids: Sequence[str]) -> int:
    """Let events and messages be sent again by the server itself."""
    return await database.write(lambda connection: _replayed(connection, ids))


def _replayed(connection: sqlite3.Connection, ids: Sequence[str]) -> int:
    now, count = time.time(), 0
    for one in ids:
        found = inbox.replay([one], now)(connection) + outbox.replay_messages([one], now)(connection)
        known = connection.execute(
            "SELECT 1 FROM event WHERE id = ?1 UNION SELECT 1 FROM message WHERE id = ?1 OR run = ?1", (one,)
        ).fetchone()
        if known is None:
            raise NothingKept(f"There is no event, run or message {one!r}.", hint="difyops webhook list")
        count += found
    return count


def events(reads: Reads, *, limit: int, state: str | None = None, source: str | None = None) -> list[EventRow]:
    """Return deliveries of events, the newest first."""
    rows = reads.read(
        "SELECT e.id, e.source, e.kind, e.received, d.destination, d.state, d.attempts, d.run, d.said FROM delivery d"
        " JOIN event e ON e.seq = d.event WHERE (?1 IS NULL OR d.state = ?1) AND (?2 IS NULL OR e.source = ?2)"
        " ORDER BY d.seq DESC LIMIT ?3",
        (state, source, limit),
    )
    return [_event_row(row) for row in rows]


def messages(reads: Reads, *, limit: int, state: str | None = None) -> list[MessageRow]:
    """Return calls back, the newest first."""
    rows = reads.read(
        "SELECT * FROM message WHERE (?1 IS NULL OR state = ?1) ORDER BY seq DESC LIMIT ?2", (state, limit)
    )
    return [_message_row(row) for row in rows]


def show(reads: Reads, wanted: str) -> ShownEvent:
    """Return one event, run or message.

    Raises:
        NothingKept: there is none of that id.
    """
    if wanted.startswith("evt_"):
        found = reads.read("SELECT * FROM event WHERE id = ?", (wanted,))
        if found:
            return _event_shown(reads, found[0])
    elif wanted.startswith("run_"):
        found = reads.read("SELECT * FROM run WHERE id = ?", (wanted,))
        if found:
            return _run_shown(reads, found[0])
    else:
        found = reads.read("SELECT * FROM message WHERE id = ?", (wanted,))
        if found:
            row = _message_row(found[0])
            facts: dict[str, Any] = {
                "type": row.type,
                "run": row.run,
                "url": row.url,
                "made": row.made,
                "state": row.state,
            }
            facts |= {"attempts": row.attempts, "next": row.next, "said": row.said}
            return ShownEvent(id=wanted, what="message", facts=facts, body=_body(found[0]["body"]))
    raise NothingKept(f"There is no event, run or message {wanted!r}.", hint="difyops webhook list")


def _event_shown(reads: Reads, row: sqlite3.Row) -> ShownEvent:
    rows = reads.read(
        "SELECT e.id, e.source, e.kind, e.received, d.destination, d.state, d.attempts, d.run, d.said FROM delivery d"
        " JOIN event e ON e.seq = d.event WHERE e.id = ? ORDER BY d.seq",
        (row["id"],),
    )
    facts = {
        "source": row["source"], "kind": row["kind"], "received": when(row["received"]), "sent": when(row["sent"]),
        "content type": row["content_type"], "bytes": len(row["body"]),
    }  # fmt: skip
    return ShownEvent(
        id=row["id"], what="event", facts=facts, body=_body(row["body"]), deliveries=[_event_row(one) for one in rows]
    )


def _run_shown(reads: Reads, row: sqlite3.Row) -> ShownEvent:
    told = reads.read("SELECT * FROM message WHERE run = ?", (row["id"],))
    facts = {
        "app": row["app"], "for": row["via"], "accepted": when(row["accepted"]), "state": row["state"],
        "status": row["status"], "run id": row["run_id"], "learned": row["learned"], "ended": when(row["ended"]),
        "said": scrub(row["said"] or "") or None, "user": row["user"],
        "call back": shown(row["callback"]) if row["callback"] else None,
    }  # fmt: skip
    return ShownEvent(id=row["id"], what="run", facts=facts, messages=[_message_row(one) for one in told])


def counts(reads: Reads) -> dict[str, dict[str, int]]:
    """Return how many there are of each state."""
    found: dict[str, dict[str, int]] = {}
    for name, table in (("deliveries", "delivery"), ("messages", "message"), ("runs", "run")):
        rows = reads.read(f"SELECT state, count(*) AS n FROM {table} GROUP BY state")  # noqa: S608  (our own words)
        found[name] = {row["state"]: row["n"] for row in rows}
    return found


def status_of(serving: Serving) -> dict[str, Any]:
    """Return what the server says about itself."""
    found: dict[str, Any] = {
        "ok": not serving.draining,
        "since": iso(datetime.fromtimestamp(serving.began, UTC)),
        "rules": serving.rules.digest,
        **counts(serving.database),
    }
    found["runs"] = {**found["runs"], "live": len(serving.runs.live), **serving.runs.counts}
    found["receivers_off"] = [
        {"url": shown(row["url"]), "since": when(row["disabled"]), "why": row["why"]}
        for row in serving.database.read("SELECT * FROM endpoint WHERE disabled IS NOT NULL")
    ]
    return found


def metrics_of(serving: Serving) -> str:
    """Return the metrics of Prometheus."""
    now, all_counts = time.time(), counts(serving.database)
    oldest = serving.database.read(
        "SELECT min(due) AS oldest FROM (SELECT due FROM delivery WHERE state = 'pending' UNION ALL"
        " SELECT due FROM message WHERE state = 'pending')"
    )[0]["oldest"]
    lines = ["# TYPE difyops_webhook_answers_total counter"]
    lines += [
        f'difyops_webhook_answers_total{{path="/{name}",status="{status}"}} {count}'
        for (name, status), count in sorted(serving.answers.items())
    ]
    for name, what in (("deliveries", "delivery"), ("messages", "message"), ("runs", "run")):
        lines.append(f"# TYPE difyops_webhook_{name} gauge")
        lines += [f'difyops_webhook_{name}{{state="{state}"}} {n}' for state, n in sorted(all_counts[name].items())]
        del what
    lines.append("# TYPE difyops_webhook_runs_ended_total counter")
    lines += [
        f'difyops_webhook_runs_ended_total{{status="{status}"}} {count}'
        for status, count in sorted(serving.runs.counts.items())
    ]
    lines += [
        "# TYPE difyops_webhook_runs_live gauge",
        f"difyops_webhook_runs_live {len(serving.runs.live)}",
        "# TYPE difyops_webhook_overdue_seconds gauge",
        f"difyops_webhook_overdue_seconds {max(0.0, now - oldest) if oldest else 0:.1f}",
        "# TYPE difyops_webhook_commits_total counter",
        f"difyops_webhook_commits_total {serving.database.groups}",
        "# TYPE difyops_webhook_writes_total counter",
        f"difyops_webhook_writes_total {serving.database.written}",
    ]
    return "\n".join(lines) + "\n"


def when(seconds: float | None) -> str | None:
    """Return a time as it is shown."""
    return None if seconds is None else iso(datetime.fromtimestamp(seconds, UTC))


def check_limit(limit: int) -> int:
    """Return a number of rows that may be asked for.

    Raises:
        UsageError: it is none.
    """
    if not 1 <= limit <= 10_000:
        raise UsageError("--limit is from 1 to 10000.")
    return limit


def _event_row(row: sqlite3.Row) -> EventRow:
    return EventRow(
        id=row["id"], source=row["source"], kind=row["kind"], received=when(row["received"]) or "",
        destination=row["destination"], state=row["state"], attempts=row["attempts"], run=row["run"],
        said=scrub(row["said"]) if row["said"] else None,
    )  # fmt: skip


def _message_row(row: sqlite3.Row) -> MessageRow:
    return MessageRow(
        id=row["id"], type=row["type"], run=row["run"], url=shown(row["url"]), made=when(row["made"]) or "",
        state=row["state"], attempts=row["attempts"], next=when(row["due"]) if row["state"] == "pending" else None,
        said=scrub(row["said"]) if row["said"] else None,
    )  # fmt: skip


def _body(content: bytes) -> str:
    text = bytes(content)[:_LONGEST_BODY].decode("utf-8", "replace")
    try:
        return scrub(json.dumps(json.loads(text), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return scrub(text)
