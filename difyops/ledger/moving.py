"""Lines from one ledger into another, numbers and hashes with them. What is there already must be their beginning."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from difyops.counting import counted
from difyops.errors import Refused
from difyops.ledger.backing import Statements
from difyops.ledger.integrity import end_of_chain, length, rows

_TOGETHER = 1000
_WIDTH = {"event": 6, "audit": 10}
NOTES = "note: "  # so begin the facts that are notes
NOTE = "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """How many events and audit lines were written."""

    events: int
    audit: int


def refuse_other_lines(source: Statements, target: Statements, place: str) -> None:
    """Refuse a target that holds lines which the source does not.

    Raises:
        Refused: its lines are not the beginning of the source's.
    """
    there, here = length(target), length(source)
    line = source.execute("SELECT hash FROM audit WHERE id = ?", [there.length]).fetchone()
    is_beginning = there.events <= here.events and (not there.length or (line is not None and line[0] == there.hash))
    query = 'SELECT "when", kind, subject, context, data FROM event WHERE id = ?'
    both = [side.execute(query, [there.events]).fetchone() for side in (source, target)]
    if not is_beginning or (both[0] is None) is not (both[1] is None) or list(both[0] or ()) != list(both[1] or ()):
        raise Refused(
            f"{place} holds {counted(there.events, 'event')} and {counted(there.length, 'audit line')} that are not "
            "from here; it is left alone.",
            hint="Two ledgers cannot become one: name an empty database, or move that file away.",
        )


def copy_lines(source: Statements, target: Statements) -> Copied:
    """Write what the target lacks, and what is noted; the caller looked that it holds nothing else."""
    there = length(target)
    events = _copied(source, target, "event", there.events)
    audit = _copied(source, target, "audit", there.length)
    end = end_of_chain(source)
    if end is not None:
        target.execute("UPDATE chain SET length = ?, hash = ?", [*end])
    target.follow_events()
    query = "SELECT name, value FROM fact WHERE substr(name, 1, ?) = ?"
    target.execute_many(NOTE, [tuple(row) for row in source.execute(query, [len(NOTES), NOTES]).fetchall()])
    return Copied(events=events, audit=audit)


def _copied(source: Statements, target: Statements, table: str, after: int) -> int:
    query = f"INSERT INTO {table} VALUES ({', '.join('?' * _WIDTH[table])})"  # noqa: S608  constants
    found, count = rows(source, table, after=after), 0
    while group := list(islice(found, _TOGETHER)):
        target.execute_many(query, group)
        count += len(group)
    return count
