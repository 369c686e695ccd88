"""What a command says when it is cut off: which changes of this run came to their end, and which did not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from difyops.errors import DifyopsError, Interrupted, StateAway

if TYPE_CHECKING:
    from difyops.changes.journal import ChangeRecord, Journal
    from difyops.cli.session import Session
    from difyops.ledger import Ledger

_MOST_NAMED = 8


def with_state(session: Session, error: DifyopsError, since: datetime) -> DifyopsError:
    """Return the error of a run that began at ``since`` with what it left behind on the instance.

    A run that opened no ledger changed nothing: every change is written down before it is made. An ``Interrupted`` that
    tells what happened by itself stays as it is.
    """
    if session.opened_ledger is None:
        return _nothing_done(error)
    try:
        return _told(session, session.opened_ledger, error, since)
    except StateAway:  # a shared one, which is not there now
        return type(error)(error.message, hint=error.hint or "difyops changes list, when the state is back.")


def _told(session: Session, ledger: Ledger, error: DifyopsError, since: datetime) -> DifyopsError:
    from difyops.changes.journal import Journal
    from difyops.ledger import this_user

    clock = ledger.clock
    journal = Journal(ledger=ledger, state=session.config.state, context="", clock=clock, actor=this_user())
    mine = _of_this_run(journal, clock.now() - (datetime.now(UTC) - since))  # by the clock of the ledger
    cut_off = [record for record in mine if record.is_open]
    done = [record for record in mine if not record.is_open and record.state == "done"]
    for record in cut_off:
        journal.audit(record, record.kind, "cut off", {"phase": record.phase})
    if not mine:
        return _nothing_done(error)
    said = [error.message]
    if done:
        said.append(f"Done before that: {_named(done)}.")
    if cut_off:
        told = "; ".join(_cut(record) for record in cut_off)
        said.append(f"{told[:1].upper()}{told[1:]}.")
    hint = f"difyops changes show {cut_off[0].id} tells the state; difyops changes finish or undo ends it."
    return type(error)(" ".join(said), hint=hint if cut_off else error.hint)


def _of_this_run(journal: Journal, since: datetime) -> list[ChangeRecord]:
    """Return the changes that this run began or went on with, oldest first."""
    events = journal.ledger.events("change.*", since=since, limit=100_000)
    found = {str(event.data.get("change")): event.subject for event in events}
    return [journal.read(identity, subject) for identity, subject in found.items()]


def _nothing_done(error: DifyopsError) -> DifyopsError:
    if isinstance(error, Interrupted) and error.message == "Interrupted.":
        return Interrupted("Interrupted; no change of an instance had begun.", hint=error.hint)
    return error


def _named(records: Sequence[ChangeRecord]) -> str:
    shown = [f"{record.kind} of {record.label!r}" for record in records[:_MOST_NAMED]]
    more = len(records) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _cut(record: ChangeRecord) -> str:
    app = f" (app {record.memo['app_id']})" if record.memo.get("app_id") else ""
    return f"the change {record.kind} of {record.label!r}{app} was cut off ({record.phase})"
