"""On a real server: what goals say of an app agrees with the rows of its log, read one by one (``make test-live``)."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import difyops.emulator
from tests.conftest import Cli
from tests.release.conftest import broken
from tests.snapshot.colleague import Colleague
from tests.waiting import let_pass

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

APPS = Path(difyops.emulator.__file__).parent / "known_apps"
GOOD, BAD = 24, 12
GOALS = """goals:
  - {{name: answers, apps: [{app}], kind: availability, target: 99, period: 7d, minimum_events: 20}}
  - {{name: fast, apps: [{app}], kind: latency, within: {within}s, target: 90, period: 7d, minimum_events: 20}}
"""


@pytest.fixture
def app(colleague: Colleague) -> Iterator[str]:
    """Make one published scratch workflow with a key; yield its id; remove it."""
    text = (APPS / "wf-echo.yml").read_text()
    body = {"mode": "yaml-content", "yaml_content": text, "name": f"difyops-live-slo-{secrets.token_hex(3)}"}
    made = colleague.call("POST", "/apps/imports", body)["app_id"]
    try:
        colleague.publish(made, "scratch")
        colleague.call("POST", f"/apps/{made}/api-keys", {})
        yield str(made)
    finally:
        colleague.call("DELETE", f"/apps/{made}")


def log_rows(colleague: Colleague, app: str) -> list[dict[str, object]]:
    """Return the runs in the log of an app."""
    body = colleague.call("GET", f"/apps/{app}/workflow-app-logs?page=1&limit=100")
    assert body["has_more"] is False
    return [row["workflow_run"] for row in body["data"]]


def test_a_report_agrees_with_the_log(cli: Cli, colleague: Colleague, app: str, own_place: Path) -> None:
    for number in range(GOOD):
        colleague.run(app, {"text": f"hi {number}"})
    colleague.edit(app, broken)
    colleague.publish(app)
    for number in range(BAD):
        colleague.run(app, {"text": f"hi {number}"})

    def all_are_there() -> bool:
        cli("history", "sync", app, "--nodes", "100%")
        rows = cli("history", "status", "-o", "json").json["data"]["apps"]
        return bool(sum(row["runs"] for row in rows) == GOOD + BAD)

    for _ in range(60):  # a sync leaves out the last two minutes: runs may still be written
        if all_are_there():
            break
        let_pass(5)
    rows = log_rows(colleague, app)
    statuses = Counter(row["status"] for row in rows)
    assert statuses == {"succeeded": GOOD, "failed": BAD}
    times = sorted(float(str(row["elapsed_time"])) for row in rows if row["status"] == "succeeded")
    within = round(times[GOOD // 2], 3) + 0.0005
    (own_place / "slo.yaml").write_text(GOALS.format(app=app, within=within))
    found = cli("slo", "report", "-o", "json")
    assert found.json["data"] is not None, found.err
    goals = {goal["goal"]: goal for goal in found.json["data"]["goals"]}
    assert (goals["answers"]["events"], goals["answers"]["bad"]) == (GOOD + BAD, BAD)
    assert goals["answers"]["classes"] == {"good": GOOD, "ours": BAD}
    assert goals["answers"]["verdict"] == "burning"
    assert goals["answers"]["share"] == pytest.approx(GOOD / (GOOD + BAD))
    assert (goals["fast"]["events"], goals["fast"]["bad"]) == (GOOD, sum(value > within for value in times))
    assert cli("slo", "check", "answers").code == 5
