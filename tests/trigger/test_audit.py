"""The audit over an emulated server: what is missed, late, doubled, off or unknown, why, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from difyops.emulator import Emulator
from difyops.emulator.publishing import copied
from difyops.emulator.store import App
from tests.conftest import Cli, Ran
from tests.trigger.conftest import NOW, At, hours, named, ran, schedule

LONG_AGO = NOW - timedelta(days=20)


@pytest.fixture
def emulator(stands: Callable[[datetime], None]) -> Emulator:
    stands(NOW)
    emulator = Emulator(clock=At())
    for app in list(emulator.instance.apps.values()):
        app.runs.clear()
    schedule(emulator, named(emulator, "wf-cron"), "0 * * * *", since=LONG_AGO)
    return emulator


@pytest.fixture
def audited(cli: Cli, connected: str) -> Callable[..., Ran]:
    def run(*words: str) -> Ran:
        return cli("trigger", "audit", "--since", "12h", "-o", "json", *words)

    return run


def rows(done: Ran) -> list[tuple[str, str, str]]:
    found = done.json["data"]["findings"]
    return [(row["verdict"], (row["slot"] or row["started"])[11:16], row["cause"]) for row in found]


def test_all_on_time_is_zero_and_a_slot_that_is_due_just_now_is_not_judged(
    emulator: Emulator, audited: Callable[..., Ran], second_cron: App
) -> None:
    ran(named(emulator, "wf-cron"), hours(0, 12))
    ran(second_cron, hours(0, 12))
    done = audited()
    assert done.code == 0, done.out
    assert done.json["data"]["counts"]["on time"] == done.json["data"]["slots"] == 24
    assert rows(done) == []


def test_a_publication_just_after_the_slot_is_named(
    emulator: Emulator, audited: Callable[..., Ran], second_cron: App
) -> None:
    app = named(emulator, "wf-cron")
    ran(app, [moment for moment in hours(0, 12) if moment.hour not in (5, 9)])
    ran(second_cron, hours(0, 12))
    version = copied(emulator.instance, app.live, app.created_by)  # type: ignore[arg-type]
    version.created_at = int(datetime(2026, 6, 10, 9, 0, 4, tzinfo=UTC).timestamp())
    app.versions.append(version)
    app.live = version
    app.changed()
    done = audited("wf-cron")
    assert done.code == 5
    assert rows(done) == [("missed", "05:00", ""), ("missed", "09:00", "publish")]
    whys = [row["why"] for row in done.json["data"]["findings"]]
    assert "other apps ran" in whys[0]
    assert "4 s after the slot" in whys[1]
    assert "2 of 12 slots have no run" in done.json["error"]["message"]


def test_a_worker_that_was_away_is_told_from_a_lost_schedule(
    emulator: Emulator, audited: Callable[..., Ran], second_cron: App
) -> None:
    for app in (named(emulator, "wf-cron"), second_cron):
        ran(app, [moment for moment in hours(0, 12) if not 3 <= moment.hour <= 5])
        ran(app, [datetime(2026, 6, 10, 6, 0, 20 + n, tzinfo=UTC) for n in range(2)])
    done = audited("wf-cron")
    found = rows(done)
    assert [row[0] for row in found].count("late") == 2
    assert {row[2] for row in found} == {"worker"}
    assert done.code == 5  # one of the three never came


def test_doubled_by_the_clocks_and_doubled_by_nobody_knows(emulator: Emulator, audited: Callable[..., Ran]) -> None:
    ran(named(emulator, "wf-cron"), [*hours(0, 12), hours(7, 7)[0] + timedelta(seconds=2)])
    done = audited()
    assert done.code == 5
    assert rows(done) == [("doubled", "07:00", "")]
    assert done.json["data"]["findings"][0]["delay"] == 13.0


def test_off_by_difyops_is_no_finding_and_off_by_others_is_unknown(
    emulator: Emulator, audited: Callable[..., Ran], cli: Cli
) -> None:
    app = named(emulator, "wf-cron")
    ran(app, hours(0, 8))
    next(iter(app.triggers.values())).enabled = False
    unknown = audited()
    assert unknown.code == 3, unknown.out
    assert {row[0] for row in rows(unknown)} == {"unknown"}
    assert "since when" in unknown.json["data"]["findings"][0]["why"]
    next(iter(app.triggers.values())).enabled = True


def test_a_catch_up_after_enabling_is_named(emulator: Emulator, audited: Callable[..., Ran], cli: Cli) -> None:
    app = named(emulator, "wf-cron")
    ran(app, hours(0, 12))
    assert cli("trigger", "disable", "wf-cron", "--yes").code == 0
    told = cli("trigger", "enable", "wf-cron", "--yes")
    assert told.code == 0
    assert "may run once, at once" in told.err
    ran(app, [NOW + timedelta(seconds=20)])
    done = audited()
    assert [(row["verdict"], row["cause"]) for row in done.json["data"]["findings"]] == [("doubled", "enabled")]


def test_an_app_that_cannot_be_read_is_partial(emulator: Emulator, audited: Callable[..., Ran]) -> None:
    app = named(emulator, "wf-cron")
    ran(app, hours(0, 12))
    emulator.control.fail(path=f"/console/api/apps/{app.id}/workflow-app-logs", times=9, how="status:500")
    done = audited()
    assert done.code == 3
    assert "wf-cron could not be read" in json.dumps(done.json)


def test_nightly_job_runs_twice_when_the_clocks_go_back(
    monkeypatch: pytest.MonkeyPatch, stands: Callable[[datetime], None], cli: Cli
) -> None:
    """Dify's reckoner takes 02:30 twice in that night; the audit says so."""
    now = datetime(2026, 10, 25, 12, tzinfo=UTC)
    stands(now)
    emulator = Emulator(clock=At(now))
    app = named(emulator, "wf-cron")
    app.runs.clear()
    schedule(emulator, app, "30 2 * * *", zone="Europe/Berlin", since=now - timedelta(days=9))
    night = [datetime(2026, 10, 25, 0, 30, 9, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, 9, tzinfo=UTC)]
    ran(app, night)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        done = cli("trigger", "audit", "-o", "json")
    assert rows(done) == [("doubled", "00:30", "clocks")], done.out
    assert "went back" in done.out


def test_slots_in_a_row_for_one_reason_are_one_line(emulator: Emulator, audited: Callable[..., Ran], cli: Cli) -> None:
    app = named(emulator, "wf-cron")
    ran(app, hours(0, 4))
    next(iter(app.triggers.values())).enabled = False
    shown = cli("trigger", "audit", "--since", "12h")
    assert "2026-06-10T05:00:00Z to 2026-06-10T12:00:00Z (8 slots)" in shown.out
    assert len(audited().json["data"]["findings"]) == 8
