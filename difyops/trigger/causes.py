"""Why a slot has no run, a late one or one too many. Pure: what was seen around it goes in, a sentence comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from difyops.api.model import Trigger
from difyops.clock import iso
from difyops.trigger.eras import Era, Switched, was_on
from difyops.trigger.matching import DOUBLED, EARLY, LATE, MISSED, OFF, UNKNOWN, JudgedSlot, Slot, Start, told

PICKED_UP = timedelta(seconds=90)  # the server looks once a minute
_CATCHES_UP = timedelta(minutes=3)
_CLOCKS = timedelta(hours=3)
_KEPT = timedelta(days=30)  # WORKFLOW_LOG_RETENTION_DAYS' default
Times = Sequence[tuple[datetime, datetime]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What was seen around the slots of one app.

    ``triggers`` are today's by node; ``oldest``: the oldest log row that was read; ``complete``: whether all were.
    ``compared``: how many other apps had slots to compare with.
    """

    now: datetime
    eras: Sequence[Era]
    switched: Sequence[Switched]
    triggers: Mapping[str, Trigger]
    starts: Sequence[Start]
    away: Times = ()
    oldest: datetime | None = None
    complete: bool = True
    compared: int = 0


def explain(judged: JudgedSlot, seen: Surroundings) -> JudgedSlot:
    """Return the verdict with its reason; a missed slot may turn out to be off, or one that the log cannot tell."""
    if judged.verdict == MISSED and judged.slot is not None:
        return _missed(judged, judged.slot, seen)
    if judged.verdict == LATE and judged.slot is not None and judged.run is not None:
        return _late(judged, judged.slot, judged.run, seen)
    if judged.verdict == DOUBLED and judged.run is not None:
        return _doubled(judged, judged.run, seen)
    return judged


def away_times(judged: Mapping[str, Sequence[JudgedSlot]], alive: Sequence[datetime], on_time: timedelta) -> Times:
    """Return when no worker took anything: slots of two apps or more, one after the other, and not one run between.

    ``judged``: the slots by app; ``alive``: starts of all runs that workers began (schedules, webhooks, plugins).
    """
    rows = sorted(
        (item.slot.at, app, item.verdict == MISSED or item.verdict == LATE)
        for app, found in judged.items()
        for item in found
        if item.slot is not None and item.verdict != DOUBLED
    )
    times: list[tuple[datetime, datetime]] = []
    stretch: list[tuple[datetime, str]] = []
    for at, app, is_behind in [*rows, (datetime.max.replace(tzinfo=UTC), "", False)]:
        lived = bool(stretch) and any(stretch[-1][0] + on_time < moment < at for moment in alive)
        if stretch and (not is_behind or lived):
            begin = stretch[0][0]
            end = next((moment for moment in sorted(alive) if moment > stretch[-1][0]), stretch[-1][0] + on_time)
            if len({name for _, name in stretch}) > 1:
                times.append((begin, end))
            stretch = []
        if is_behind:
            stretch.append((at, app))
    return times


def _missed(judged: JudgedSlot, slot: Slot, seen: Surroundings) -> JudgedSlot:
    trigger = seen.triggers.get(slot.schedule)
    state = was_on(seen.switched, trigger.id, slot.at) if trigger else None
    if state is False and trigger is not None:
        return told(judged, OFF, "off", _who(seen.switched, trigger.id, slot.at))
    if trigger is not None and trigger.status != "enabled" and not any(run.at > slot.at for run in seen.starts):
        return told(judged, UNKNOWN, "off", f"the trigger is {trigger.status} now; since when, the server does not say")
    if not seen.complete or _is_cleared(slot, seen):
        return told(judged, UNKNOWN, "log", "the log that could be read does not reach back to it")
    for era in seen.eras:
        if slot.at - EARLY <= era.since <= slot.at + PICKED_UP:
            by = f" by {era.by}" if era.by else ""
            after = (era.since - slot.at).total_seconds()
            why = f"a version was published{by} {after:.0f} s after the slot: that computes the next run anew"
            return told(judged, MISSED, "publish", why)
    if any(begin <= slot.at <= end for begin, end in seen.away):
        return told(
            judged, MISSED, "worker", "no worker took anything: the slots of other apps then have no run either"
        )
    if changed := _clock_change(slot, slot.at, seen.eras):
        return told(judged, MISSED, "clocks", changed)
    rest = "other apps ran" if seen.compared else "no other app had a slot to compare with"
    return told(judged, MISSED, "", f"nothing here says why ({rest}); somebody may have switched it off for a while")


def _late(judged: JudgedSlot, slot: Slot, run: Start, seen: Surroundings) -> JudgedSlot:
    if caught := _caught_up(slot.schedule, run, seen):
        return told(judged, LATE, "enabled", caught)
    if any(begin <= slot.at <= end for begin, end in seen.away):
        return told(judged, LATE, "worker", "no worker took anything meanwhile: the slots of other apps are behind too")
    if changed := _clock_change(slot, run.at, seen.eras):
        return told(judged, LATE, "clocks", changed)
    return told(judged, LATE, "", "it waited for the poller or in the queue")


def _doubled(judged: JudgedSlot, run: Start, seen: Surroundings) -> JudgedSlot:
    schedule = judged.slot.schedule if judged.slot else ""
    if caught := _caught_up(schedule, run, seen):
        return told(judged, DOUBLED, "enabled", caught)
    if judged.slot is None:
        return told(judged, UNKNOWN, "", "no slot in the time looked at asked for this run; look further back")
    if changed := _clock_change(judged.slot, run.at, seen.eras):
        return told(judged, DOUBLED, "clocks", changed)
    return told(judged, DOUBLED, "", "its slot has a run already: two pollers, or a task that was delivered twice")


def _caught_up(schedule: str, run: Start, seen: Surroundings) -> str:
    """Say that the run came because its trigger had just been switched on, when it had."""
    trigger = seen.triggers.get(schedule)
    for item in seen.switched:
        is_its = trigger is None or item.trigger == trigger.id
        if is_its and item.on and item.at - EARLY <= run.at <= item.at + _CATCHES_UP:
            return f"{item.actor} switched it on at {iso(item.at)}: a slot that was missed while it was off ran at once"
    return ""


def _clock_change(slot: Slot, moment: datetime, history: Sequence[Era]) -> str:
    """Say that the clocks of the schedule's time zone changed near ``moment``, when they did."""
    zone = next((item.zone for era in history[::-1] for item in era.schedules if item.node_id == slot.schedule), "UTC")
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return ""
    before = min(slot.at, moment).astimezone(UTC) - _CLOCKS
    after = max(slot.at, moment).astimezone(UTC) + _CLOCKS
    first, second = before.astimezone(place).utcoffset(), after.astimezone(place).utcoffset()
    if first == second or first is None or second is None:
        return ""
    way = "forward" if second > first else "back"
    return f"the clocks of {zone} went {way} then, and Dify reckons such slots otherwise"


def _is_cleared(slot: Slot, seen: Surroundings) -> bool:
    """Say whether the server may have removed the log of that time: nothing older is there."""
    return seen.now - slot.at > _KEPT and (seen.oldest is None or slot.at < seen.oldest)


def _who(history: Sequence[Switched], trigger: str, moment: datetime) -> str:
    before = [item for item in history if item.trigger == trigger and item.at <= moment]
    if not before:
        return "it was switched off before"
    return f"{before[-1].actor} switched it off at {iso(before[-1].at)}"
