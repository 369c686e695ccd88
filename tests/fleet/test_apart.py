"""What comes back from the processes that work on several contexts, and what does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from difyops.cli.apart import apart, load_what_runs, portable
from difyops.errors import ConfigError, DifyopsError
from difyops.outcome import Facts, Lines, Outcome, Table
from difyops.render.fleet import Part
from difyops.render.machine import plain
from difyops.secret_text import STARS, SecretText
from tests.conftest import Cli
from tests.fleet.test_fleet import Fleet
from tests.fleet.test_fleet import fleet as fleet

LEARNED = "learned-in-the-child-4711"


def outcome(name: str) -> Outcome:
    secret = SecretText(LEARNED)
    row = {"name": name, "key": secret, "said": f"it is {secret.reveal()}", "when": datetime(2026, 1, 2, tzinfo=UTC)}
    return Outcome(
        kind="x.list",
        data=[row, {"path": Path("a")}],
        blocks=[
            Table(columns=("name", "n", "said"), rows=[(name, 1.5, LEARNED), (None, True, "")], title=LEARNED),
            Facts(pairs=[("label", LEARNED)]),
            Lines(lines=[("+", f"two\nlines {LEARNED}")]),
        ],
        summary=f"1 {LEARNED}",
        records=iter([row]),  # type: ignore[arg-type]
        raw=iter([b"a", b"b"]),
    )


def run(share: Sequence[str]) -> list[Part]:
    if "killed" in share:
        os.kill(os.getpid(), signal.SIGKILL)
    if "broken" in share:
        raise RuntimeError("a fault")
    return [Part(context=name, outcome=outcome(name), error=ConfigError("no", hint="do")) for name in share]


def test_each_share_comes_back_and_one_that_dies_is_an_error_of_its_contexts() -> None:
    parts = {part.context: part for part in apart([["a", "b"], ["killed", "c"], ["broken"], ["d"]], run)}
    assert set(parts) == {"a", "b", "c", "d", "killed", "broken"}
    assert [parts[name].code for name in ("a", "b", "d")] == [2, 2, 2]
    for name in ("killed", "c"):
        error = parts[name].error
        assert error is not None
        assert "signal 9" in error.message
    assert parts["broken"].code == 1


def test_what_was_learned_in_a_process_stays_there() -> None:
    (part,) = apart([["a"]], run)
    assert LEARNED not in repr(part)
    came = part.outcome
    assert came is not None
    assert came.data == [
        {"name": "a", "key": STARS, "said": f"it is {STARS}", "when": "2026-01-02T00:00:00Z"},
        {"path": "a"},
    ]
    table, _, lines = came.blocks
    assert isinstance(table, Table)
    assert isinstance(lines, Lines)
    assert table.rows == [["a", 1.5, STARS], [None, True, ""]]
    assert lines.lines == [("+", f"two\nlines {STARS}")]
    assert came.raw == b"ab"
    assert plain(came.records) == came.data[:1]


def test_an_error_keeps_what_programs_and_people_read() -> None:
    given = ConfigError("no", hint="do", details={"file": Path("x")})
    told = portable(Part(context="a", error=given)).error
    assert isinstance(told, DifyopsError)
    assert (told.code, told.exit_code, told.hint) == ("config", 2, "do")
    assert told.as_dict() == {**given.as_dict(), "details": {"file": "x"}}


def test_what_a_command_imports_when_it_runs_is_imported_before() -> None:
    program = (
        "import sys\nfrom difyops.cli.apart import load_what_runs\nfrom difyops.cli import snapshot\n"
        "load_what_runs(snapshot.create)\nprint('difyops.snapshot.take' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "True\n", done.stderr
    load_what_runs(run)  # a module that imports nothing of ours when it runs


def test_one_context_has_no_process_of_its_own(cli: Cli, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet("east")
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it was forked"))
    assert cli("app", "list", "-c", "all").code == 0
