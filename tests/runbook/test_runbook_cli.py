"""The door: exit codes, formats, history, reports, undo, new; and a run that is killed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from difyops.runbook.library import shipped_folder
from difyops.runbook.load import load
from tests.cli.processes import on_terminal
from tests.conftest import Cli
from tests.processes import Process
from tests.runbook.runbook_tools import Stage
from tests.waiting import wait_until

HEAD = "runbook: trial\ntitle: A trial\nwhy: To see.\nnext: [Look., Write.]\nsteps:\n"
GOOD = "  - {id: room, title: There is room, check: disk, with: {path: /, min_free_percent: 0}}\n"
BAD = "  - {id: full, title: It is full, check: disk, with: {path: /, min_free_percent: 101}}\n"
OPEN = "  - {id: unknown, title: Nobody knows, check: disk, with: {path: /no/such/folder}}\n"


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    return tmp_path / "trial.yaml"


@pytest.mark.parametrize(
    ("steps", "code", "word"), [(GOOD, 0, "pass"), (GOOD + BAD + OPEN, 5, "fail"), (GOOD + OPEN, 3, "inconclusive")]
)
def test_the_exit_code_says_what_was_found_and_one_line_says_it_in_words(
    cli: Cli, trial: Path, steps: str, code: int, word: str
) -> None:
    trial.write_text(HEAD + steps)
    ran = cli("runbook", "run", str(trial), "-o", "json")
    assert ran.code == code
    assert ran.json["kind"] == "runbook.run"
    assert ran.json["data"]["verdict"] == word
    assert ran.json["ok"] is (code == 0)
    assert f"trial: {word} (" in ran.err
    quiet = cli("runbook", "run", str(trial), "-q")
    assert quiet.code == code
    assert ("There is room" in quiet.out) is (code != 0)  # quiet: nothing on success


def test_a_broken_runbook_is_a_usage_error_with_its_place(cli: Cli, trial: Path) -> None:
    trial.write_text(HEAD + "  - {id: a, check: dsk}\n")
    ran = cli("runbook", "run", str(trial))
    assert ran.code == 2
    assert "trial.yaml:6: steps[0].check" in ran.err
    linted = cli("runbook", "lint", str(trial), "-o", "json")
    assert linted.code == 5
    assert linted.json["data"][0]["line"] == 6
    assert cli("runbook", "run", "no-such-runbook").code == 2
    assert cli("runbook", "run").code == 2


def test_the_other_formats_go_to_files_and_nagios_has_its_own_exit_codes(cli: Cli, trial: Path, tmp_path: Path) -> None:
    trial.write_text(HEAD + GOOD + BAD)
    ran = cli(
        "runbook", "run", str(trial), "--as", f"junit={tmp_path}/out.xml", "--as", f"tap={tmp_path}/out.tap",
        "--as", f"prometheus={tmp_path}/out.prom", "--as", "nagios",
    )  # fmt: skip
    assert ran.code == 2
    assert ran.out.startswith("DIFYOPS CRITICAL - trial: It is full")
    assert ElementTree.parse(tmp_path / "out.xml").getroot()[0].get("failures") == "1"
    assert (tmp_path / "out.tap").read_text().startswith("TAP version 13")
    assert "difyops_runbook_state" in (tmp_path / "out.prom").read_text()
    kept = (tmp_path / "out.prom").read_bytes()
    assert cli("runbook", "run", str(trial), "--dry-run", "--as", f"prometheus={tmp_path}/out.prom").code == 5
    assert (tmp_path / "out.prom").read_bytes() == kept
    trial.write_text(HEAD + OPEN)
    assert cli("runbook", "run", str(trial), "--as", "nagios").code == 3
    trial.write_text(HEAD + GOOD)
    good = cli("runbook", "run", str(trial), "--as", "nagios")
    assert good.code == 0
    assert good.out.startswith("DIFYOPS OK")
    lost = cli("runbook", "run", "no-such-runbook", "--as", "nagios")
    assert (lost.code, lost.out[:15]) == (3, "DIFYOPS UNKNOWN")
    for wrong in (
        ["--approve", "nothing"],
        ["--as", "xml"],
        ["--as", "junit=/no/such/folder/out.xml"],
        ["--as", "tap", "--as", "nagios"],
        ["--set", "x"],
        ["--set", "x=1"],
    ):
        assert cli("runbook", "run", str(trial), *wrong).code == 2


def test_runs_are_listed_and_reported(cli: Cli, trial: Path, tmp_path: Path) -> None:
    trial.write_text(HEAD + GOOD + BAD)
    cli("runbook", "run", str(trial))
    cli("runbook", "run", str(trial))
    listed = cli("runbook", "list", "--since", "1h", "-o", "json")
    assert [row["verdict"] for row in listed.json["data"]] == ["fail", "fail"]
    assert cli("runbook", "list", "--since", "2099-01-01", "-o", "json").json["data"] == []
    run_ids = [row["run"] for row in listed.json["data"]]
    narrow = on_terminal(["runbook", "list", "--since", "1h"]).text
    assert all(run_id in narrow for run_id in run_ids), narrow  # to be copied from any screen
    run_id = listed.json["data"][0]["run"]
    report = cli("runbook", "report", run_id, "-o", "markdown", "--write", str(tmp_path / "report.md"))
    assert report.code == 0
    for words in ("### Incident report", "### Timeline", "### Post-mortem", "**cause**", "It is full"):
        assert words in report.out
    assert (tmp_path / "report.md").read_text() == report.out
    assert cli("runbook", "report", "trial").code == 0
    for wrong in ("soon", "999999999d", "-3d", ""):
        assert cli("runbook", "list", "--since", wrong).code == 2, wrong
    assert len(cli("runbook", "report", "--since", "1h", "-o", "json").json["data"]) == 2
    assert cli("runbook", "report", "nothing").code == 2


def test_a_new_runbook_lints_is_found_and_is_not_overwritten(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "difyops.yaml").write_text("contexts: {}\n")
    assert cli("runbook", "new", "my-book", "--dry-run").code == 0
    assert not (tmp_path / "runbooks").exists()
    made = cli("runbook", "new", "my-book")
    assert made.code == 0
    assert cli("runbook", "lint", "my-book").code == 0
    assert "my-book" in cli("runbook", "list", "-o", "name").out.split()
    assert cli("runbook", "new", "my-book").code == 8
    assert cli("runbook", "new", "../Evil").code == 2


def test_shipped_runbooks_are_listed_shown_and_hidden_by_ones_of_the_same_name(cli: Cli, tmp_path: Path) -> None:
    listed = cli("runbook", "list", "-o", "json").json["data"]
    assert len(listed) == 19
    assert all(row["origin"] == "shipped" and not row["problems"] for row in listed)
    shown = cli("runbook", "show", "stuck-runs")
    for words in ("why:", "symptom:", "What a person does next", "runs.stuck"):
        assert words in shown.out
    assert "look at the provider" in cli("runbook", "show", "latency-and-failure-spike").out
    assert "percent" in cli("runbook", "show", "disk").out
    assert "app.switch_model" in cli("runbook", "show", "--checks").out
    assert cli("runbook", "lint").code == 0
    (tmp_path / "difyops.yaml").write_text("runbooks: books\n")
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "stuck-runs.yaml").write_text(HEAD.replace("trial\n", "stuck-runs\n", 1) + GOOD)
    assert cli("runbook", "list").code == 8  # the file was found, and says which folder to read
    assert cli("trust", "--yes").code == 0
    rows = {row["name"]: row for row in cli("runbook", "list", "-o", "json").json["data"]}
    assert "project, hides shipped" in cli("runbook", "list").out
    assert rows["stuck-runs"]["origin"] == "project"
    assert len(rows) == 19


@pytest.mark.parametrize("name", [path.stem for path in sorted(shipped_folder().glob("*.yaml"))])
def test_a_runbook_is_a_document_in_which_no_reference_or_name_is_broken_on_a_narrow_terminal(name: str) -> None:
    shown = on_terminal(["runbook", "show", name], columns=80)
    assert shown.code == 0, shown.text
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.text.splitlines()]
    assert max(map(len, lines)) <= 80
    for step in load(shipped_folder() / f"{name}.yaml").steps:
        wanted = {reference for value in step.parameters.values() for reference in re.findall(r"\$\{.+?\}", str(value))}
        wanted |= set(re.findall(r"(?:inputs|steps)[\w.]+", step.when.text)) if step.when else set()
        for word in (*wanted, step.tool.name):
            assert any(word in line for line in lines), word


def test_names_and_found_values_stay_whole_on_a_narrow_terminal(trial: Path) -> None:
    listed = on_terminal(["runbook", "list"], columns=80).text
    assert all(f"{path.stem} " in listed for path in shipped_folder().glob("*.yaml")), listed
    trial.write_text(HEAD + GOOD + "  - {id: away, check: disk, with: {path: /no/such/folder/anywhere}}\n")
    ran = on_terminal(["runbook", "run", str(trial)], columns=80).text
    assert "/no/such/folder/anywhere" in ran
    assert "limit below 0" in " ".join(ran.split())


def test_without_any_store_the_backup_fails_and_its_action_makes_one(
    cli: Cli, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in stage.environment.items():
        monkeypatch.setenv(key, value)
    book = ["runbook", "run", "backup-freshness", "-o", "json"]
    dry = cli(*book, "--dry-run")
    assert dry.code == 5, dry.out
    assert not (stage.folder / "snapshots").exists()
    looked = cli(*book)
    assert looked.code == 5, looked.out
    assert "there is no snapshot of" in looked.json["data"]["steps"][0]["text"]
    assert not (stage.folder / "snapshots").exists()
    acted = {step["id"]: step["result"] for step in cli(*book, "--act", "--yes").json["data"]["steps"]}
    assert (acted["age"], acted["take"], acted["after"]) == ("fail", "pass", "pass")
    assert cli(*book).code == 0


def test_actions_want_act_and_a_yes_and_are_taken_back(
    cli: Cli, stage: Stage, trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in stage.environment.items():
        monkeypatch.setenv(key, value)
    trial.write_text(HEAD + "  - {id: off, action: app.disable_api, with: {app: wf-echo}}\n")
    state = stage.emulator.app_named("wf-echo")
    assert cli("runbook", "run", str(trial)).code == 0
    dry = cli("runbook", "run", str(trial), "--act", "--dry-run", "-o", "json")
    assert "dry run: switch the API" in dry.json["data"]["steps"][0]["text"]
    refused = cli("runbook", "run", str(trial), "--act")
    assert refused.code == 8
    assert state.enable_api
    done = cli("runbook", "run", str(trial), "--act", "--yes", "-o", "json")
    assert done.code == 0
    assert not state.enable_api
    run_id = done.json["data"]["run"]
    elsewhere = stage.folder / "difyops.yaml"
    elsewhere.write_text(
        f"contexts:\n  other: {{url: '{stage.url}', admin_key: 'env:DIFYOPS_ADMIN_KEY',"
        f" workspace_id: {stage.emulator.workspace_id}}}\n"
    )
    wrong = cli("runbook", "run", "--undo", run_id, "--yes", "-c", "other")
    assert wrong.code == 8  # what has the same name there was not changed
    assert not state.enable_api
    assert cli("runbook", "run", "--undo", run_id, "--yes").code == 0
    assert state.enable_api


def test_an_approval_needs_a_person_or_to_be_named(cli: Cli, trial: Path) -> None:
    trial.write_text(
        HEAD + "  - {id: ask, action: approve, with: {question: Go on?}}\n"
        "  - {id: then, check: disk, with: {path: /, min_free_percent: 0}, needs: [ask]}\n"
    )
    assert cli("runbook", "run", str(trial), "--act", "--yes").code == 8
    approved = cli("runbook", "run", str(trial), "--act", "--yes", "--approve", "ask", "-o", "json")
    assert approved.code == 0
    assert approved.json["data"]["counts"]["pass"] == 2


def test_the_deadline_of_the_command_ends_the_run_with_a_record(cli: Cli, trial: Path) -> None:
    trial.write_text(HEAD + GOOD + "  - {id: slow, check: command, with: {argv: [sleep, '600'], patience: 900}}\n")
    ran = cli("runbook", "run", str(trial), "--deadline", "1s", "-o", "json")
    assert ran.code == 3
    assert ran.json["data"]["counts"] == {"pass": 1, "warn": 0, "fail": 0, "inconclusive": 1, "skipped": 0}


def test_secrets_behind_references_are_nowhere_in_the_evidence(
    cli: Cli, trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = "canary-reference-55"
    monkeypatch.setenv("CANARY_TOKEN", canary)
    trial.write_text(
        HEAD
        + "  - {id: say, check: command, with: {argv: [sh, -c, 'echo token $CANARY_TOKEN'], env: [CANARY_TOKEN]}}\n"
        "  - {id: ask, check: http, with: {url: 'http://127.0.0.1:9/', bearer: 'env:CANARY_TOKEN', patience: 1}}\n"
        "  - {id: again, check: command, needs: [say], when: steps.ask.status == 'fail',"
        " with: {argv: [sh, -c, 'echo token $CANARY_TOKEN'], env: [CANARY_TOKEN]}}\n"
    )
    ran = cli("runbook", "run", str(trial), "-o", "json")
    again = next(step for step in ran.json["data"]["steps"] if step["id"] == "again")
    assert canary not in json.dumps(again)
    report = cli("runbook", "report", "latest", "-o", "json")
    assert canary not in json.dumps([step for step in report.json["data"]["run"]["steps"] if step["id"] == "again"])


KILLED = """\
runbook: trial
title: A trial
why: To see.
steps:
  - {id: first, check: disk, with: {path: /, min_free_percent: 0}}
  - {id: act, action: command, needs: [first], timeout: 60s,
     with: {argv: [sh, -c, 'touch begun; sleep 30'], patience: 60, undo: rm begun}}
  - {id: last, check: disk, with: {path: /}, needs: [act]}
"""


def _start(tmp_path: Path, trial: Path) -> Process:
    process = Process(
        [sys.executable, "-m", "difyops", "runbook", "run", str(trial), "--act", "--yes"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: (tmp_path / "begun").exists() or process.poll() is not None)
    return process


def test_a_run_that_is_killed_is_on_record_with_what_it_had_begun(cli: Cli, trial: Path, tmp_path: Path) -> None:
    trial.write_text(KILLED)
    process = _start(tmp_path, trial)
    running = cli("runbook", "list", "--since", "1h", "-o", "json").json["data"][0]
    assert running["state"] == "running"
    second = cli("runbook", "run", str(trial), "--act", "--yes")
    assert second.code == 8
    assert "Another difyops process" in second.err
    process.send_signal(signal.SIGKILL)
    process.wait()
    (row,) = cli("runbook", "list", "--since", "1h", "-o", "json").json["data"]
    assert (row["state"], row["verdict"]) == ("killed", "fail")
    report = cli("runbook", "report", row["run"], "-o", "json").json["data"]
    steps = {step["id"]: step for step in report["run"]["steps"]}
    assert steps["first"]["result"] == "pass"
    assert "state is unknown" in steps["act"]["text"]
    assert steps["act"]["undo"] == "rm begun"
    assert "KILLED" in report["incident"]["verdict"]


@pytest.mark.parametrize(("sent", "deadline", "code"), [(signal.SIGINT, "60s", 130), (None, "2s", 3)])
def test_a_question_that_nobody_answers_does_not_outlive_its_run(
    trial: Path, tmp_path: Path, sent: signal.Signals | None, deadline: str, code: int
) -> None:
    trial.write_text(HEAD + "  - {id: act, title: Touch, action: command, with: {argv: [touch, begun]}}\n")
    words = ["runbook", "run", str(trial), "--act", "--deadline", deadline]
    shown = on_terminal(words, environment={"PWD": str(tmp_path)}, sent=sent)
    assert shown.code == code, shown.text
    assert not Path("begun").exists()


def test_a_person_who_interrupts_sees_what_was_done_and_how_to_undo_it(trial: Path) -> None:
    trial.write_text(
        HEAD + "  - {id: first, title: Touch, action: command, with: {argv: ['true'], undo: rm begun}}\n"
        "  - {id: sure, title: Is it well?, action: approve, with: {question: Well?}, needs: [first]}\n"
    )
    shown = on_terminal(["runbook", "run", str(trial), "--act", "--yes"], columns=140, sent=signal.SIGINT)
    assert shown.code == 130, shown.text
    assert "rm begun" in shown.text
    assert "--undo" in shown.text


def test_a_run_that_is_interrupted_ends_with_130_and_a_record(cli: Cli, trial: Path, tmp_path: Path) -> None:
    trial.write_text(KILLED)
    process = _start(tmp_path, trial)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    (row,) = cli("runbook", "list", "--since", "1h", "-o", "json").json["data"]
    assert row["state"] == "interrupted"


def test_a_runbook_that_is_not_there_is_a_matter_of_usage(cli: Cli) -> None:
    for words in (("run", "no-such"), ("show", "no-such"), ("run", "gone.yaml")):
        ran = cli("runbook", *words)
        assert (ran.code, "There is no" in ran.err, "hint: " in ran.err) == (2, True, True)
