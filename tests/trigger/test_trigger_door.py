"""``difyops trigger list|enable|disable|fire|history`` against emulated servers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from difyops.emulator import Emulator
from difyops.emulator.runs import fire_schedules
from tests.conftest import Cli
from tests.trigger.conftest import named


def test_list_shows_the_next_slot_in_its_zone_and_the_address(cli: Cli, emulator: Emulator, connected: str) -> None:
    found = {row["app"]: row for row in cli("trigger", "list", "-o", "json").json["data"]}
    cron, hook = found["wf-cron"], found["wf-hook"]
    assert (cron["kind"], cron["status"], cron["cron"], cron["zone"]) == ("schedule", "enabled", "*/5 * * * *", "UTC")
    ahead = datetime.fromisoformat(cron["next"]) - datetime.now(UTC)
    assert timedelta(0) <= ahead <= timedelta(minutes=5)
    assert hook["url"].startswith(f"{emulator.instance.base_url}/triggers/webhook/")
    assert "/webhook-debug/" in hook["debug_url"]
    shown = cli("trigger", "list", "wf-cron")
    assert "+00:00 UTC" in shown.out
    assert "1 trigger, 1 on" in shown.err


@pytest.mark.parametrize("version", ["1.13.0", "1.15", "1.16.1"])
def test_switching_is_read_back_journaled_and_told(cli: Cli, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(version)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        assert cli("trigger", "disable", "wf-cron", "wf-hook").code == 8
        trial = cli("trigger", "disable", "wf-cron", "wf-hook", "--dry-run")
        assert "would switch 2 triggers off" in trial.err
        off = cli("trigger", "disable", "wf-cron", "wf-hook", "--yes", "-o", "json")
        assert off.code == 0, off.out
        assert [row["changed"] for row in off.json["data"]] == [True, True]
        assert {row["status"] for row in cli("trigger", "list", "-o", "json").json["data"]} == {"disabled"}
        assert cli("trigger", "fire", "wf-hook", "--yes").code == 8
        on = cli("trigger", "enable", "wf-cron", "wf-hook", "--trigger", "schedule", "--yes", "-o", "json")
        assert [row["app"] for row in on.json["data"]] == ["wf-cron"]
        assert "may run once, at once" in on.json["warnings"][0]
        again = cli("trigger", "enable", "wf-cron", "--yes", "-o", "json").json
        assert ([row["changed"] for row in again["data"]], again["warnings"]) == ([False], [])
    trail = cli("changes", "log", "-o", "json").json["data"]
    assert [row["action"] for row in trail] == ["trigger.disabled", "trigger.disabled", "trigger.enabled"]


def test_a_webhook_is_fired_and_its_run_found(cli: Cli, emulator: Emulator, connected: str) -> None:
    assert cli("trigger", "fire", "wf-hook").code == 8
    done = cli("trigger", "fire", "wf-hook", "--data", '{"message": "x"}', "--yes", "-o", "json")
    assert done.code in (0, 1), done.out
    app = named(emulator, "wf-hook")
    data = done.json["data"]
    assert (data["run"], data["status"]) == (app.runs[-1].id, app.runs[-1].status)
    assert 200 <= data["answered"] < 300
    history = cli("trigger", "history", "-o", "json").json["data"]
    assert [(row["app"], row["kind"], row["id"]) for row in history] == [("wf-hook", "webhook", data["run"])]
    before = len(app.runs)
    debug = cli("trigger", "fire", "wf-hook", "--debug", "--data", '{"message": "x"}', "--yes", "-o", "json")
    assert (debug.code, debug.json["data"]["how"], len(app.runs)) == (0, "debug", before)
    wrong = cli("trigger", "fire", "wf-hook", "--method", "DELETE", "--yes")
    assert wrong.code == 1
    assert "Expected POST, got DELETE" in wrong.err


def test_a_schedule_is_run_through_the_service_api_and_that_is_said(
    cli: Cli, emulator: Emulator, connected: str
) -> None:
    trial = cli("trigger", "fire", "wf-cron", "--dry-run", "-o", "json")
    assert (trial.code, len(named(emulator, "wf-cron").runs)) == (0, 0)
    done = cli("trigger", "fire", "wf-cron", "--yes", "-o", "json")
    assert done.code == 0, done.out
    assert done.json["data"]["run"] == named(emulator, "wf-cron").runs[-1].id
    assert "Dify lets nobody fire a schedule" in done.json["warnings"][0]
    assert cli("trigger", "fire", "wf-cron", "--data", "{}", "--yes").code == 2


def test_history_has_schedules_too(cli: Cli, emulator: Emulator, connected: str) -> None:
    asyncio.run(fire_schedules(emulator.instance))
    found = cli("trigger", "history", "wf-cron", "--kind", "schedule", "-o", "json")
    assert [row["kind"] for row in found.json["data"]] == ["schedule"]
    assert cli("trigger", "history", "--kind", "cron").code == 2


def test_what_does_not_fit_is_one_sentence(cli: Cli, emulator: Emulator, connected: str) -> None:
    none = cli("trigger", "enable", "wf-cron", "--trigger", "nightly", "--yes")
    assert none.code == 2
    assert "There is: Schedule (schedule)" in none.err
    assert cli("trigger", "fire", "wf-echo", "--yes").code == 2
    assert cli("trigger", "fire", "wf-hook", "--header", "no colon", "--yes").code == 2
    assert cli("trigger", "audit", "--since", "soon").code == 2


def test_a_server_without_triggers_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator("1.9.1")
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        assert cli("trigger", "list").code == 6
        assert cli("trigger", "audit").code == 6


def test_a_list_that_has_lost_triggers_is_not_believed(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.app_named("wf-cron").triggers.clear()
    found = cli("trigger", "list", "wf-*", "-o", "json")
    assert found.code == 3
    assert {row["app"] for row in found.json["data"]} == {"wf-hook"}
    assert "of the live version is not in the list" in found.out
