"""Expected slots against the runs that came: on time, late, missed, doubled. Pure: times in, verdicts out.

A run belongs to the newest slot before it that has none yet, and at the latest to the one before the next slot of the
same schedule: a run that came with the next slot's own is one too many there, unless the worker was away meanwhile.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

ON_TIME, LATE, MISSED, DOUBLED = "on time", "late", "missed", "doubled"
OFF, UNKNOWN = "off", "unknown"
EARLY = timedelta(seconds=1)  # the log has whole seconds, and server and worker a clock each
_LAST = timedelta(days=366)
_SLIP = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A moment at which a schedule was to start a run; ``schedule`` is its node's id, ``until`` its next slot."""

    at: datetime
    schedule: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run that a schedule started, as the log has it."""

    at: datetime
    id: str
    status: str = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSlot:
    """What became of one slot, or a run that no slot asked for (``slot`` is then the last one before it, if any).

    ``delay`` is in seconds from slot to start. ``why`` is filled in by the causes.
    """

    verdict: str
    slot: Slot | None
    run: Start | None = None
    delay: float | None = None
    why: str = ""
    cause: str = ""

    @property
    def at(self) -> datetime:
        """Return the moment that it is about."""
        if self.slot is not None and self.verdict != DOUBLED:
            return self.slot.at
        return self.run.at if self.run else self.slot.at  # type: ignore[union-attr]


def slots_of(schedule: str, moments: Iterable[datetime], end: datetime | None = None) -> list[Slot]:
    """Return the slots of one schedule; the last one holds until ``end`` (default: nothing follows)."""
    times = list(moments)
    following = [*times[1:], end or (times[-1] + _LAST)] if times else []
    return [Slot(at=at, schedule=schedule, until=until) for at, until in zip(times, following, strict=True)]


def match(
    slots: Sequence[Slot],
    starts: Sequence[Start],
    *,
    on_time: timedelta,
    away: Sequence[tuple[datetime, datetime]] = (),
) -> list[JudgedSlot]:
    """Judge each slot, and each run that is one too many; in order of time.

    ``on_time``: how long after its slot a run may start. ``away``: when no worker took anything; what came at the end
    of such a time is what waited in it, late and not doubled.
    """
    ordered, runs = sorted(slots, key=lambda item: (item.at, item.schedule)), sorted(starts, key=lambda item: item.at)
    taken: dict[int, Start] = {}
    spare = _first_come(ordered, runs, taken, on_time)
    spare = _still_open(ordered, spare, taken, on_time)
    spare = _waited(ordered, spare, taken, away, on_time)
    spare = _slipped(ordered, spare, taken, on_time)
    judged = [_slot_judged(slot, taken.get(number), on_time) for number, slot in enumerate(ordered)]
    times = [slot.at for slot in ordered]
    judged += [_spare_judged(ordered, times, run) for run in spare]
    return sorted(judged, key=lambda item: (item.at, item.verdict))


def _first_come(slots: Sequence[Slot], runs: list[Start], taken: dict[int, Start], on_time: timedelta) -> list[Start]:
    """Give each slot the first run that starts in its time and before the next slot; return the rest."""
    times, begun = [slot.at for slot in slots], [run.at for run in runs]
    used: set[int] = set()
    for number, slot in enumerate(slots):
        after = bisect.bisect_right(times, slot.at)
        limit = min([slot.at + on_time + timedelta(seconds=1), *times[after : after + 1]])
        reach = range(bisect.bisect_left(begun, slot.at - EARLY), bisect.bisect_left(begun, limit))
        near = [place for place in reach if place not in used]
        if near:
            chosen = next((place for place in near if begun[place] >= slot.at), near[0])
            taken[number] = runs[chosen]
            used.add(chosen)
    return [run for place, run in enumerate(runs) if place not in used]


def _still_open(slots: Sequence[Slot], runs: list[Start], taken: dict[int, Start], on_time: timedelta) -> list[Start]:
    """Give each run that is left to a slot before it that has none, before that schedule's next slot.

    A slot in whose time it started comes first. One that started in the time of a slot that has its run is the second
    run of that, rather than the late one of another schedule.
    """
    own: dict[str, list[int]] = {}
    for number, slot in enumerate(slots):
        own.setdefault(slot.schedule, []).append(number)
    times = {name: [slots[number].at - EARLY for number in numbers] for name, numbers in own.items()}
    spare = []
    for run in runs:
        last = {name: bisect.bisect_right(times[name], run.at) - 1 for name in own}
        reach = sorted(own[name][place] for name, place in last.items() if place >= 0)
        near = [number for number in reach if run.at <= slots[number].at + on_time]
        free = [number for number in reach if number not in taken]
        if chosen := [number for number in near if number in free]:
            taken[chosen[0]] = run
        elif free and not near:
            taken[free[-1]] = run
        else:
            spare.append(run)
    return spare


def _waited(
    slots: Sequence[Slot],
    runs: list[Start],
    taken: dict[int, Start],
    away: Sequence[tuple[datetime, datetime]],
    on_time: timedelta,
) -> list[Start]:
    """Give runs that came when the worker was back to the slots that had none while it was away, oldest first."""
    spare = list(runs)
    for begin, end in away:
        for number, slot in enumerate(slots):
            if number in taken or not begin <= slot.at <= end:
                continue
            found = next((run for run in spare if slot.at <= run.at <= end + 2 * on_time), None)
            if found is not None:
                taken[number] = found
                spare.remove(found)
    return spare


def _slipped(slots: Sequence[Slot], runs: list[Start], taken: dict[int, Start], on_time: timedelta) -> list[Start]:
    """Give runs that slipped just past the next slot back to their own, and that slot the run that came later.

    The server looks once a minute, at any second of it: with a schedule of every minute a run of second 59 may start a
    moment after the next slot. Two runs of one slot stand closer together than that.
    """
    times = [slot.at for slot in slots]
    dense = [(number, slot) for number, slot in enumerate(slots) if slot.until - slot.at <= on_time]
    before = {(slot.schedule, slot.until): number for number, slot in dense}
    spare = []
    for run in runs:
        last = bisect.bisect_right(times, run.at) - 1
        chain = _slipping(slots, taken, before, last)
        if chain and run.at - taken[chain[0]].at >= 2 * _SLIP:
            for number, former in zip(chain[-2::-1], chain[:0:-1], strict=True):
                taken[former] = taken[number]
            taken[chain[0]] = run
        else:
            spare.append(run)
    return spare


def _slipping(
    slots: Sequence[Slot], taken: dict[int, Start], before: dict[tuple[str, datetime], int], last: int
) -> list[int]:
    """Return slots back from ``last`` whose runs came just after them, down to one that has none; ``[]`` without it."""
    chain, number = [], last
    while number >= 0:
        chain.append(number)
        run = taken.get(number)
        if run is None:
            return chain if len(chain) > 1 else []
        if run.at - slots[number].at > _SLIP:
            return []
        number = before.get((slots[number].schedule, slots[number].at), -1)
    return []


def _slot_judged(slot: Slot, run: Start | None, on_time: timedelta) -> JudgedSlot:
    if run is None:
        return JudgedSlot(verdict=MISSED, slot=slot)
    delay = (run.at - slot.at).total_seconds()
    is_late = delay > on_time.total_seconds()
    return JudgedSlot(verdict=LATE if is_late else ON_TIME, slot=slot, run=run, delay=delay)


def _spare_judged(slots: Sequence[Slot], times: Sequence[datetime], run: Start) -> JudgedSlot:
    place = bisect.bisect_right(times, run.at + EARLY) - 1
    nearest = slots[place] if place >= 0 else None
    delay = (run.at - nearest.at).total_seconds() if nearest else None
    return JudgedSlot(verdict=DOUBLED, slot=nearest, run=run, delay=delay)


def told(judged: JudgedSlot, verdict: str, cause: str, why: str) -> JudgedSlot:
    """Return the same with another verdict and its reason."""
    return replace(judged, verdict=verdict, cause=cause, why=why)
