"""The action of GitHub: what its inputs say is run by its own steps, against the emulator."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from difyops import __version__
from tests.deploy.steps import ROOT, Job, document, programs

ACTION = document("action.yml")
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"]}


@pytest.fixture
def place(tmp_path: Path, program: Path) -> Path:
    """Where the action is installed already: Python with difyops, and the program."""
    folder = tmp_path / "place"
    folder.mkdir()
    programs(folder / "bin", program, python=f'exec {sys.executable} "$@"')
    return folder


def job(folder: Path, place: Path | None = None, **inputs: str) -> Job:
    """A runner on which the action is used."""
    names = {f"inputs.{name}": value.get("default", "") for name, value in ACTION["inputs"].items()}
    names |= {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
    names |= {"github.action_path": str(ROOT), "steps.install.outputs.place": str(place)}
    return Job(folder=folder, names=names, environment=dict(os.environ))


@pytest.mark.usefixtures("connected")
def test_lines_are_run_and_told_in_the_summary(tmp_path: Path, place: Path) -> None:
    on = job(
        tmp_path, place, store="kept", run="# first\ndifyops app list 'wf-echo' \\\n  -o name\n\ncontext show -o json\n"
    )
    done = on.step(STEPS["run"])
    assert done is not None
    assert done.returncode == 0, on.log
    assert on.names["steps.run.outputs.exit-code"] == "0"
    assert "\nwf-echo\n" in on.log
    assert "environment DIFYOPS_STORE" in on.log
    assert "| `difyops app list wf-echo -o name` | 0 | It is done, or the answer is yes. |" in on.summary


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize(
    ("allow", "keep_going", "code", "ran"), [("", "false", 5, 1), ("3, 5", "false", 0, 2), ("", "true", 5, 2)]
)
def test_a_line_that_says_no(tmp_path: Path, place: Path, allow: str, keep_going: str, code: int, ran: int) -> None:
    (tmp_path / "number.json").write_text('{"type": "integer"}')
    (tmp_path / "answer.txt").write_text('"none"')
    lines = "validate answer.txt --schema number.json\nexplain 5"
    on = job(tmp_path, place, run=lines, allow=allow, keep_going=keep_going)
    done = on.step(STEPS["run"])
    assert done is not None
    assert done.returncode == code, on.log
    assert on.names["steps.run.outputs.exit-code"] == "5"
    assert on.log.count("::group::") == ran
    assert ("1 more not run" in on.summary) == (ran == 1)


def test_no_shell_reads_the_lines_and_no_text_is_a_workflow_command(tmp_path: Path, place: Path) -> None:
    on = job(tmp_path, place, run="explain '$(touch made)' `touch made`; touch made")
    done = on.step(STEPS["run"])
    assert done is not None
    assert done.returncode == 2
    assert not (tmp_path / "made").exists()
    stops = re.findall(r"::stop-commands::(\w{32})\n(?:.*\n)*?::\1::\n", done.stdout)
    assert len(stops) == 1


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("given", [{"run": ""}, {"run": 'app list "'}, {"run": "app list", "allow": "five"}])
def test_inputs_that_cannot_be_read(tmp_path: Path, place: Path, given: dict[str, str]) -> None:
    on = job(tmp_path, place, **given)
    done = on.step(STEPS["run"])
    assert done is not None
    assert done.returncode == 2
    assert done.stdout.startswith("::error::The input")


def test_inputs_reach_the_shell_by_the_environment_only() -> None:
    assert not [step for step in STEPS.values() if "${{" in step.get("run", "")]


@pytest.mark.long
@pytest.mark.timeout(1800)  # it asks the registry
@pytest.mark.usefixtures("connected")
def test_it_installs_from_its_own_ref(tmp_path: Path) -> None:
    on = job(tmp_path, run="app list")
    on.names["steps.python.outputs.python-path"] = sys.executable
    for name in ("install", "run"):
        on.step(STEPS[name])
    assert not on.failed, on.log
    place = on.names["steps.install.outputs.place"]
    assert (tmp_path / "runner" / "github_path").read_text().strip() == f"{place}/bin"
    assert Path(place).is_relative_to(tmp_path)
    assert on.names["steps.install.outputs.version"] == __version__
