"""The ledger's two kinds of line as rows: what is written of an event and of an audit entry, and how it gets there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from difyops.errors import StoreError
from difyops.ledger.backing import Statements
from difyops.ledger.integrity import end_of_chain
from difyops.ledger.records import AuditEntry, Event, as_json, column, link, stamp
from difyops.ledger.spool import Line

EVENT = ("when", "kind", "subject", "context", "data")
AUDIT = ("when", "actor", "context", "action", "subject", "outcome", "data")
_COLUMNS = {"event": EVENT, "audit": AUDIT}
_REPAIR = "Somebody edited the file by hand: move it away with its -wal and -shm; the next run starts a new one."
_ADD_EVENT = 'INSERT INTO event ("when", kind, subject, context, data) VALUES (?, ?, ?, ?, ?) RETURNING id'


def line_of(item: Event | AuditEntry) -> Line:
    """Return an event or an audit entry as its line, without secrets."""
    if isinstance(item, Event):
        return "event", [stamp(item.when), *map(column, (item.kind, item.subject, item.context)), as_json(item.data)]
    said = map(column, (item.actor, item.context, item.action, item.subject, item.outcome))
    return "audit", [stamp(item.when), *said, as_json(item.data)]


def put(inside: Statements, line: Line, place: str, *, unless_there: bool) -> int:
    """Write a line and return its number; one that is there already is not written again where ``unless_there``.

    Raises:
        StoreError: the audit trail has lost its end.
    """
    table, row = line
    if unless_there and (number := _number_of(inside, table, row)) is not None:
        return number
    if table == "event":
        return int(inside.execute(_ADD_EVENT, row).fetchone()[0])
    end = end_of_chain(inside)
    if end is None:
        raise StoreError(f"The audit trail in {place} has lost its end; nothing is added to it.", hint=_REPAIR)
    number, before = end[0] + 1, end[1]
    own = link(number, row, before)
    inside.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [number, *row, before, own])
    inside.execute("UPDATE chain SET length = ?, hash = ?", [number, own])
    return number


def _number_of(inside: Statements, table: str, row: Sequence[Any]) -> int | None:
    tests = " AND ".join(f'"{column}" = ?' for column in _COLUMNS[table])
    found = inside.execute(f"SELECT max(id) FROM {table} WHERE {tests}", row).fetchone()[0]  # noqa: S608  constants
    return None if found is None else int(found)
