"""On a real server: the sum over the leaves is what the nodes of its runs say, asked one by one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.snapshot.colleague import Colleague
from tests.waiting import let_pass

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
DSL = Path(__file__).parent / "dsl" / "wf-llm.yml"


def _rows(colleague: Colleague, app: str) -> list[dict[str, Any]]:
    """Return the node rows of all production runs of an app."""
    http, found, page = colleague.http, [], 1
    while True:
        answer = http.get(f"/console/api/apps/{app}/workflow-app-logs", params={"page": page, "limit": 100})
        answer.raise_for_status()
        body = answer.json()
        for row in body["data"]:
            nodes = http.get(f"/console/api/apps/{app}/workflow-runs/{row['workflow_run']['id']}/node-executions")
            nodes.raise_for_status()
            found += nodes.json()["data"]
        if not body["has_more"]:
            return found
        page += 1


@pytest.fixture
def asked(colleague: Colleague, cli: Cli) -> Iterator[None]:
    """Make one published scratch app, ask it, and wait until a sync has its runs; remove it."""
    body = {
        "mode": "yaml-content",
        "yaml_content": DSL.read_text(),
        "name": f"difyops-live-cost-{secrets.token_hex(3)}",
    }
    app = str(colleague.call("POST", "/apps/imports", body)["app_id"])
    try:
        colleague.publish(app, "scratch")
        colleague.call("POST", f"/apps/{app}/api-keys")
        for number in range(3):
            colleague.run(app, {"query": f"hi {number}", "tone": "plain"})
        for _ in range(60):  # a sync leaves out the last two minutes: runs may still be written
            cli("history", "sync", app, "--nodes", "100%")
            if sum(row["runs"] for row in cli("history", "status", "-o", "json").json["data"]["apps"]) == 3:
                break
            let_pass(5)
        yield
    finally:
        colleague.call("DELETE", f"/apps/{app}")


@pytest.mark.usefixtures("asked")
def test_the_sum_is_what_the_nodes_say(colleague: Colleague, cli: Cli) -> None:
    assert cli("history", "sync", "mode:workflow", "--nodes", "100%", "--since", "365d").code == 0
    found = cli("cost", "summary", "mode:workflow", "--since", "364d", "-o", "json")
    assert found.code == 0, found.err
    data = found.json["data"]
    rows = []
    for app in cli("app", "list", "-o", "json").json["data"]:
        if app["mode"] == "workflow":
            rows += _rows(colleague, app["id"])
    leaves = [
        row for row in rows if ":retry:" not in row["id"] and row["node_type"] not in ("iteration", "loop", "tool")
    ]
    wanted, tokens = Decimal(0), 0
    for row in leaves:
        meta = row.get("execution_metadata") or {}
        wanted += Decimal(str(meta.get("total_price") or 0))
        tokens += int(meta.get("total_tokens") or 0)
    assert tokens > 0
    assert data["total"]["tokens"] == tokens
    assert sum(Decimal(item["amount"]) for item in data["total"]["said"]) == wanted
    assert data["total"]["exact"] is True
