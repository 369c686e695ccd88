"""The workflows and ``.ci/run`` say what the project promises: every Python, with the lock, and weekly without it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYTHONS = [
    line.rsplit(" ", 1)[1]
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    if re.search(r":: 3\.\d+$", line)
]


def workflow(name: str) -> dict[Any, Any]:
    found = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_few_rights_and_an_end(path: Path) -> None:
    found = yaml.safe_load(path.read_text())
    assert "permissions" in found
    assert all("timeout-minutes" in job for job in found["jobs"].values())


@pytest.mark.parametrize("name", ["tests.yml", "newest.yml"])
def test_every_python_of_the_classifiers_is_tried(name: str) -> None:
    job = next(iter(workflow(name)["jobs"].values()))
    assert job["strategy"]["matrix"]["python"] == PYTHONS


def test_the_newest_releases_are_tried_by_themselves_on_a_schedule() -> None:
    found = workflow("newest.yml")
    assert found[True]["schedule"]
    steps = [step.get("run", "") for step in found["jobs"]["newest"]["steps"]]
    assert steps.index("make newest") < steps.index("make test")


def test_lifting_the_bounds_leaves_a_project_without_upper_bounds(tmp_path: Path) -> None:
    lift = next(
        step["run"] for step in workflow("newest.yml")["jobs"]["newest"]["steps"] if "sed" in step.get("run", "")
    )
    copy = tmp_path / "pyproject.toml"
    copy.write_text((ROOT / "pyproject.toml").read_text())
    command = lift.split(" && ")[0].replace("sed -i -E", "sed -E") + " > lifted.toml"
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    lifted = tomllib.loads((tmp_path / "lifted.toml").read_text())["project"]
    requirements = [
        *lifted["dependencies"],
        *(line for extra in lifted["optional-dependencies"].values() for line in extra),
    ]
    assert len(requirements) > 30
    assert [line for line in requirements if "<" in line] == []


def test_make_newest_goes_past_the_lock_and_the_other_targets_do_not() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "-B", "setup"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    installs = [line for line in done.stdout.splitlines() if " pip " in line]
    assert all("--no-deps" in line for line in installs)
    assert sum("--require-hashes" in line for line in installs) == 2
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "newest"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ".lock" not in done.stdout


def test_a_release_is_published_without_a_kept_token_and_attested() -> None:
    jobs = workflow("release.yml")["jobs"]
    assert workflow("release.yml")[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+*"]}}
    assert jobs["pypi"]["permissions"] == {"id-token": "write"}
    assert jobs["pypi"]["environment"] == "pypi"
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text()
    used = [step.get("uses", "").partition("@")[0] for job in jobs.values() for step in job["steps"]]
    assert used.count("actions/attest-build-provenance") == 2
    assert used.count("actions/attest-sbom") == 1


@pytest.mark.long
def test_a_list_of_what_is_inside_can_be_written(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "sbom"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if "cyclonedx" in line)
    place = tmp_path / "sbom.json"
    words = line.replace(".venv/bin/", f"{sys.prefix}/bin/").replace("build/difyops.cdx.json", str(place))
    subprocess.run(["bash", "-c", words], cwd=ROOT, check=True, capture_output=True)
    told = json.loads(place.read_text())
    assert told["metadata"]["component"]["name"] == "difyops"
    assert {"typer", "httpx", "aiohttp"} <= {item["name"] for item in told["components"]}


def test_ci_runs_lint_and_tests() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    assert text.rstrip().endswith("make lint\nmake test")
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)
