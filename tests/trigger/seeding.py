"""Seeded faults of schedules around clock changes, and what the match of slots and runs makes of them."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from difyops.publishing.slots import Schedule
from difyops.trigger.matching import DOUBLED, LATE, MISSED, ON_TIME, Slot, Start, match, slots_of

# the moments at which the clocks change, forward and back
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-10-03T15:30", "2026-04-04T15:00"),
    "America/Santiago": ("2026-09-06T04:00", "2026-04-05T03:00"),
    "Africa/Cairo": ("2026-04-23T22:00", "2026-10-29T21:00"),
    "Pacific/Auckland": ("2026-09-26T14:00", "2026-04-04T14:00"),
}
CRONS = ("30 2 * * *", "0 0 * * *", "15 * * * *", "*/10 * * * *", "0 9,21 * * 1-5", "* 1-3 * * *")
ON_TIME_WITHIN = timedelta(minutes=2)

Verdicts = Counter[tuple[str, datetime]]


def at(text: str) -> datetime:
    """Return a moment of UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(cron: str, zone: str, since: datetime, until: datetime, node: str = "n") -> list[Slot]:
    """Return the slots of a schedule."""
    schedule = Schedule(node_id=node, title="t", cron=cron, zone=zone)
    return slots_of(node, schedule.between(since, until), schedule.following(until))


def seeded(expected: list[Slot], rng: random.Random) -> tuple[list[Start], Verdicts]:
    """Return runs for slots, one in three with a fault, and what is to be said of each slot."""
    wanted: Verdicts = Counter()
    runs: list[Start] = []
    for slot in expected:
        period = (slot.until - slot.at).total_seconds()
        on = slot.at + timedelta(seconds=rng.uniform(0, min(100, period - 2)))
        fault = rng.choice((MISSED, DOUBLED, LATE, *(ON_TIME,) * 5))
        if fault == LATE and period < 400:
            fault = ON_TIME
        if fault == LATE:
            on = slot.at + timedelta(seconds=rng.uniform(130, min(period - 10, 5000)))
        if fault != MISSED:
            runs.append(Start(at=on, id="r"))
        if fault == DOUBLED:
            extra = min(on + timedelta(seconds=rng.uniform(0, 1)), slot.until - timedelta(seconds=1.5))
            runs.append(Start(at=extra, id="r"))
            wanted[ON_TIME, slot.at] += 1
        wanted[fault, slot.at] += 1
    rng.shuffle(runs)
    return runs, wanted


def judged(expected: list[Slot], runs: list[Start]) -> Verdicts:
    """Return what is said of each slot."""
    found = match(expected, runs, on_time=ON_TIME_WITHIN)
    return Counter((row.verdict, row.slot.at) for row in found if row.slot)


def faults(verdicts: Verdicts) -> Verdicts:
    """Return the verdicts that are faults."""
    return Counter({key: count for key, count in verdicts.items() if key[0] != ON_TIME})
