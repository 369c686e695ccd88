"""The scratch apps of drills: how they are made, and the recovery of drills that were cut off."""

from __future__ import annotations

from difyops.api.instance import Instance
from difyops.changes import Change, Ended
from difyops.errors import DifyopsError
from difyops.scratch import Scratches
from difyops.snapshot.making import KIND as RESTORE
from difyops.snapshot.making import Restores


def scratches(instance: Instance, change: Change) -> Scratches:
    """Return the scratch apps of one drill: restores make them."""
    return Scratches(instance, change, makers={RESTORE: Restores()})


class Drills:
    """The recovery of drills that were cut off: there is nothing to finish, only something to take away."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on what is there."""
        mark = scratches(instance, change).mark
        there = [app.id async for app in instance.console.apps(name=mark.strip()) if app.name.startswith(mark)]
        return f"{len(there)} scratch apps are there" if there else "no scratch app is there"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Remove what the drill made."""
        swept = await scratches(instance, change).sweep()
        text = f"{len(swept.removed)} scratch apps removed"
        return Ended(state="finished", text=text, warnings=swept.left)

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Remove what the drill made."""
        ended = await self.finish(instance, change)
        return Ended(state="undone", text=ended.text, warnings=ended.warnings)


def unreachable(error: DifyopsError) -> str:
    """Return what is said of an app that could not be removed."""
    return f"{error.message} The next drill, or difyops changes undo, removes it."
