"""What lies in deploy/ and .github/ fits the schema of whoever reads it, and the commands in it are commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from difyops import __version__
from difyops.cli.table import entries
from tests.deploy.steps import ROOT

KUBERNETES = json.loads((Path(__file__).parent / "kubernetes.json").read_text())
GROUPS = {"v1": "io.k8s.api.core.v1", "batch/v1": "io.k8s.api.batch.v1"}
SCHEMAS = {
    ".github/workflows/*.yml": "github-workflows", "action.yml": "github-actions", "deploy/gitlab-ci.yml": "gitlab-ci",
    "deploy/compose.yaml": "compose-spec", ".github/dependabot.yml": "dependabot",
}  # fmt: skip
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
FILES = [(path, schema) for place, schema in SCHEMAS.items() for path in sorted(ROOT.glob(place))]
COMMANDS = {entry.words: entry.parser for entry in entries()}


class Loader(yaml.SafeLoader):
    """YAML 1.2 in one point: ``on`` is a word."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def objects(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.load_all(path.read_text(), Loader)


def pods(path: Path) -> Iterator[dict[str, Any]]:
    for found in objects(path):
        if "template" in (job := found.get("spec", {}).get("jobTemplate", found).get("spec", {})):
            yield job["template"]["spec"]


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize(("path", "schema"), FILES, ids=lambda value: getattr(value, "name", value))
def test_a_file_fits_its_schema(path: Path, schema: str) -> None:
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    document = json.loads((folder / f"{schema}.json").read_text(encoding="utf-8"))
    jsonschema_rs.validator_for(document).validate(yaml.load(path.read_text(), Loader))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_fits_the_schema_of_kubernetes(path: Path) -> None:
    for found in objects(path):
        name = f"{GROUPS[found['apiVersion']]}.{found['kind']}"
        schema = {"$ref": f"#/$defs/{name}", "$defs": KUBERNETES["$defs"]}
        jsonschema_rs.Draft7Validator(schema).validate(found)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_pod_may_little_and_has_what_it_mounts(path: Path) -> None:
    user = int(re.findall(r"^USER (\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0])
    for pod in pods(path):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == user
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == {item["name"] for item in pod["volumes"]}
        wanted = [item["persistentVolumeClaim"] for item in pod["volumes"] if "persistentVolumeClaim" in item]
        claims = {item["claimName"] for item in wanted}
        assert claims <= {found["metadata"].get("name") for found in objects(path)}


def test_the_parts_of_a_fleet_are_as_many_as_the_pods() -> None:
    (job,) = (found for found in objects(ROOT / "deploy/kubernetes/fleet-snapshot.yaml") if found["kind"] == "Job")
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--shard") + 1] == f"$(JOB_COMPLETION_INDEX)/{job['spec']['completions']}"


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield the words of every command of difyops that a recipe runs, with the file that holds it."""
    for path in MANIFESTS:
        for pod in pods(path):
            yield path.name, [word.replace("$(JOB_COMPLETION_INDEX)", "3") for word in pod["containers"][0]["args"]]
    for path in sorted((ROOT / "deploy" / "systemd").glob("*.service")):
        for line in re.findall(r"^Exec\w+=\S*/difyops (.*)$", path.read_text(), re.MULTILINE):
            yield path.name, line.split()
    crontab = (ROOT / "deploy" / "cron" / "difyops").read_text()
    for line in re.findall(r"^[\d*].* difyops difyops (.*)$", crontab, re.MULTILINE):
        yield "cron", shlex.split(line)
    pipeline = re.compile(r"^ +(?:- )?(?:run: )?difyops (.*?)(?: \|\| .*)?(?: #.*)?$", re.MULTILINE)
    for path in (ROOT / ".github" / "workflows" / "snapshot.yml", ROOT / "deploy" / "gitlab-ci.yml"):
        for line in pipeline.findall(path.read_text()):
            yield path.name, shlex.split(line)
    compose = yaml.load((ROOT / "deploy" / "compose.yaml").read_text(), Loader)
    yield "compose", compose["services"]["webhook"]["command"]


@pytest.mark.parametrize(("place", "words"), list(command_lines()))
def test_a_command_of_a_recipe_is_one(place: str, words: list[str]) -> None:
    length = next(number for number in (3, 2, 1) if tuple(words[:number]) in COMMANDS)
    COMMANDS[tuple(words[:length])].make_context("recipe", list(words[length:]))


def test_every_recipe_was_found() -> None:
    found = [place for place, _ in command_lines()]
    assert {name: found.count(name) for name in found} == {
        "fleet-snapshot.yaml": 1, "nightly-snapshot.yaml": 1, "difyops-snapshot.service": 1,
        "difyops-webhook.service": 3, "cron": 5, "snapshot.yml": 3, "gitlab-ci.yml": 3, "compose": 1,
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_units_are_well_formed(tmp_path: Path) -> None:
    program = tmp_path / "difyops"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in sorted((ROOT / "deploy" / "systemd").iterdir()):
        text = path.read_text().replace("/usr/local/bin/difyops", str(program)).replace("man:difyops-snapshot(1)", "")
        (tmp_path / path.name).write_text(text)
    units = sorted(str(path) for path in tmp_path.glob("difyops-*"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", *units],
        capture_output=True, text=True, check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "difyops" in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    subprocess.run(["hadolint", "--failure-threshold", "info", "Dockerfile"], cwd=ROOT, check=True)


def test_no_action_can_be_exchanged_under_our_feet() -> None:
    for path in (ROOT / "action.yml", *(ROOT / ".github" / "workflows").glob("*.yml")):
        for used in re.findall(r"^[^#\n]*uses: (.*)", path.read_text(), re.MULTILINE):
            assert re.fullmatch(r"\./|[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", used), f"{path.name}: {used}"


def test_every_recipe_names_the_version_that_is_here() -> None:
    said = re.compile(r"(?:ghcr\.io/difyops/difyops:|DIFYOPS_REF: v|difyops/difyops@v)([\w.]+)")
    files = (*(ROOT / "deploy").rglob("*.y*ml"), *(ROOT / "docs").glob("*.md"), ROOT / "action.yml", ROOT / "README.md")
    named = {path.name: {*said.findall(path.read_text())} for path in files}
    assert {name: found for name, found in named.items() if found - {__version__}} == {}
    assert sum(map(bool, named.values())) >= 7


def test_people_are_told_what_this_version_brings() -> None:
    words = ["make", "--no-print-directory", "-n", "release-notes"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    asked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    script = asked.stdout[asked.stdout.index("awk ") :].replace(".venv/bin", f"{sys.prefix}/bin")
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "### What changes for you" in done.stdout
    assert "### Upgrade" in done.stdout
    assert "## [" not in done.stdout
