"""``database``: PostgreSQL behind the instance, asked with its client (an optional extra)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from difyops.counting import counted
from difyops.errors import Unreachable
from difyops.postgres import client, said
from difyops.runbook.parameters import Duration, Reference
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Pass, Result, Value, Warn
from difyops.runbook.threads import apart

_SEEN = "runbook.seen.database"
_GB = 1024**3
_QUESTIONS = {
    "connections": "SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL",
    "limit": "SELECT setting::int FROM pg_settings WHERE name = 'max_connections'",
    "idle_in_transaction": "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    " AND state_change < now() - interval '1 minute'",
    "waiting": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    "size": "SELECT pg_database_size(current_database())",
}
_TABLES = (
    "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
    "'public'::regnamespace ORDER BY 2 DESC LIMIT 5"
)
_HAS_RUNS = "SELECT to_regclass('public.workflow_runs') IS NOT NULL"
_OLDEST = "SELECT min(created_at), count(*) FROM workflow_runs WHERE status = 'running'"


async def check(
    resources: Resources,
    *,
    dsn: Reference,
    max_connections_percent: float = 85.0,
    max_growth_gb_per_day: float | None = None,
    max_running: Duration | None = None,
    max_idle_in_transaction: int = 5,
) -> Result:
    """Hold connections (of max_connections), growth and the oldest running run to limits; name the largest tables.

    ``dsn`` is a reference to ``postgresql://user:password@host:5432/dify``; a role that may only read is enough. The
    session is read-only and closed after 5 s. Growth is measured against the last time this ran, at least an hour ago
    (kept in the ledger); the first run only remembers the size. Runs older than ``max_running`` warn: they are dead.
    """
    seen = await _asked((await resources.secret(dsn)).reveal())
    percent = round(100.0 * seen.numbers["connections"] / max(1, seen.numbers["limit"]), 1)
    growth = _growth(resources, seen.numbers["size"])
    age = seen.oldest_running(resources.clock.now())
    values = (
        Value(name="connections", value=percent, unit="%", fail=max_connections_percent),
        Value(name="size", value=round(seen.numbers["size"] / _GB, 3), unit="GB"),
        Value(name="growth", value=growth, unit="GB/day", fail=max_growth_gb_per_day),
        Value(name="idle_in_transaction", value=seen.numbers["idle_in_transaction"], fail=max_idle_in_transaction),
        Value(name="waiting_for_locks", value=seen.numbers["waiting"]),
        Value(name="oldest_running", value=None if age is None else round(age), unit="s", warn=max_running),
    )
    tables = ", ".join(f"{name} {size / _GB:.2f} GB" for name, size in seen.tables)
    text = f"{seen.numbers['connections']} of {counted(seen.numbers['limit'], 'connection')} ({percent:g} %)"
    if percent > max_connections_percent:
        hint = "(api workers + celery processes) x (pool + overflow) must stay below max_connections."
        return Fail(text=text, values=values, excerpt=tables, hint=hint)
    if seen.numbers["idle_in_transaction"] > max_idle_in_transaction:
        text = (
            f"{counted(seen.numbers['idle_in_transaction'], 'transaction was', 'transactions were')} left"
            " open for over a minute"
        )
        return Fail(text=text, values=values, excerpt=tables)
    if growth is not None and max_growth_gb_per_day is not None and growth > max_growth_gb_per_day:
        text = f"the database grows by {growth:g} GB a day"
        return Fail(text=text, values=values, excerpt=tables, hint="Turn log cleanup on, or clean workflow runs.")
    if age is not None and max_running is not None and age > max_running:
        return Warn(text=f"a run has been running for {age / 60:.0f} min; {text}", values=values, excerpt=tables)
    return Pass(text=text, values=values, excerpt=tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What PostgreSQL answered."""

    numbers: Mapping[str, int]
    tables: tuple[tuple[str, int], ...]
    oldest: datetime | None

    def oldest_running(self, now: datetime) -> float | None:
        """Return the age of the oldest run that says running, in seconds; the platform stores UTC without a zone."""
        return None if self.oldest is None else (now - self.oldest.replace(tzinfo=UTC)).total_seconds()


async def _asked(dsn: str) -> _Seen:
    """Ask in a thread: the same code on every platform's event loop."""
    psycopg = client()
    try:
        return await apart(lambda: _ask(psycopg, dsn))
    except (psycopg.Error, ValueError) as error:
        raise Unreachable(
            f"PostgreSQL cannot be asked: {said(error)}.", hint="Is it up, and the reference right?"
        ) from None


def _ask(psycopg: Any, dsn: str) -> _Seen:
    options = "-c default_transaction_read_only=on -c statement_timeout=5000"
    with psycopg.connect(dsn, connect_timeout=5, autocommit=True, options=options) as connection:
        numbers = {name: int(connection.execute(query).fetchone()[0]) for name, query in _QUESTIONS.items()}
        tables = tuple((str(name), int(size)) for name, size in connection.execute(_TABLES).fetchall())
        oldest = None
        if connection.execute(_HAS_RUNS).fetchone()[0]:
            oldest = connection.execute(_OLDEST).fetchone()[0]
    return _Seen(numbers=numbers, tables=tables, oldest=oldest)


def _growth(resources: Resources, size: int) -> float | None:
    """Return GB a day since the newest measurement that is at least an hour old, and keep one an hour."""
    now = resources.clock.now()
    kept = resources.remembered(_SEEN, "size")
    before = [event for event in kept if (now - event.when).total_seconds() >= 3600]
    if len(before) == len(kept):  # more often, a check every minute would push all that are an hour old out of sight
        resources.remember(_SEEN, "size", {"bytes": size})
    if not before:
        return None
    last = before[-1]
    days = (now - last.when).total_seconds() / 86400
    former = last.data.get("bytes")
    return round((size - former) / _GB / days, 4) if isinstance(former, int) else None
