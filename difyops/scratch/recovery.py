"""The recovery of changes that only make scratch apps: there is nothing to finish, only something to take away."""

from __future__ import annotations

from difyops.api.instance import Instance
from difyops.changes import Change, Ended
from difyops.changes.journal import Journal
from difyops.scratch.apps import Scratches


class TakenAway:
    """The recovery of such a kind. ``word`` begins the names of its apps."""

    def __init__(self, word: str = "") -> None:
        self.word = word

    def of(self, instance: Instance, change: Change) -> Scratches:
        """Return the scratch apps of one change."""
        return Scratches(instance, change, word=self.word)

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on what is there."""
        mark = self.of(instance, change).mark
        there = [app.id async for app in instance.console.apps(name=mark.strip()) if app.name.startswith(mark)]
        return f"{len(there)} scratch apps are there" if there else "no scratch app is there"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Remove what the change made."""
        swept = await self.of(instance, change).sweep()
        text = f"{len(swept.removed)} scratch apps removed"
        return Ended(state="finished", text=text, warnings=swept.left)

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Remove what the change made."""
        ended = await self.finish(instance, change)
        return Ended(state="undone", text=ended.text, warnings=ended.warnings)

    async def sweep_earlier(self, instance: Instance, journal: Journal, kind: str, subject: str) -> tuple[str, ...]:
        """Remove what earlier changes of this kind and subject left, end them, and say so. The caller holds the lock.

        Raises:
            DifyopsError: a call failed; doing it again goes on.
        """
        said: list[str] = []
        for record in journal.open(everywhere=True):
            if record.kind == kind and record.subject == subject:
                change = Change(journal, record)
                found = await self.of(instance, change).sweep()
                change.close("finished", removed=len(found.removed))
                begun = f"{record.label} ({record.id}) was cut off"
                said += [f"{begun}: {text} removed" for text in found.removed]
                said += [f"{begun}: {text}" for text in found.left]
                if not found.removed and not found.left:
                    said.append(f"{begun}; nothing of it was there")
        return tuple(said)
