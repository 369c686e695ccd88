"""Slots against runs: every seeded fault is found over clock changes in six zones, and nothing else is said."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta

import pytest

from difyops.trigger.matching import DOUBLED, LATE, MISSED, ON_TIME, Start, match
from tests.trigger.seeding import CHANGES, CRONS, ON_TIME_WITHIN, at, faults, judged, seeded, slots


def start(moment: datetime, name: str = "r") -> Start:
    return Start(at=moment, id=name)


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("zone", CHANGES)
def test_every_seeded_fault_is_found_and_nothing_else(zone: str) -> None:
    rng, sown = random.Random(zone), 0
    for change in CHANGES[zone]:
        for cron in CRONS:
            for days in (1, 3):
                expected = slots(cron, zone, at(change) - timedelta(days=days), at(change) + timedelta(days=days))
                runs, wanted = seeded(expected, rng)
                assert judged(expected, runs) == wanted, (zone, cron, change)
                sown += faults(wanted).total()
    assert sown > 100


def test_a_day_has_the_slots_that_its_clocks_have() -> None:
    night = slots("30 2 * * *", "Europe/Berlin", at("2026-03-28T12:00"), at("2026-03-30T12:00"))
    assert [slot.at for slot in night] == [at("2026-03-29T01:00"), at("2026-03-30T00:30")]
    autumn = slots("*/30 1-2 * * *", "Europe/Berlin", at("2026-10-24T12:00"), at("2026-10-25T12:00"))
    assert [f"{slot.at:%H:%M}" for slot in autumn] == ["23:00", "23:30", "00:00", "00:30", "01:00", "01:30"]


def test_two_schedules_of_one_app_at_one_time_want_two_runs() -> None:
    day = (at("2026-06-01T00:00"), at("2026-06-02T00:00"))
    both = [*slots("0 9 * * *", "UTC", *day, "a"), *slots("0 9 * * *", "UTC", *day, "b")]
    nine = at("2026-06-01T09:00")
    one = match(both, [start(nine + timedelta(seconds=11))], on_time=ON_TIME_WITHIN)
    assert [row.verdict for row in one] == [MISSED, ON_TIME]
    two = match(both, [start(nine + timedelta(seconds=11 + n), f"{n}") for n in range(2)], on_time=ON_TIME_WITHIN)
    assert [row.verdict for row in two] == [ON_TIME, ON_TIME]


def test_a_second_run_is_not_the_late_one_of_another_schedule() -> None:
    day = (at("2026-06-01T00:00"), at("2026-06-01T18:00"))
    both = [*slots("0 9 * * *", "UTC", *day, "daily"), *slots("30 * * * *", "UTC", *day, "hourly")]
    runs = [start(slot.at + timedelta(seconds=9)) for slot in both if slot.schedule == "hourly"]
    runs.append(start(at("2026-06-01T14:30:10")))
    judged = match(both, runs, on_time=ON_TIME_WITHIN)
    bad = [(row.verdict, row.slot.schedule if row.slot else "") for row in judged if row.verdict != ON_TIME]
    assert bad == [(MISSED, "daily"), (DOUBLED, "hourly")]


def test_what_waited_while_the_worker_was_away_is_late_not_doubled() -> None:
    every = slots("*/10 * * * *", "UTC", at("2026-06-01T00:00"), at("2026-06-01T02:00"))
    back = at("2026-06-01T01:00:20")
    runs = [start(slot.at + timedelta(seconds=5)) for slot in every if not slot.at.minute * (slot.at.hour == 0) >= 20]
    runs += [start(back + timedelta(seconds=n)) for n in range(4)]
    plain = Counter(row.verdict for row in match(every, runs, on_time=ON_TIME_WITHIN))
    assert (plain[MISSED], plain[DOUBLED]) == (4, 4)
    away = [(at("2026-06-01T00:20"), back)]
    told = Counter(row.verdict for row in match(every, runs, on_time=ON_TIME_WITHIN, away=away))
    assert (told[LATE], told[MISSED], told[DOUBLED]) == (4, 0, 0)


def test_predefined_words_and_question_marks_are_read_as_the_platform_reads_them() -> None:
    from difyops.publishing.slots import schedules

    def cron(text: str) -> str:
        data = {"type": "trigger-schedule", "mode": "cron", "cron_expression": text, "timezone": "UTC"}
        return schedules({"graph": {"nodes": [{"id": "s", "data": data}], "edges": []}})[0].cron

    assert cron("@daily") == "0 0 * * *"
    assert cron(" 0 9 ? * MON ") == "0 9 * * MON"


def test_a_run_that_slipped_past_the_next_slot_is_neither_missed_nor_doubled() -> None:
    """Seen on a real server that looks at second 58: some runs start a moment after the minute."""
    minutes = slots("* * * * *", "UTC", at("2026-06-01T00:00"), at("2026-06-01T00:30"))
    runs = [start(slot.at + timedelta(seconds=60.4 if n in (7, 12, 13) else 58.9)) for n, slot in enumerate(minutes)]
    judged = match(minutes, runs, on_time=ON_TIME_WITHIN)
    assert {row.verdict for row in judged} == {ON_TIME}
    assert len(judged) == 30
