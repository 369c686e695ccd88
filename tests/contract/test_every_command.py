"""What holds for every command, tried with the examples of its own help in the world to play in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from difyops.cli.table import CommandEntry
from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.contract.hints import problems
from tests.contract.lines import ENTRIES, bare, examples, marks, reading, tree

READ_BY_POST = (
    "login",
    "refresh-token",
    "workspaces/current",
    "retrieve",
    "hit-testing",
    "latest-versions",
    "/_emulator/",
)
CALL = re.compile(r"^info: (GET|POST) /\S+ \d{3} \d+\.\d{3} s \(.+\)$", re.MULTILINE)
READING = [entry for entry in ENTRIES if reading(entry)]


def name_of(entry: CommandEntry) -> str:
    return entry.name


def changing_calls(emulator: Emulator) -> list[str]:
    routes = list(emulator.control.counts()["routes"])  # type: ignore[call-overload]
    return [route for route in routes if not route.startswith("GET ") and not route.endswith(READ_BY_POST)]


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_a_dry_run_changes_and_writes_nothing_or_is_refused(
    cli: Cli, still_world: Emulator, made: tuple[Emulator, str, Path], entry: CommandEntry
) -> None:
    before = marks(Path.cwd())
    for words, more in zip(examples(entry), ([], ["-q"]), strict=False):
        ran = cli(*(bare(words) if more else words), "--dry-run", *more)
        assert changing_calls(still_world) == []
        assert marks(Path.cwd()) == before or tree(Path.cwd()) == tree(made[2])
        assert ran.code in (0, 1, 2, 3, 5, 6, 8), ran
        assert "fault of difyops" not in ran.out + ran.err
        assert [wrong for line in ran.err.splitlines() for wrong in problems(line)] == []
        if ran.code in (2, 8):
            assert "error: " in ran.err or ran.json["error"]["message"]
        if more and ran.code == 0 and "--to" not in words:
            assert (ran.out, ran.err) == ("", "")


@pytest.mark.parametrize("entry", READING, ids=name_of)
def test_quiet_prints_nothing_on_success(cli: Cli, still_world: Emulator, entry: CommandEntry) -> None:
    words = bare(examples(entry)[0])
    ran = cli(*words, "-q")
    if ran.code == 0:
        assert (ran.out, ran.err) == ("", "")
        assert cli(*words, "-q", "-o", "json").json["ok"]
    else:
        assert ran.err or ran.out


@pytest.mark.parametrize("entry", READING, ids=name_of)
def test_verbose_tells_every_call_with_its_time(cli: Cli, still_world: Emulator, entry: CommandEntry) -> None:
    ran = cli(*bare(examples(entry)[0]), "-v")
    made = sum(still_world.control.counts()["routes"].values())  # type: ignore[attr-defined]
    logins = sum(n for route, n in still_world.control.counts()["routes"].items() if "login" in route)  # type: ignore[attr-defined]
    assert len(CALL.findall(ran.err)) >= made - logins
