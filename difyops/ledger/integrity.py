"""Is the ledger whole? Its chain followed from the first line, its length against what was kept of it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from difyops.counting import counted
from difyops.ledger.anchor import Anchor
from difyops.ledger.backing import Database, Statements
from difyops.ledger.records import GENESIS, link

_ALL_AT_ONCE = 5000
_ANCHORED = (
    "SELECT (SELECT length FROM chain), (SELECT hash FROM chain), (SELECT coalesce(max(id), 0) FROM event),"
    " (SELECT coalesce(min(id), 1) FROM event), (SELECT hash FROM audit WHERE id = ?)"
)


def end_of_chain(statements: Statements) -> tuple[int, str] | None:
    """Return the length of the audit trail and its newest hash, ``None`` when the trail has lost its end."""
    row = statements.execute("SELECT length, hash FROM chain").fetchone()
    return (int(row[0]), str(row[1])) if row else None


def rows(statements: Statements, table: str, *, after: int = 0) -> Iterator[Any]:
    """Yield the rows of a table after a number, in their order, without holding them all."""
    last = after
    while found := statements.execute(
        f"SELECT * FROM {table} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  a constant
        [last, _ALL_AT_ONCE],
    ).fetchall():
        yield from found
        last = found[-1][0]


def breaks(statements: Statements) -> list[str]:
    """Follow the audit trail from its first line; return one sentence per break, none when it is whole."""
    problems: list[str] = []
    last, before = 0, GENESIS
    written, newest = end_of_chain(statements) or (0, GENESIS)
    for number, *row, prev_hash, own in rows(statements, "audit"):
        if number != last + 1:
            problems.append(f"Audit line {last + 1} is missing, the next one there is {number}.")
        elif prev_hash != before:
            problems.append(f"Audit line {number} does not follow line {last}.")
        if own != link(number, row, prev_hash):
            problems.append(f"Audit line {number} was changed after it was written.")
        last, before = number, own
    if (last, before) != (written, newest):
        problems.append(f"The audit trail ends with line {last}; {counted(written, 'line was', 'lines were')} written.")
    return problems


def length(statements: Statements) -> Anchor:
    """Return how long the ledger is."""
    count, own = end_of_chain(statements) or (0, "")
    events = statements.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
    return Anchor(length=count, hash=own if count else "", events=events)


def missing(database: Database, kept: Anchor, where: str) -> list[str]:
    """Return one sentence when the ledger does not hold what was anchored ``where``, none when it does."""

    def look(statements: Statements) -> tuple[Anchor, Any, int]:
        line = statements.execute("SELECT hash FROM audit WHERE id = ?", [kept.length]).fetchone()
        there = statements.execute("SELECT count(*) FROM event WHERE id <= ?", [kept.events]).fetchone()[0]
        return length(statements), line, there

    now, line, there = database.read(look)
    if kept.length and (line is None or line[0] != kept.hash):
        return [
            f"The audit trail has {counted(now.length, 'line')}; {where}, line {kept.length} was kept, "
            "and it is not there: the ledger was shortened or replaced."
        ]
    if there < kept.events:
        return [
            f"Of the first {counted(kept.events, 'event')}, kept {where}, the ledger holds {there}: it was shortened."
        ]
    return []


def grown_since(database: Database, kept: Anchor | None) -> Anchor | None:
    """Return how long the ledger is now, ``None`` where it is not the one that was ``kept``, and longer."""
    count, own, events, first, line = database.ask(_ANCHORED, [kept.length if kept else 0])[1][0]
    now = Anchor(length=count or 0, hash=own if count else "", events=events)
    if kept is None:
        return now
    is_same = first == 1 and (not kept.length or line == kept.hash)
    return now if is_same and now != kept and now.events >= kept.events else None
