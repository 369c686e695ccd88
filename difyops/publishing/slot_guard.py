"""Waiting while a schedule is due, and looking afterwards for a run that a publication may have skipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from difyops.api.instance import Instance
from difyops.api.runs import runs_in
from difyops.api.server_time import server_time
from difyops.clock import Clock, iso
from difyops.publishing.keeper import Keeper
from difyops.publishing.slots import AFTER, BEFORE, Schedule, schedules

_LOOK_AGAIN = 5.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotGuard:
    """The schedules of one app while a change publishes it. Times are the server's."""

    instance: Instance
    app_id: str
    keeper: Keeper
    clock: Clock
    waits: bool = True

    async def wait(self, live: Mapping[str, Any] | None) -> None:
        """Wait until no slot of ``live`` (the document that is live) is due, say so, and write the slot down."""
        for schedule in await self._enabled(live):
            now = await self._now()
            if not schedule.is_readable:
                self.keeper.say(f"The slots of {schedule.title!r} cannot be told; publishing now may skip a run.")
            elif schedule.is_dense_at(now):
                self.keeper.say(f"{schedule.title!r} runs more often than every 5 minutes; publishing may skip a run.")
            elif (slot := schedule.slot_at(now)) is not None and self.waits:
                left = (slot + AFTER - now).total_seconds() + 1
                self.keeper.say(f"{schedule.title!r} is due at {iso(slot)}: waiting {left:.0f} s, so that it runs.")
                self._remember([(schedule, slot)])
                await self.clock.sleep(left)

    async def note(self, live: Mapping[str, Any] | None) -> None:
        """Write down the slots that a publication at this moment may skip."""
        found = await self._enabled(live)
        if not found:
            return
        now = await self._now()
        told = [item for item in found if item.is_readable and not item.is_dense_at(now)]
        self._remember([(item, slot) for item in told if (slot := item.slot_at(now)) is not None])

    def _remember(self, due: list[tuple[Schedule, datetime]]) -> None:
        """Write slots down, each once, unless what was live when the change began was published after them."""
        slots: list[dict[str, Any]] = list(self.keeper.memo("slots") or [])
        since = _publication_time(self.keeper.memo("live_before_at"))
        for schedule, slot in due:
            row = {"title": schedule.title, "slot": iso(slot)}
            if row not in slots and (since is None or since < slot):
                slots.append(row)
        self.keeper.note(slots=slots)

    async def missed(self) -> list[str]:
        """Return a sentence for each noted slot whose run is not in the log 90 s after it."""
        missed = []
        for item in self.keeper.memo("slots") or []:
            slot = datetime.fromisoformat(item["slot"])
            while not await self._ran(slot):
                if await self._now() > slot + AFTER:
                    missed.append(f"the run of {item['title']!r} at {item['slot']} did not come")
                    break
                await self.clock.sleep(_LOOK_AGAIN)
        return missed

    async def _enabled(self, live: Mapping[str, Any] | None) -> list[Schedule]:
        found = schedules(live or {})
        if not found:
            return []
        triggers = await self.instance.console.triggers(self.app_id)
        enabled = {item.node_id for item in triggers if item.status == "enabled"}
        return [item for item in found if item.node_id in enabled]

    async def _ran(self, slot: datetime) -> bool:
        app = await self.instance.console.app(self.app_id)
        window = await runs_in(self.instance, app, slot - BEFORE, slot + 2 * AFTER)
        return any(run.source == "schedule" for run in window.runs)

    async def _now(self) -> datetime:
        return datetime.fromtimestamp((await server_time(self.instance, self.clock)).now, UTC)


def _publication_time(version: str | None) -> datetime | None:
    """Read the name of a published version, which is its time in UTC; ``None`` for any other text."""
    try:
        read = datetime.fromisoformat(version or "")
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
