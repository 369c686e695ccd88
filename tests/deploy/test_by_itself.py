"""Recipes for machines without a person: what cron's shell makes of its lines, what systemd and Kubernetes start."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import Emulator
from difyops.webhook.serve import running_in
from tests.conftest import Cli
from tests.deploy.steps import ROOT, answer_to_an_event
from tests.deploy.test_manifests import objects, pods
from tests.processes import Process
from tests.waiting import wait_until


@pytest.fixture
def two(tmp_path: Path, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two instances, and the configuration that the recipes name."""
    other = Emulator(seed=7, workspace_id=None)
    monkeypatch.setenv("EVERY_PASSWORD", emulator.password)
    with other.listening() as there:
        lines = [
            f"  {name}: {{url: '{place}', email: {emulator.email}, password: 'env:EVERY_PASSWORD'}}"
            for name, place in (("prod", url), ("spare", there))
        ]
        (tmp_path / "config.yaml").write_text("\n".join(["contexts:", *lines]) + "\n")
        monkeypatch.setenv("DIFYOPS_CONFIG", str(tmp_path / "config.yaml"))
        monkeypatch.setenv("DIFYOPS_STORE", str(tmp_path / "store"))
        yield


def words_of(line: str, folder: Path) -> list[str]:
    """Return the words with which cron's shell calls difyops."""
    folder.mkdir(exist_ok=True)
    program = folder / "difyops"
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", line], env={"PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    return done.stdout.split("\0")[:-1]


@pytest.mark.usefixtures("two")
def test_a_night_of_cron_prints_nothing_but_what_matters(tmp_path: Path, cli: Cli) -> None:
    crontab = (ROOT / "deploy" / "cron" / "difyops").read_text()
    lines = re.findall(r"^(?:[\d*/,-]+ ){5}difyops (.*)$", crontab, re.MULTILINE)
    assert len(lines) == len(re.findall(r"^[\d*]", crontab, re.MULTILINE)) == 5
    for line in lines:
        ran = cli(*words_of(line, tmp_path / "bin"))
        assert ran.code in (0, 5), (line, ran)
        if ran.code == 0:
            assert (ran.out, ran.err) == ("", ""), line


@pytest.mark.usefixtures("two")
def test_what_systemd_starts_keeps_every_context(cli: Cli) -> None:
    unit = (ROOT / "deploy" / "systemd" / "difyops-snapshot.service").read_text()
    (line,) = re.findall(r"^ExecStart=/usr/local/bin/difyops (.*)$", unit, re.MULTILINE)
    assert cli(*line.split()).code == 0
    kept = cli("snapshot", "list", "-c", "all", "-o", "json").json["data"]
    assert {row["context"] for row in kept} == {"prod", "spare"}


def test_the_webhook_unit_starts_reloads_and_drains(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = (ROOT / "deploy" / "systemd" / "difyops-webhook.service").read_text()
    lines = dict(re.findall(r"^(Exec\w+)=/usr/local/bin/difyops (.*)$", unit, re.MULTILINE))
    assert set(re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE)) == {"DIFYOPS_CONFIG", "DIFYOPS_STATE"}
    state = tmp_path / "kept"
    monkeypatch.setenv("DIFYOPS_STATE", str(state))
    monkeypatch.setenv("ORDERS", "canary-1")
    monkeypatch.setenv("DIFYOPS_CONFIG", str(tmp_path / "config.yaml"))
    (tmp_path / "config.yaml").write_text(
        "webhook: {listen: '127.0.0.1:0', admin: false, destinations: {log: {command: [cat]}},"
        " sources: {orders: {secrets: ['env:ORDERS'], to: [log]}}}\n"
    )
    assert cli(*lines["ExecStartPre"].split()).code == 0
    words = [sys.executable, "-m", "difyops", *lines["ExecStart"].split()]
    with (tmp_path / "journal").open("wb") as journal, Process(words, stdout=journal, stderr=journal) as server:
        try:
            wait_until(lambda: running_in(state) or server.poll() is not None, "the start")
            assert answer_to_an_event(state, "canary-1") == 200
            assert cli(*lines["ExecReload"].split()).code == 0
        finally:
            server.terminate()
    assert server.returncode == 0
    told = [json.loads(line) for line in (tmp_path / "journal").read_text().splitlines()]
    assert told[0]["message"].startswith("webhook server at http://127.0.0.1:")
    assert [line["level"] for line in told] == ["info"] * 4


@pytest.mark.usefixtures("two")
def test_the_pods_of_a_fleet_are_the_whole_and_nothing_twice(cli: Cli) -> None:
    path = ROOT / "deploy" / "kubernetes" / "fleet-snapshot.yaml"
    (job,) = (found for found in objects(path) if found["kind"] == "Job")
    (pod,) = pods(path)
    for index in range(job["spec"]["completions"]):
        args = [word.replace("$(JOB_COMPLETION_INDEX)", str(index)) for word in pod["containers"][0]["args"]]
        assert cli(*args).code == 0
    kept = cli("snapshot", "list", "-c", "all", "-o", "json").json["data"]
    assert sorted(row["context"] for row in kept) == ["prod", "spare"]
