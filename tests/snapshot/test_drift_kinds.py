"""Drift sees what is set beside the workflow, too: name, description, icon, web page, tags, limit, triggers."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague


def kinds(cli: Cli) -> list[tuple[str, str, str]]:
    ran = cli("snapshot", "drift", "-o", "json")
    assert ran.code in (0, 5)
    return [(item["name"], item["kind"], item["what"]) for item in ran.json["data"]["apps"]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "wf-renamed"}, "name: 'wf-llm' -> 'wf-renamed'"),
        ({"description": "what it does now"}, "description: "),
        ({"icon": "🧨"}, "icon: icon"),
        ({"max_active_requests": 7}, "limit of concurrent requests: "),
    ],
)
def test_what_is_set_beside_the_workflow_is_drift(
    cli: Cli, connected: str, colleague: Colleague, change: dict[str, Any], told: str
) -> None:
    app = colleague.app_id("wf-llm")
    assert cli("snapshot", "create", "-q").code == 0
    assert kinds(cli) == []
    now = colleague.call("GET", f"/apps/{app}")
    body = {key: now[key] for key in ("name", "description", "icon_type", "icon", "icon_background")}
    colleague.call("PUT", f"/apps/{app}", {**body, **change})
    [(_, kind, what)] = kinds(cli)
    assert kind == "settings changed"
    assert told in what
    assert cli("snapshot", "create", "-q").code == 0
    assert kinds(cli) == []


def test_a_trigger_that_was_switched_is_drift_and_a_snapshot_takes_it_over(
    cli: Cli, connected: str, colleague: Colleague, emulator: Emulator
) -> None:
    app = colleague.app_id("wf-hook")
    assert cli("snapshot", "create", "-q").code == 0
    trigger = colleague.call("GET", f"/apps/{app}/triggers")["data"][0]
    colleague.call("POST", f"/apps/{app}/trigger-enable", {"trigger_id": trigger["id"], "enable_trigger": False})
    [(name, kind, what)] = kinds(cli)
    assert (name, kind) == ("wf-hook", "triggers changed")
    assert "enabled -> disabled" in what
    assert cli("snapshot", "create", "-q").code == 0
    assert kinds(cli) == []
