"""The nightly pipelines of GitHub and GitLab, carried out as copied, against the emulator and a bare repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.deploy.steps import Job, document, programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The repository that keeps the snapshots, empty as it is when it was just made."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(tmp_path / "kept.git")], check=True)
    return tmp_path / "kept.git"


def runner(folder: Path, program: Path, emulator: Emulator, **more: str) -> dict[str, str]:
    """A fresh machine with what the platform sets; ``pip`` says that it was asked for a ref of difyops."""
    folder.mkdir()
    pip = 'case "$*" in *"difyops @ git+https://github.com/difyops/difyops@"?*) ;; *) exit 9 ;; esac'
    python = 'shift 2; exec pip "$@"'
    path = programs(folder / "bin", program, pip=pip, python=python)
    home = {"DIFYOPS_STATE": str(folder / "state"), "HOME": str(folder)}
    return {**os.environ, **home, "PATH": path, "DIFY_PASSWORD": emulator.password, **more}


def branches(repository: Path) -> dict[str, int]:
    """Return how many commits each branch holds."""
    asked = ["git", "-C", str(repository), "for-each-ref", "--format=%(refname:short)", "refs/heads"]
    names = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    count = ["git", "-C", str(repository), "rev-list", "--count"]
    return {
        name: int(subprocess.run([*count, name], capture_output=True, text=True, check=True).stdout) for name in names
    }


@pytest.mark.usefixtures("connected")
def test_two_nights_on_github(tmp_path: Path, repository: Path, emulator: Emulator, program: Path) -> None:
    job = document(".github/workflows/snapshot.yml")["jobs"]["snapshot"]
    names = {f"secrets.{name}": os.environ.get(name, "") for name in job["env"]}
    names["secrets.DIFY_PASSWORD"] = emulator.password
    shown = []
    for night in ("first", "second"):
        on = Job(folder=tmp_path / night, names=names, environment=runner(tmp_path / night, program, emulator))
        on.environment |= {name: on.filled(str(value)) for name, value in job["env"].items()}
        subprocess.run(["git", "clone", "-q", str(repository), str(tmp_path / night / "store")], check=True)
        for step in job["steps"]:
            on.step(step)
        assert not on.failed, on.log
        shown.append((on.summary, branches(repository)))
        emulator.play("break", "wf-echo")
    (first, kept), (second, then) = shown
    assert "wf-echo" not in first
    assert "wf-echo" in second
    assert {name: count + 1 for name, count in kept.items()} == then
    assert len(kept) == 1


@pytest.mark.usefixtures("connected")
def test_two_nights_on_gitlab(tmp_path: Path, repository: Path, emulator: Emulator, program: Path) -> None:
    job = document("deploy/gitlab-ci.yml")["nightly snapshot"]
    for night in ("first", "second"):
        place = tmp_path / night
        given = runner(
            place, program, emulator, PUSH_URL=str(repository), CI_PROJECT_DIR=str(place), CI_PIPELINE_ID="7"
        )
        for name, value in job["variables"].items():
            given[name] = value.replace("$CI_PROJECT_DIR", str(place))
        lines = [*job["before_script"], *job["script"]]
        script = "\n".join(["set -eo pipefail", *lines])
        done = subprocess.run(["bash", "-c", script], cwd=place, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        report = place / "drift.xml"
        assert report.exists() == (night == "second")
        emulator.play("break", "wf-echo")
    assert "wf-echo" in report.read_text()
    assert list(branches(repository).values()) == [2]
