"""Which schedules an app had when: its published versions tell, and what difyops switched is in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes import Journal
from difyops.publishing.slots import Schedule, schedules
from difyops.trigger.matching import Slot, slots_of

_KINDS = ("trigger.enabled", "trigger.disabled")
_DONE = ("done", "finished")
_MOST_CHANGES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """A published version, from when to when it was live (in UTC), and its schedules."""

    since: datetime
    until: datetime
    schedules: tuple[Schedule, ...]
    version: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """One time at which difyops switched a trigger, by the journal of changes."""

    at: datetime
    trigger: str
    on: bool
    was_on: bool
    actor: str


async def eras(instance: Instance, app: App, since: datetime, until: datetime) -> list[Era]:
    """Return the versions that were live from ``since`` to ``until``, oldest first.

    Before its first publication an app has no triggers, so nothing was expected then.
    """
    found: list[Era] = []
    end = until
    async for version in instance.console.versions(app.id):
        begin = datetime.fromtimestamp(version.created_at or 0.0, UTC)
        if begin < end:
            era = Era(
                since=begin,
                until=end,
                schedules=tuple(schedules(version.document)),
                version=version.id,
                by=version.created_by or "",
            )
            found.append(era)
            end = begin
        if begin <= since:
            break
    return found[::-1]


def expected(history: Sequence[Era], since: datetime, until: datetime) -> tuple[list[Slot], list[str]]:
    """Return the slots of all schedules from ``since`` to ``until``, and the titles of those that cannot be read."""
    moments: dict[str, list[datetime]] = {}
    unreadable: set[str] = set()
    last: dict[str, Schedule] = {}
    for era in history:
        for schedule in era.schedules:
            if not schedule.is_readable:
                unreadable.add(schedule.title)
                continue
            last[schedule.node_id] = schedule
            begin, end = max(era.since, since), min(era.until, until)
            moments.setdefault(schedule.node_id, []).extend(schedule.between(begin, end))
    slots = [slot for node, times in moments.items() for slot in slots_of(node, times, last[node].following(until))]
    return sorted(slots, key=lambda slot: (slot.at, slot.schedule)), sorted(unreadable)


def switches(journal: Journal, app_id: str) -> list[Switched]:
    """Return when difyops switched the triggers of an app, oldest first."""
    found = []
    for record in journal.all(limit=_MOST_CHANGES):
        if record.kind not in _KINDS or record.subject != f"app/{app_id}" or record.state not in _DONE:
            continue
        before: Mapping[str, str] = record.facts.get("before") or {}
        for trigger, word in (record.facts.get("wanted") or {}).items():
            at, was = record.ended or record.began, before.get(trigger) == "enabled"
            found.append(Switched(at=at, trigger=trigger, on=word == "enabled", was_on=was, actor=record.actor))
    return sorted(found, key=lambda item: item.at)


def was_on(history: Sequence[Switched], trigger: str, moment: datetime) -> bool | None:
    """Say whether a trigger was on at ``moment`` by what difyops switched; ``None``: difyops never switched it."""
    own = [item for item in history if item.trigger == trigger]
    before = [item for item in own if item.at <= moment]
    if before:
        return before[-1].on
    return own[0].was_on if own else None
