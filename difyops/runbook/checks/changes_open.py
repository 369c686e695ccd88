"""``changes.open``: changes that were cut off, and wait for somebody to finish them or take them back."""

from __future__ import annotations

from difyops.changes import Journal
from difyops.rotation.journal import RotationJournal
from difyops.rotation.record import KIND
from difyops.rotation.recovery import is_cut_off
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value
from difyops.runbook.threads import apart
from difyops.snapshot.first_journal import left_behind


async def check(resources: Resources, *, max_open: int = 0) -> Result:
    """Look into this machine's journal for changes of this context that were cut off, rotations too; more than
    ``max_open`` fail. One that waits (a release that is held, a rotation in its grace period) is no such change. A
    journal that cannot be read is inconclusive.
    """
    return await apart(lambda: _looked(resources, max_open))


def _looked(resources: Resources, max_open: int) -> Result:
    whole, damaged = left_behind(resources.config.state, resources.context) if resources.context else ([], {})
    names, waiting = [path.stem for path in whole], list[str]()
    if resources.ledger is not None:
        journal = Journal(
            ledger=resources.ledger,
            state=resources.config.state,
            context=resources.context_name,
            clock=resources.clock,
            actor=resources.actor,
        )
        found = journal.open()
        names += [record.label for record in found if record.kind != KIND and not record.waits]
        names += [item.label for item in RotationJournal(journal).open() if is_cut_off(journal, item)]
        waiting += [record.label for record in found if record.waits]
    value = Value(name="open", value=len(names), unit="changes", fail=max_open)
    if len(names) > max_open:
        return Fail(text=f"cut off: {', '.join(names)}", values=(value,), hint="difyops changes list")
    if damaged:
        error = next(iter(damaged.values()))
        return Inconclusive(text=error.message, values=(value,), hint=error.hint)
    held = f"; {', '.join(waiting)} waits for a decision" if waiting else ""
    return Pass(text=f"none was cut off{held}", values=(value,))
