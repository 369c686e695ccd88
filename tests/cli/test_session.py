"""A run from its options to its end: deadlines, interruptions, confirmation, the audit log, the talk."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops import atomic_file, config
from difyops.cli.door import seconds
from difyops.emulator import Emulator
from difyops.errors import UsageError
from tests.cli.processes import WORDS, on_terminal, piped
from tests.conftest import Cli
from tests.processes import Process
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("7d", 604800), ("500ms", 0.5), ("1.5s", 1.5)],
)
def test_durations_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


@given(st.text(max_size=8))
def test_any_duration_is_above_zero_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert 0 < seconds(text) < float("inf")


@pytest.mark.parametrize("text", ["", "0", "-1s", "nan", "inf", "infs", "1w", "s", "1e400", "ten minutes"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text)


def test_the_deadline_ends_a_command_that_hangs(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.fail(path="/console/api/apps", how="hang")
    ran = cli("app", "list", "--deadline", "500ms", "-o", "json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "timed_out")
    assert "deadline of 0.5 s" in ran.json["error"]["message"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_so_and_ends_with_130(
    emulator: Emulator, connected: str, number: signal.Signals
) -> None:
    emulator.control.fail(path="/console/api/apps", how="hang")
    child = Process([*WORDS, "app", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: emulator.control.in_flight)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, "", "error: Interrupted; no change of an instance had begun.\n")


def test_a_change_needs_a_yes_where_nobody_can_be_asked(cli: Cli, emulator: Emulator, connected: str) -> None:
    ran = cli("app", "disable", "wf-echo")
    assert ran.code == 8
    assert "--yes" in ran.err
    assert emulator.app_named("wf-echo").enable_api


def test_a_person_is_asked_and_may_say_no(emulator: Emulator, connected: str) -> None:
    shown = on_terminal(["app", "disable", "wf-echo"], typed="\n")
    assert shown.code == 8
    assert "Switch the API of wf-echo off? [y/N]" in shown.text
    assert emulator.app_named("wf-echo").enable_api
    assert on_terminal(["app", "disable", "wf-echo"], typed="y\n").code == 0
    assert not emulator.app_named("wf-echo").enable_api


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_question_ends_at_once_and_changes_nothing(
    emulator: Emulator, connected: str, number: signal.Signals
) -> None:
    shown = on_terminal(["app", "disable", "wf-echo"], sent=number)
    assert shown.code == 130, shown.text
    assert "nothing was changed" in shown.text
    assert emulator.app_named("wf-echo").enable_api


def test_the_question_shows_no_escape_codes_of_an_app(emulator: Emulator, connected: str) -> None:
    app = emulator.app_named("wf-echo")
    app.name = "x\x1b]0;title\x07\x1b[2J"
    app.changed()
    shown = on_terminal(["app", "disable", app.id], typed="n\n")
    assert "\x1b]0;" not in shown.text
    assert "\x1b[2J" not in shown.text


def test_a_dry_run_changes_nothing_here_or_there(cli: Cli, emulator: Emulator, connected: str, own_place: Path) -> None:
    ran = cli("app", "disable", "all", "--dry-run", "-o", "json")
    assert ran.code == 0
    assert len(ran.json["data"]) == 8
    assert all(app.enable_api for app in emulator.instance.apps.values())
    assert not (own_place / "state" / "ledger.sqlite3").exists()


def audit_lines(own_place: Path) -> list[str]:
    with sqlite3.connect(own_place / "state" / "ledger.sqlite3") as connection:
        return list(connection.iterdump())


def test_every_change_is_in_the_audit_log_without_secrets(
    cli: Cli, emulator: Emulator, connected: str, own_place: Path
) -> None:
    cli("app", "disable", "wf-echo", "wf-llm", "--yes")
    lines = [
        line for line in audit_lines(own_place) if line.startswith('INSERT INTO "audit"') and "app.disable" in line
    ]
    assert len(lines) == 2
    assert {emulator.app_named(name).id for name in ("wf-echo", "wf-llm")} <= {
        word for line in lines for word in line.replace("'", '"').split('"')
    }
    assert emulator.password not in "".join(audit_lines(own_place))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without a name")
def test_somebody_without_a_name_can_change_things(emulator: Emulator, connected: str) -> None:
    code = (
        "import os, sys\n"
        "from difyops.cli.root import run\n"
        "assert run(['app', 'disable', 'wf-llm', '--yes']) == 0\n"  # loads all: others may not read the code
        "os.environ['DIFYOPS_STATE'] = sys.argv[1]\n"
        "os.setuid(54321)\n"
        "sys.exit(run(['app', 'disable', 'wf-echo', '--yes']))"
    )
    bare = {name: value for name, value in os.environ.items() if name not in ("LOGNAME", "USER", "LNAME", "USERNAME")}
    with tempfile.TemporaryDirectory() as state:
        Path(state).chmod(0o777)
        done = subprocess.run(
            [WORDS[0], "-c", code, state], env=bare, capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr
        assert "not written" not in done.stderr
    assert not emulator.app_named("wf-echo").enable_api


def test_several_contexts_where_one_makes_sense_are_refused(cli: Cli, connected: str) -> None:
    ran = cli("app", "show", "wf-echo", "-c", "env", "-c", "env")
    assert ran.code == 2
    assert "more than once" in ran.err


def test_options_read_the_same_after_every_verb() -> None:
    for words in (["app", "list"], ["context", "show"], ["doctor"], ["snapshot", "create"], ["emulator", "status"]):
        shown = piped(*words, "--help").stdout
        for option in ("--output", "--context", "--store", "--yes", "--dry-run", "--deadline", "--quiet", "--verbose"):
            assert option in shown, (words, option)


def test_debug_talk_names_calls_and_no_secrets(cli: Cli, emulator: Emulator, connected: str, own_place: Path) -> None:
    emulator.control.mood("flaky")
    ran = cli("app", "list", "-vv")
    assert ran.code == 0
    stored = next((own_place / "state" / "sessions").glob("*.json")).read_text()
    for secret in (emulator.password, *[part for part in stored.split('"') if len(part) > 40]):
        assert secret not in ran.out + ran.err


@pytest.mark.parametrize("why", [errno.EROFS, errno.EACCES])
def test_where_nothing_can_be_written_it_is_read_all_the_same(
    cli: Cli, emulator: Emulator, connected: str, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    def refused(path: Path, **_: object) -> None:
        error = OSError(why, os.strerror(why))
        raise atomic_file.store_error(error, path) from error

    monkeypatch.setattr(atomic_file, "lock", refused)
    ran = cli("app", "list", "-o", "name")
    assert (ran.code, len(ran.out.splitlines())) == (0, 8)
    assert "logs in anew" in ran.err
    assert "DIFYOPS_STATE" in ran.err
    assert not list(config.load().state.glob("sessions/*.json"))
    changed = cli("app", "disable", "wf-echo", "--yes")
    assert changed.code == 1
    assert "DIFYOPS_STATE" in changed.err
    assert emulator.app_named("wf-echo").enable_api
