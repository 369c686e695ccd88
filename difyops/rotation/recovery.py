"""Rotations among the changes that were cut off: told, brought on, turned back, as every other kind is.

A rotation that waits (for the end of its grace period, for a person who must look at a check) is not cut off. One whose
next step is due and that nobody works on is; so is one that is parked.
"""

from __future__ import annotations

from dataclasses import dataclass

from difyops.api.instance import Instance
from difyops.asking import Judge, no_judge
from difyops.changes import Change, Ended, Journal
from difyops.errors import LockHeld
from difyops.rotation.engine import Driver, again, check_can_go_back, turn_back
from difyops.rotation.facts import gather
from difyops.rotation.job import OWN_VARIABLES, Workbench
from difyops.rotation.journal import RotationJournal
from difyops.rotation.machine import RotationAction, RotationStep, State, may_turn_back, next_step
from difyops.rotation.record import Rotation

_WAITS = (RotationAction.WAIT, RotationAction.HOLD)
_ENDS = {State.DONE: "finished", State.ROLLED_BACK: "undone"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotations:
    """The recovery of rotations. ``judge`` and ``withheld`` as a ``Workbench`` has them."""

    judge: Judge = no_judge
    withheld: frozenset[str] = OWN_VARIABLES

    def is_cut_off(self, change: Change, *, to_end: bool) -> bool:
        """Say whether a step is due, or a person must look (``to_end``: not those), and nobody works on it now."""
        rotation = _rotation(change)
        if to_end and rotation.state is State.PARKED:
            return False
        return is_cut_off(change.journal, rotation)

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return how far it is, and what comes next."""
        rotation = _rotation(change)
        told = _told(rotation, next_step(rotation.state, gather(rotation, change.journal.clock.now())))
        if rotation.is_open and not _may_go_back(rotation):
            told += "; the old secret is retired, and cannot be brought back"
        return told

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Do what is due, without waiting for a grace period: ``difyops secret resume`` does that."""
        bench = self._bench(instance, change)
        return await _driven(bench, await again(bench, _rotation(change), force=False), wait=False)

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Bring the old secret back, and wait until it is.

        Raises:
            Refused: the old secret is retired.
        """
        bench, rotation = self._bench(instance, change), _rotation(change)
        check_can_go_back(rotation)
        return await _driven(bench, await turn_back(bench, rotation), wait=True)

    def _bench(self, instance: Instance, change: Change) -> Workbench:
        return Workbench(
            instance=instance,
            journal=RotationJournal(change.journal),
            checkpoint=change.checkpoint,
            judge=self.judge,
            withheld=self.withheld,
        )


def is_cut_off(journal: Journal, rotation: Rotation) -> bool:
    """Say whether the next step of an open rotation is due and nobody works on it."""
    step = next_step(rotation.state, gather(rotation, journal.clock.now()))
    return step.action not in _WAITS and not _is_busy(journal, rotation)


def _rotation(change: Change) -> Rotation:
    return RotationJournal(change.journal).read(change.id, change.record.subject)


def _told(rotation: Rotation, step: RotationStep) -> str:
    if not rotation.is_open:
        return f"ended: {rotation.state}"
    if rotation.state is State.PARKED:
        return f"parked, a person must look: {rotation.trouble or 'see difyops secret history ' + rotation.id}"
    why = f" ({step.why})" if step.why else ""
    if step.action in _WAITS:
        wait = f" for {round(step.wait)} s more" if step.wait else ""
        return f"nothing is due: it waits{wait}{why}"
    return f"next: {step.action}{why}"


def _may_go_back(rotation: Rotation) -> bool:
    return rotation.state is State.ROLLING_BACK or may_turn_back(rotation.state, rotation.parked_from)


async def _driven(bench: Workbench, rotation: Rotation, *, wait: bool) -> Ended:
    driven = await Driver(bench, wait=wait).drive(rotation)
    now = driven.rotation
    return Ended(
        state=_ENDS.get(now.state, ""),
        text=_told(now, driven.step),
        warnings=(now.went_back,) if now.went_back else (),
    )


def _is_busy(journal: Journal, rotation: Rotation) -> bool:
    """Say whether another process works on it at this moment."""
    try:
        with RotationJournal(journal).lock(rotation):
            return False
    except LockHeld:
        return True
