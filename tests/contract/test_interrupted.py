"""Ctrl-C and a deadline say what was done before, what is in the middle, and how to go on."""

from __future__ import annotations

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli


def test_a_deadline_in_the_middle_names_what_was_switched_and_what_was_not(
    cli: Cli, emulator: Emulator, connected: str
) -> None:
    emulator.control.fail(path="api-enable$", nth=3, times=99, how="hang")
    ran = cli("app", "disable", "mode:workflow", "--yes", "--deadline", "3s")
    assert ran.code == 1
    assert "Done before that: app.disable of" in ran.err
    assert "was cut off (in the middle of 'switch')" in ran.err
    assert "hint: difyops changes show" in ran.err
    lines = [row for row in cli("changes", "log", "-o", "json").json["data"] if row["outcome"] == "cut off"]
    assert lines
    assert all(line["actor"] for line in lines), "who was cut off is on record"


def test_nothing_begun_is_said_too(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.fail(path="apps", nth=1, times=99, how="hang")
    ran = cli("app", "list", "--deadline", "0.5s")
    assert ran.err.startswith("error: The deadline of 0.5 s passed.")


@pytest.mark.usefixtures("connected")
def test_what_is_done_twice_says_so(cli: Cli) -> None:
    assert "switched 1 app:" in cli("app", "disable", "wf-echo", "--yes").err
    again = cli("app", "disable", "wf-echo", "--yes")
    assert (again.code, "1 was so already" in again.err) == (0, True)


def test_a_dry_run_counts_what_then_happens(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(playful=True)
    with emulator.listening() as url:
        for name, value in (("BASE_URL", url), ("EMAIL", emulator.email), ("PASSWORD", emulator.password)):
            monkeypatch.setenv(f"DIFY_{name}", value)
        assert cli("snapshot", "create", "--tag", "v1").code == 0
        emulator.play("break", "support-triage")
        words = ("snapshot", "rollback", "support-triage", "order-lookup", "--to", "v1")
        planned = cli(*words, "--dry-run")
        assert "dry run: 1 planned, 1 there already, 0 problems" in planned.err
        assert "order-lookup: nothing to do" in planned.out
        assert "1 rolled back, 1 there already, 0 failed" in cli(*words, "--yes").err
