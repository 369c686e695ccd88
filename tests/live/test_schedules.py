"""Schedules on a real instance: a rollback waits for a slot that is due, a restored app starts nothing by itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, node

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
DSL = Path(__file__).parent / "dsl" / "wf-cron.yml"
NODE = "trigger-schedule"


@pytest.fixture
def ticking(colleague: Colleague) -> Iterator[tuple[str, datetime]]:
    """Make an app whose schedule is due once, in 45 to 105 seconds; return its name and the slot; remove it."""
    slot = (datetime.now(UTC) + timedelta(seconds=105)).replace(second=0, microsecond=0)
    name = f"difyops-live-cron-{secrets.token_hex(3)}"
    text = DSL.read_text().replace("*/5 * * * *", f"{slot.minute} {slot.hour} {slot.day} {slot.month} *")
    answer = colleague.call("POST", "/apps/imports", {"mode": "yaml-content", "yaml_content": text, "name": name})
    assert answer["status"].startswith("completed"), answer
    colleague.publish(answer["app_id"])
    try:
        yield name, slot
    finally:
        for row in colleague.call("GET", "/apps?limit=100")["data"]:
            if row["name"].startswith(name):
                colleague.call("DELETE", f"/apps/{row['id']}")


def triggers(colleague: Colleague, app: str) -> list[dict[str, Any]]:
    return list(colleague.call("GET", f"/apps/{app}/triggers")["data"])


def runs(colleague: Colleague, app: str) -> list[str]:
    rows = colleague.call("GET", f"/apps/{app}/workflow-app-logs?page=1&limit=50")["data"]
    return [row["workflow_run"]["triggered_from"] for row in rows]


def broken(cli: Cli, colleague: Colleague, name: str, **settings: Any) -> tuple[str, Any]:
    """Keep an app as v1 and break it; ``settings`` are those of its schedule. Return its id and the good graph."""
    app = colleague.app_id(name)
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    good = colleague.live(app)["graph"]
    colleague.edit(app, lambda document: node(document, NODE).update(title="BROKEN", **settings))
    colleague.publish(app)
    assert [row["status"] for row in triggers(colleague, app)] == ["enabled"]
    return app, good


def wait_until_from(slot: datetime, seconds: float) -> None:
    """Sleep until so many seconds after a slot, or before it where they are negative."""
    time.sleep(max(0.0, (slot - datetime.now(UTC)).total_seconds() + seconds))


@pytest.mark.parametrize("seconds", [-5.0, 30.0])
def test_a_slot_that_is_due_runs_although_the_app_is_rolled_back(
    cli: Cli, colleague: Colleague, ticking: tuple[str, datetime], seconds: float
) -> None:
    name, slot = ticking
    app, good = broken(cli, colleague, name)
    wait_until_from(slot, seconds)
    done = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err + done.out
    assert datetime.now(UTC) >= slot + timedelta(seconds=89)
    assert "waiting" in done.err
    assert colleague.live(app)["graph"] == good
    assert len(runs(colleague, app)) == 1
    assert [row["status"] for row in triggers(colleague, app)] == ["enabled"]


def test_without_waiting_a_run_that_did_not_come_is_told(
    cli: Cli, colleague: Colleague, ticking: tuple[str, datetime]
) -> None:
    """Whether the server picks the slot up before the publication is its own affair: the exit code says what it did."""
    name, slot = ticking
    app, good = broken(cli, colleague, name)
    wait_until_from(slot, -1)
    done = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "--no-wait-slot", "-o", "json")
    assert "waiting" not in done.err
    assert colleague.live(app)["graph"] == good
    if runs(colleague, app):
        assert done.code == 0, done.err + done.out
    else:
        assert done.code == 3, done.err + done.out
        assert f"at {slot:%Y-%m-%dT%H:%M:%SZ} did not come" in done.err
    assert [row["status"] for row in triggers(colleague, app)] == ["enabled"]


def test_slots_close_together_are_only_told(cli: Cli, colleague: Colleague, ticking: tuple[str, datetime]) -> None:
    name, _ = ticking
    app, good = broken(cli, colleague, name, cron_expression="* * * * *")
    done = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err + done.out
    assert "more often than every 5 minutes" in done.err
    assert "waiting" not in done.err
    assert colleague.live(app)["graph"] == good


def test_a_restored_app_starts_nothing_by_itself(cli: Cli, colleague: Colleague, ticking: tuple[str, datetime]) -> None:
    name, slot = ticking
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    colleague.call("DELETE", f"/apps/{colleague.app_id(name)}")
    done = cli("snapshot", "restore", name, "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err + done.out
    app = colleague.app_id(name)
    assert [row["status"] for row in triggers(colleague, app)] == ["disabled"]
    assert any("switched off" in text for text in done.json["data"]["apps"][0]["warnings"])
    wait_until_from(slot, 75)
    assert runs(colleague, app) == []
