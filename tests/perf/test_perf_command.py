"""``difyops perf`` as a pipe sees it."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past
from tests.conftest import Cli
from tests.history.conftest import DAY, carried, filled, now


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app whose second version is slower."""
    state, at = tmp_path_factory.mktemp("perf") / "state", now()
    plan = Past(count=160, since=at - 2 * DAY, until=at - 300, version="2026-01-01 00:00:00.000001",
                changes=((at - DAY, "2026-01-02 00:00:00.000001", {"draft": 3.0}),))  # fmt: skip
    filled(state, {"wf-echo": plan}, share=0.4)
    return state


@pytest.fixture
def busy(past: Path, emulator: Emulator, connected: str, own_place: Path) -> Emulator:
    """Its history as that of this test."""
    carried(past, own_place / "state")
    return emulator


def test_every_report_in_every_format(cli: Cli, busy: Emulator) -> None:
    reports = (
        ("summary", "wf-echo"), ("nodes", "wf-echo"), ("bottlenecks", "wf-echo"), ("trend", "wf-echo"),
        ("whatif", "wf-echo", "--node", "draft"),
    )  # fmt: skip
    forms = itertools.cycle(("table", "csv", "markdown", "ndjson", "yaml", "csv", "name"))
    for words in reports:
        found = cli("perf", *words, "-o", "json")
        assert (found.code, found.json["kind"]) == (0, f"perf.{words[0]}"), found.err
        for form in itertools.islice(forms, 2):
            shown = cli("perf", *words, "-o", form)
            assert shown.code == 0, (words, form, shown.err)
            assert shown.out
    run = cli("perf", "summary", "wf-echo", "-o", "json").json["data"]
    assert run["period"]["runs"] == 160
    assert "[" in cli("perf", "nodes", "wf-echo").out  # intervals
    rows = list(csv.DictReader(io.StringIO(cli("perf", "nodes", "wf-echo", "-o", "csv").out)))
    assert {row["node"] for row in rows} >= {"draft", "search"}
    assert all(float(row["p50_low"]) <= float(row["p50"]) <= float(row["p50_high"]) for row in rows)


def test_a_proven_regression_is_exit_5(cli: Cli, busy: Emulator) -> None:
    found = cli("perf", "compare", "wf-echo", "-o", "json")
    assert found.code == 5
    assert found.json["data"]["verdict"] == "slower"
    same = cli("perf", "compare", "wf-echo", "2026-01-02", "2026-01-01")
    assert same.code == 0
    assert "faster" in same.err


def test_what_the_command_line_refuses(cli: Cli, busy: Emulator) -> None:
    for words in (
        ("summary", "no-such-app"), ("whatif", "wf-echo", "--node", "nope"), ("path", "ffffffff-nope"),
        ("compare", "wf-echo", "2026-01-01"), ("compare", "wf-echo", "1999", "2026-01-01"),
        ("compare", "wf-echo", "x..y", "2026-01-01"), ("summary", "wf-echo", "--version", "2026"),
    ):  # fmt: skip
        found = cli("perf", *words)
        assert found.code == 2, (words, found)
        assert "hint: " in found.err or "compare takes" in found.err


def test_the_reports_make_no_call(cli: Cli, busy: Emulator) -> None:
    busy.control.reset_counts()
    for words in (("summary", "wf-echo"), ("nodes", "wf-echo"), ("trend", "wf-echo")):
        assert cli("perf", *words).code == 0
    assert busy.control.counts()["total"] == 0


def test_advice_is_shown_dismissed_and_fit_for_ci(cli: Cli, busy: Emulator) -> None:
    shown = cli("perf", "advise", "wf-echo", "-o", "json").json["data"]
    assert shown["advice"], shown
    first = shown["advice"][0]
    assert {"id", "rule", "category", "severity", "title", "why", "n", "evidence", "gain", "steps", "example"} <= set(
        first
    )
    assert cli("perf", "advise", "wf-echo", "--fail-on", "info").code == 5
    assert cli("perf", "advise", "wf-echo", "--fail-on", "critical").code == 0
    assert cli("perf", "dismiss", "wf-echo", first["id"], "--reason", "known", "-q").code == 0
    again = cli("perf", "advise", "wf-echo", "-o", "json").json["data"]
    assert first["id"] not in [item["id"] for item in again["advice"]]
    assert again["dismissed"][0]["dismissed"]["reason"] == "known"
    assert cli("perf", "dismiss", "wf-echo", "P999", "--reason", "x").code == 2


def test_the_report_as_a_page_and_as_text(cli: Cli, busy: Emulator) -> None:
    shown = cli("perf", "report", "wf-echo", "-o", "html")
    assert shown.code == 0
    assert shown.out.startswith("<!doctype html>")
    assert shown.out.count("<svg") == 4
    assert "| " in cli("perf", "report", "wf-echo", "-o", "markdown").out
    assert cli("perf", "report", "wf-echo", "-o", "json").json["data"]["summary"]["period"]["runs"] == 160
    assert cli("perf", "summary", "wf-echo", "-o", "html").code == 2
