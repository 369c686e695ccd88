"""Scratch apps: made under names that only one drill has, noted before and after, and taken away, and only they.

Every scratch app's name is noted in the journal of the drill's change before the app is made; its id after. What a
drill that was killed left is found by that, and by the journals of the restores that made them. An app that bears such
a name with another id is a copy that somebody made, and one that was renamed was adopted: both are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.changes import Change
from difyops.changes.journal import ChangeRecord
from difyops.changes.recovery import Kinds, Recovery
from difyops.errors import NotFound

_PREFIX = "scratch:"
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was removed, and what was left alone or could not be removed."""

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(slots=True)
class Scratches:
    """The scratch apps of one change. ``word`` begins their names: what they are for.

    ``makers``: the kinds of changes of their own by which apps of these names are made (restores).
    """

    instance: Instance
    change: Change
    word: str = "drill"
    makers: Kinds = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """Return how the names of these apps begin."""
        return f"{self.word} {self.change.id} "

    def announce(self, number: int, name: str, *, direct: bool = False) -> str:
        """Note that an app is about to be made; return its name. ``direct``: by this change itself, in one call."""
        scratch = f"{self.mark}{number:04} {name[:_LONGEST]}".rstrip()
        self.change.note(**{f"{_PREFIX}{number}": {"name": scratch, "direct": direct}})
        self.change.checkpoint(f"announced {number}")
        return scratch

    def made(self, number: int, name: str, app_id: str) -> None:
        """Note the id of an app that was made."""
        self.change.note(**{f"{_PREFIX}{number}": {"name": name, "id": app_id}})
        self.change.checkpoint(f"noted {number}")

    async def remove(self, number: int) -> str | None:
        """Remove one app; return a sentence when it was left alone."""
        noted = self.change.memo(f"{_PREFIX}{number}") or {}
        if noted.get("removed") or not noted.get("id"):
            return None
        said = await self._remove(str(noted["id"]))
        if said is None:
            self.change.note(**{f"{_PREFIX}{number}": {**noted, "removed": True}})
        return said

    async def sweep(self) -> Swept:
        """Remove everything that this change made and that is still there.

        Raises:
            DifyopsError: a call failed; sweeping again goes on.
        """
        waiting = {
            number: noted
            for key, noted in self.change.record.memo.items()
            if key.startswith(_PREFIX) and not noted.get("removed")
            for number in (int(key.removeprefix(_PREFIX)),)
        }
        if not waiting:
            return Swept()
        removed: list[str] = []
        left: list[str] = []
        known = {str(item["id"]) for item in waiting.values() if item.get("id")}
        for record in self._restores({str(item["name"]) for item in waiting.values()}):
            if record.is_open:
                recovery = Recovery(journal=self.change.journal, kinds=self.makers)
                ended = await recovery.undo(self.instance, record)
                if ended.state != "overtaken":  # made whole meanwhile, under a name that only this change has
                    removed.append(f"{record.label}: {ended.text}")
                    continue
                record = self.change.journal.read(record.id, record.subject)
            if record.memo.get("app_id"):
                known.add(str(record.memo["app_id"]))
        known |= await self._cut_off([item for item in waiting.values() if item.get("direct") and not item.get("id")])
        for app_id in sorted(known):
            said = await self._remove(app_id)
            (removed if said is None else left).append(said or app_id)
        copies = [
            f"{app.name!r} ({app.id}) was not made by this {self.word}; it is left alone"
            async for app in self.instance.console.apps(name=self.mark.strip())
            if app.name.startswith(self.mark) and app.id not in known
        ]
        for number, noted in waiting.items():
            self.change.note(**{f"{_PREFIX}{number}": {**noted, "removed": True}})
        return Swept(removed=tuple(removed), left=(*left, *copies))

    async def _remove(self, app_id: str) -> str | None:
        console = self.instance.console
        try:
            app = await console.app(app_id)
        except NotFound:
            return None
        if not app.name.startswith(self.mark):
            return f"app {app_id} was renamed to {app.name!r} by somebody; it is left alone"
        try:
            await self.change.effect("remove scratch", lambda: console.delete_app(app_id), app=app_id)
        except NotFound:
            return None
        return None

    def _restores(self, names: set[str]) -> list[ChangeRecord]:
        """Return the changes that made, or were making, apps of these names."""
        if not self.makers:
            return []
        found = self.change.journal.all(since=self.change.record.began, limit=100_000)
        return [record for record in found if record.kind in self.makers and record.label in names]

    async def _cut_off(self, announced: list[Any]) -> set[str]:
        """Return the ids of apps whose making was cut off before its answer: the only ones of their names."""
        found: set[str] = set()
        for item in announced:
            named = [app.id async for app in self.instance.console.apps(name=item["name"]) if app.name == item["name"]]
            found |= set(named) if len(named) == 1 else set()
        return found
