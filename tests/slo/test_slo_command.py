"""``difyops slo`` as a pipe sees it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from difyops.cli.root import run
from difyops.cli.session import Session, begin
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


@dataclass
class Kept:
    """An instance and what was kept of it."""

    emulator: Emulator
    url: str
    state: Path


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """An app with two days of runs, a fifth of which failed, read into a history once for all tests."""
    emulator, state, at = Emulator(), tmp_path_factory.mktemp("kept"), now()
    load_past(
        emulator.instance, emulator.app_named("wf-echo"),
        Past(count=300, since=at - 2 * DAY, until=at - 130, failing=0.2),
    )  # fmt: skip
    with emulator.listening() as url, pytest.MonkeyPatch.context() as patch:
        connect(patch, emulator, url, state)
        patch.chdir(state)
        begin(Session())
        assert run(["history", "sync", "mode:workflow", "--nodes", "30%", "-q"]) == 0
        yield Kept(emulator, url, state)


def connect(patch: pytest.MonkeyPatch, emulator: Emulator, url: str, state: Path) -> None:
    for name, value in {
        "DIFY_BASE_URL": url, "DIFY_EMAIL": emulator.email, "DIFY_PASSWORD": emulator.password,
        "DIFYOPS_STATE": str(state), "XDG_CONFIG_HOME": str(state), "HOME": str(state),
    }.items():  # fmt: skip
        patch.setenv(name, value)


@pytest.fixture
def busy(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The same instance with a state of the test's own."""
    shutil.copytree(kept.state, tmp_path / "state", dirs_exist_ok=True)
    connect(monkeypatch, kept.emulator, kept.url, tmp_path / "state")
    return kept.emulator


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
    forms = ("table", "json", "yaml", "ndjson", "markdown", "name")
    for place, verb in enumerate(("status", "report", "check", "export")):
        for form in ("table", forms[1 + place], forms[2 + place]):
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
