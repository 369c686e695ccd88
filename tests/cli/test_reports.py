"""``--as``: what CI and monitoring read of every command that judges, from one writer."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.reports import FORMATS
from tests.conftest import Cli

COMMANDS = [
    ("snapshot", "drift"),
    ("snapshot", "verify"),
    ("secret", "list"),
    ("doctor",),
    ("runbook", "run", "backup-freshness"),
]


def is_junit(text: str) -> None:
    suite = ElementTree.fromstring(text)[0]
    assert int(suite.get("tests", "0")) == len(suite) > 0


def is_sarif(text: str) -> None:
    body = json.loads(text)
    assert body["version"] == "2.1.0"
    rules = {rule["id"] for rule in body["runs"][0]["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in body["runs"][0]["results"]} == rules


def begins(word: str) -> Callable[[str], None]:
    def held(text: str) -> None:
        assert text.startswith(word)

    return held


HOLDS: dict[str, Callable[[str], None]] = {
    "junit": is_junit,
    "sarif": is_sarif,
    "tap": begins("TAP version 13\n1.."),
    "nagios": begins("DIFYOPS "),
    "prometheus": begins("# HELP difyops_"),
    "markdown": begins("### "),
}


def test_every_command_that_judges_writes_every_format(cli: Cli, connected: str, own_place: Path) -> None:
    assert set(HOLDS) == set(FORMATS)
    assert cli("snapshot", "create", "--yes").code == 0
    files = {name: own_place / f"report.{name}" for name in FORMATS}
    for words in COMMANDS:
        plain = cli(*words)
        ran = cli(*words, *(part for name, file in files.items() for part in ("--as", f"{name}={file}")))
        assert ran.code == plain.code, words
        for name, file in files.items():
            HOLDS[name](file.read_text())
            file.unlink()


def test_drift_names_each_app_and_nagios_gets_its_own_exit_code(cli: Cli, emulator: Emulator, connected: str) -> None:
    assert cli("snapshot", "create", "--yes").code == 0
    app = emulator.app_named("wf-echo")
    app.enable_api = not app.enable_api
    app.changed()
    junit = cli("snapshot", "drift", "--as", "junit")
    assert junit.code == 5
    suite = ElementTree.fromstring(junit.out)[0]
    assert suite.get("failures") == "1"
    assert any("wf-echo" in str(case.get("name")) for case in suite)
    nagios = cli("snapshot", "drift", "--as", "nagios")
    assert (nagios.code, nagios.out.split(" - ")[0]) == (2, "DIFYOPS CRITICAL")
    assert "'all.drifted'=1;;0" in nagios.out


def test_monitoring_gets_unknown_when_nothing_could_be_judged(cli: Cli, connected: str) -> None:
    ran = cli("snapshot", "drift", "--as", "nagios")
    assert ran.code == 3
    assert ran.out.startswith("DIFYOPS UNKNOWN - ")
    assert cli("snapshot", "drift", "--as", "junit").code == 2


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_format_that_is_none_is_said_before_the_work(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli(*words, "--as", "html")
    assert ran.code == 2
    assert "junit" in ran.err


def test_a_job_summary_is_written_where_github_wants_it(
    cli: Cli, connected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    cli("secret", "list", "-q")
    cli("secret", "list", "--dry-run")
    assert summary.read_text().count("### secrets") == 1
