"""The scratch apps of drills: how they are made, and the recovery of drills that were cut off."""

from __future__ import annotations

from difyops.api.instance import Instance
from difyops.changes import Change
from difyops.errors import DifyopsError
from difyops.scratch import Scratches, TakenAway
from difyops.snapshot.making import KIND as RESTORE
from difyops.snapshot.making import Restores


def scratches(instance: Instance, change: Change) -> Scratches:
    """Return the scratch apps of one drill: restores make them."""
    return Scratches(instance, change, makers={RESTORE: Restores()})


class Drills(TakenAway):
    """The recovery of drills that were cut off."""

    def of(self, instance: Instance, change: Change) -> Scratches:
        """Return the scratch apps of one drill."""
        return scratches(instance, change)


def unreachable(error: DifyopsError) -> str:
    """Return what is said of an app that could not be removed."""
    return f"{error.message} The next drill, or difyops changes undo, removes it."
