"""A restore drill of all five modes on a real server: restored, proven, run, removed (``make test-live``)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.snapshot.colleague import Colleague

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
MODES = {
    "workflow": "wf-llm",
    "advanced-chat": "flow-chat",
    "chat": "chat-basic",
    "agent-chat": "agent",
    "completion": "completion-basic",
}


@pytest.fixture
def scratch(colleague: Colleague) -> Iterator[str]:
    """Make one published scratch app of each mode; yield how their names begin; remove them."""
    prefix, made = f"difyops-drilled-{secrets.token_hex(3)}", list[str]()
    try:
        for stem in MODES.values():
            text = (HERE / "dsl" / f"{stem}.yml").read_text()
            body = {"mode": "yaml-content", "yaml_content": text, "name": f"{prefix}-{stem}"}
            answer = colleague.call("POST", "/apps/imports", body)
            assert answer["status"].startswith("completed"), answer
            made.append(answer["app_id"])
            if stem in ("wf-llm", "flow-chat"):
                colleague.publish(answer["app_id"], "scratch")
        yield prefix
    finally:
        for app in made:
            colleague.call("DELETE", f"/apps/{app}")


def named(colleague: Colleague, part: str) -> list[str]:
    """Return the apps with this in their names, as scratch apps have it; others work on the server, too."""
    return sorted(row["name"] for row in colleague.call("GET", "/apps?limit=100")["data"] if part in row["name"])


def test_a_drill_of_all_five_modes(cli: Cli, colleague: Colleague, scratch: str) -> None:
    before = named(colleague, scratch)
    assert len(before) == len(MODES)
    assert cli("snapshot", "create", f"{scratch}-*").code == 0
    done = cli("drill", "run", f"{scratch}-*", "--allow-effects", "--yes", "-o", "json")
    assert done.json["data"] is not None, done.err
    found = done.json["data"]
    assert {(app["mode"], app["proven"], app["smoke"]) for app in found["apps"]} == {
        (mode, True, "passed") for mode in MODES
    }, found["findings"]
    assert [item for item in found["findings"] if item["word"] != "warn"] == []
    assert done.code == 0, done.err
    assert named(colleague, scratch) == before
    assert cli("changes", "list", "-o", "json").json["data"] == []
    print(
        f"\na drill of five modes: {found['rto']:.1f} s; slowest app {max(app['seconds'] for app in found['apps'])} s"
    )
    report = cli("drill", "report", "-o", "markdown")
    assert report.code == 0
    assert found["id"] in report.out or "pass" in report.out
