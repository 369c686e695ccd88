"""Rotations among the changes that were cut off: told, brought on, turned back, as every other kind is.

A rotation that waits (for the end of its grace period, for a person who must look at a check) is not cut off. One whose
next step is due and that nobody works on is; so is one that is parked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from difyops.changes.listing import ChangeRow
from difyops.clock import iso
from difyops.errors import DifyopsError, LockHeld
from difyops.ledger import Ledger
from difyops.rotation.engine import Driver, Moved, again, check_can_go_back, lock_path, nobody, turn_back
from difyops.rotation.facts import gather
from difyops.rotation.job import Workbench
from difyops.rotation.machine import RotationAction, RotationStep, State, next_step
from difyops.rotation.record import Rotation

KIND = "secret.rotate"
_WAITS = (RotationAction.WAIT, RotationAction.HOLD)
_ENDS = {State.DONE: "finished", State.ROLLED_BACK: "undone"}


def chosen(bench: Workbench, selector: str | None, *, to_end: bool = False) -> list[Rotation]:
    """Return the open rotations that ``selector`` means (the start of an id, a label, a subject); ``None``: cut off.

    ``to_end``: of those that nobody named the parked ones are left out, for a person must look at each.
    """
    found = bench.journal.open()
    if selector is not None:
        return [item for item in found if item.id.startswith(selector) or selector in (item.label, item.subject)]
    if to_end:
        found = [item for item in found if item.state is not State.PARKED]
    return cut_off(found, bench.journal.ledger, bench.state, bench.clock.now())


def cut_off(rotations: Iterable[Rotation], ledger: Ledger, state: Path, now: datetime) -> list[Rotation]:
    """Return those of the open rotations whose next step is due ``now`` and that nobody works on."""
    due = [item for item in rotations if next_step(item.state, gather(item, now)).action not in _WAITS]
    return [item for item in due if not _is_busy(item, ledger, state)]


def tell(bench: Workbench, rotation: Rotation) -> ChangeRow:
    """Return a rotation as a row of ``changes``: how far it is, and what comes next."""
    step = _next(bench, rotation)
    if not rotation.is_open:
        state = f"ended: {rotation.state}"
    elif rotation.state is State.PARKED:
        state = f"parked, a person must look: {rotation.trouble or 'see difyops secret history ' + rotation.id}"
    elif step.action in _WAITS:
        wait = f" for {round(step.wait)} s more" if step.wait else ""
        state = f"nothing is due: it waits{wait}" + (f" ({step.why})" if step.why else "")
    else:
        state = f"next: {step.action}" + (f" ({step.why})" if step.why else "")
    trail = bench.journal.audit(rotation)
    return ChangeRow(
        id=rotation.id,
        kind=KIND,
        subject=rotation.subject,
        label=rotation.label,
        context=rotation.context,
        began_at=iso(rotation.started),
        actor=trail[0].actor if trail else "",
        phase=str(rotation.state),
        state=state,
        ended=_ENDS.get(rotation.state),
        warnings=(rotation.went_back,) if rotation.went_back else (),
    )


async def finish(bench: Workbench, rotation: Rotation, moved: Moved = nobody) -> ChangeRow:
    """Do what is due, without waiting for a grace period: ``difyops secret resume`` does that."""
    return await _driven(bench, await again(bench, rotation, force=False), moved, wait=False)


async def undo(bench: Workbench, rotation: Rotation, moved: Moved = nobody) -> ChangeRow:
    """Bring the old secret back, and wait until it is.

    Raises:
        Refused: the old secret is retired.
    """
    return await _driven(bench, await turn_back(bench, rotation), moved, wait=True)


def would_undo(bench: Workbench, rotation: Rotation) -> ChangeRow:
    """Return a rotation as a row, with an error where its old secret cannot be brought back."""
    row = tell(bench, rotation)
    try:
        check_can_go_back(rotation)
    except DifyopsError as error:
        return replace(row, error=error.message)
    return row


async def _driven(bench: Workbench, rotation: Rotation, moved: Moved, *, wait: bool) -> ChangeRow:
    driven = await Driver(bench, wait=wait, moved=moved).drive(rotation)
    return tell(bench, driven.rotation)


def _next(bench: Workbench, rotation: Rotation) -> RotationStep:
    return next_step(rotation.state, gather(rotation, bench.clock.now()))


def _is_busy(rotation: Rotation, ledger: Ledger, state: Path) -> bool:
    """Say whether another process works on it at this moment."""
    path = lock_path(state, rotation.url, rotation.lock)
    try:
        with ledger.lock(path, holding=f"the secrets of {rotation.lock}"):
            return False
    except LockHeld:
        return True
