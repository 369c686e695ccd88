"""Moving the state: from the file of this machine to a PostgreSQL that several share, from there back, or on.

The old place is the truth until the new one is whole and the old one says where it went. In this order, whatever kills
it between two steps: (1) the lines are in the new place, which says that it is not whole yet and refuses writers; (2)
the old place says that it was moved, and refuses writers; (3) the new place takes writers. Run again, it goes on: after
(1) with what was written meanwhile, after (2) with (3).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from difyops.clock import iso
from difyops.errors import NothingKept, Refused
from difyops.ledger import Ledger, this_host
from difyops.ledger.anchor import Anchor
from difyops.ledger.backing import CLOSED, Database, Statements
from difyops.ledger.integrity import length
from difyops.ledger.moving import Copied, copy_lines, refuse_other_lines
from difyops.shared_state import closed

MOVED, ARRIVING = "moved", "arriving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a move came to. ``copied``: the lines that were written now, not those of a move that was cut off before."""

    source: str
    target: str
    events: int
    audit: int
    copied: Copied
    warnings: tuple[str, ...] = ()


def no_checkpoint(name: str) -> None:
    """Do nothing between two steps; tests kill the process there."""


def plan(source: Database, target: Database) -> Moved:
    """Say what a move would write. Nothing is.

    Raises:
        Refused: the target holds other lines, or one of them was moved elsewhere.
    """
    _refuse_gone(source, target)
    here, there = source.read(length), target.read(length)
    source.read(lambda inside: target.read(lambda other: refuse_other_lines(inside, other, target.place)))
    copied = Copied(events=here.events - there.events, audit=here.length - there.length)
    return _told(source, target, here, copied)


def move(source: Database, target: Database, checkpoint: Callable[[str], None] = no_checkpoint) -> Moved:
    """Move the state; see the module.

    Raises:
        Refused: the target holds other lines, or one of them was moved elsewhere. StoreError, StateAway: one of them
            cannot be read or written; what was true before is true still.
    """
    _refuse_gone(source, target)
    copied = Copied(events=0, audit=0)
    if not _is_gone(source):
        Ledger(source).bring_in()
        copied = source.change(lambda inside: _moved(source, inside, target, checkpoint), closed_too=True)
        checkpoint("after the old place was closed")
    target.change(lambda inside: inside.execute("DELETE FROM fact WHERE name = ?", [CLOSED]), closed_too=True)
    checkpoint("after the new place was opened")
    Ledger(target).anchor_now()
    return _told(source, target, target.read(length), copied)


def _moved(source: Database, inside: Statements, target: Database, checkpoint: Callable[[str], None]) -> Copied:
    """Copy the lines and close the old place, while nobody else can write there."""
    identity, at = secrets.token_hex(8), iso(source.clock.now())
    checkpoint("before the lines are copied")

    def written(other: Statements) -> Copied:
        refuse_other_lines(inside, other, target.place)
        found = copy_lines(inside, other)
        _close(other, ARRIVING, source, identity, at)
        checkpoint("before the new place holds them")
        return found

    copied = target.change(written, closed_too=True)
    checkpoint("after the new place holds them")
    _close(inside, MOVED, target, identity, at)
    checkpoint("before the old place is closed")
    return copied


def _close(inside: Statements, because: str, other: Database, identity: str, at: str) -> None:
    fact = {"because": because, "place": other.place, "id": identity, "at": at, "host": this_host()}
    inside.execute("DELETE FROM fact WHERE name = ?", [CLOSED])
    inside.execute("INSERT INTO fact VALUES (?, ?)", [CLOSED, json.dumps(fact)])


def _is_gone(source: Database) -> bool:
    return (closed(source) or {}).get("because") == MOVED


def _refuse_gone(source: Database, target: Database) -> None:
    """Refuse a move that does not fit what the places say of themselves.

    Raises:
        Refused: the source was moved elsewhere, or is not whole; something else is on its way into the target.
        NothingKept: the source holds nothing.
    """
    if source.place == target.place:
        raise Refused(f"The state is in {source.place} already.", hint="difyops state show")
    if source.identity == target.identity:
        raise Refused(
            f"{source.place} and {target.place} are the same database: the state is there already.",
            hint=f"Write into difyops.yaml: state: {target.place}",
        )
    here, there = closed(source), closed(target)
    if here and here.get("because") == ARRIVING:
        raise Refused(f"{source.place} is not whole: its lines are on their way from {here.get('place')}.")
    if here and not (there and there.get("because") == ARRIVING and there.get("id") == here.get("id")):
        raise Refused(f"{source.place} was moved to {here.get('place')} at {here.get('at')}.")
    if there and there.get("because") == ARRIVING and there.get("place") != source.place:
        raise Refused(f"Something is on its way into {target.place} already, from {there.get('place')}.")
    if not here and source.read(length) == Anchor():
        raise NothingKept(
            f"{source.place} holds nothing to move.", hint=f"Write into difyops.yaml: state: {target.place}"
        )


def _told(source: Database, target: Database, now: Anchor, copied: Copied) -> Moved:
    return Moved(source=source.place, target=target.place, events=now.events, audit=now.length, copied=copied)
