"""``difyops slo`` as a pipe sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difyops.dsl.load import load_yaml
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from tests.conftest import Cli
from tests.history.conftest import DAY, now
from tests.places import context_name

GOALS = """\
goals:
  - name: echo-works
    apps: [wf-echo]
    target: {target}
    counts: [ours, provider]
  - name: echo-fast
    apps: ["mode:workflow"]
    kind: latency
    within: 60s
    target: 90
  - name: rare
    apps: ["wf-cron"]
    target: 99
"""


@pytest.fixture
def busy(emulator: Emulator, connected: str, cli: Cli) -> Emulator:
    """An app with a week of runs, a fifth of which failed."""
    at = now()
    plan = Past(count=300, since=at - 2 * DAY, until=at - 130, failing=0.2)
    load_past(emulator.instance, emulator.app_named("wf-echo"), plan)
    assert cli("history", "sync", "mode:workflow", "--nodes", "30%").code == 0
    return emulator


def test_check_says_no_and_agrees_with_the_log(cli: Cli, busy: Emulator, tmp_path: Path) -> None:
    Path("slo.yaml").write_text(GOALS.format(target=99.5))
    found = cli("slo", "check", "-o", "json")
    assert found.code == 5, found.err
    rows = {goal["goal"]: goal for goal in found.json["data"]["goals"]}
    runs = busy.app_named("wf-echo").runs
    assert rows["echo-works"]["verdict"] == "burning"
    assert rows["echo-works"]["events"] == len(runs)
    assert rows["echo-works"]["bad"] == sum(run.status == "failed" for run in runs)
    assert rows["echo-works"]["classes"]["provider"] == rows["echo-works"]["bad"]
    assert rows["echo-fast"]["verdict"] == "ok"
    assert rows["rare"]["verdict"] == "not enough events"
    assert cli("slo", "status").code == 0


def test_too_few_events_are_0_with_a_warning_and_3_where_they_are_required(cli: Cli, busy: Emulator) -> None:
    Path("slo.yaml").write_text(GOALS.format(target=50))
    found = cli("slo", "check")
    assert found.code == 0
    assert "not enough events to judge: rare" in found.err
    assert cli("slo", "check", "--require-events").code == 3
    assert cli("slo", "check", "echo-works", "--require-events").code == 0


def test_every_format_and_no_call(cli: Cli, busy: Emulator, tmp_path: Path) -> None:
    Path("slo.yaml").write_text(GOALS.format(target=99.5))
    busy.control.reset_counts()
    for verb in ("status", "report", "check", "export"):
        for form in ("table", "json", "yaml", "ndjson", "markdown", "name"):
            shown = cli("slo", verb, "-o", form)
            assert shown.code == (5 if verb == "check" else 0), (verb, form, shown.err)
            assert shown.out
    page = tmp_path / "slo.prom"
    assert cli("slo", "check", "--as", f"prometheus={page}", "--as", "nagios").code == 2
    text = page.read_text()
    where = f'slo="slo",context="{context_name()}",case="echo-works"'
    assert f'difyops_slo_case_value{{{where},name="bad_total"' in text
    assert busy.control.counts()["total"] == 0


def test_rules_are_written(cli: Cli, busy: Emulator) -> None:
    Path("slo.yaml").write_text(GOALS.format(target=99.5))
    body = load_yaml(cli("slo", "export").out)
    assert body["groups"][0]["name"].startswith("sloth-slo-sli-recordings-dify-")
    spec = load_yaml(cli("slo", "export", "echo-works", "--to", "sloth").out)
    assert [item["name"] for item in spec["slos"]] == ["echo-works"]
    assert cli("slo", "export", "--to", "grafana").code == 2


def test_init_writes_goals_that_hold(cli: Cli, busy: Emulator) -> None:
    assert cli("slo", "init", "--dry-run").code == 0
    assert not Path("slo.yaml").exists()
    assert cli("slo", "init").code == 0
    assert cli("slo", "init").code == 2
    names = json.loads(cli("slo", "status", "-o", "json").out)["data"]["goals"]
    assert [goal["goal"] for goal in names][:2] == ["wf-echo-availability", "wf-echo-latency"]


def test_what_the_command_line_refuses(cli: Cli, busy: Emulator) -> None:
    assert cli("slo", "check").code == 2
    Path("slo.yaml").write_text("goals:\n  - name: a\n    apps: [nobody]\n    target: 9\n")
    found = cli("slo", "check")
    assert found.code == 2
    assert "slo.yaml:2: goal a" in found.err
    assert cli("slo", "check", "b").code == 2
    assert cli("slo", "check", "--as", "nagios").code == 3


def test_the_budget_is_in_the_performance_report(cli: Cli, busy: Emulator) -> None:
    assert cli("perf", "report", "wf-echo", "-o", "json").json["data"]["budgets"] == []
    Path("slo.yaml").write_text(GOALS.format(target=99.5))
    budgets = cli("perf", "report", "wf-echo", "-o", "json").json["data"]["budgets"]
    assert [item["goal"] for item in budgets] == ["echo-works", "echo-fast"]
    assert budgets[0]["series"][-1][1] == pytest.approx(budgets[0]["left"])
    assert "<h2>Error budgets</h2>" in cli("perf", "report", "wf-echo", "-o", "html").out
