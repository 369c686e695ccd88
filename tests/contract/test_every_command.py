"""What holds for every command, tried with the examples of its own help in the world to play in."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from difyops import render
from difyops.cli.table import CommandEntry
from difyops.emulator import Emulator
from difyops.outcome import Outcome, Table
from difyops.render.columns import width_of
from difyops.render.look import Look
from difyops.render.safe import cell
from difyops.render.terminal import _short, as_terminal
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
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CALL = re.compile(r"^info: (GET|POST) /\S+ \d{3} \d+\.\d{3} s \(.+\)$", re.MULTILINE)
NO_IDS = {"data.last.findings[]": "the apps of a drill stand in the same answer with their ids"}
READING = [entry for entry in ENTRIES if reading(entry)]


def name_of(entry: CommandEntry) -> str:
    return entry.name


def changing_calls(emulator: Emulator) -> list[str]:
    routes = list(emulator.control.counts()["routes"])  # type: ignore[call-overload]
    return [route for route in routes if not route.startswith("GET ") and not route.endswith(READ_BY_POST)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """Collect what commands return to be drawn."""
    found: list[Outcome] = []
    body = render._body

    def kept(outcome: Outcome, look: Look) -> str:
        found.append(outcome)
        return body(outcome, look)

    monkeypatch.setattr(render, "_body", kept)
    return found


def nameless(value: object, place: str = "data") -> list[str]:
    """Return the rows that name an app without an id beside it: names are changed, and two apps may have one."""
    match value:
        case {"app": str() as app, **rest} if (
            place.endswith("[]")
            and place not in NO_IDS
            and not UUID.fullmatch(app)
            and not any(str(name).endswith("id") for name in rest)
        ):
            return [place]
        case dict():
            return [wrong for name, below in value.items() for wrong in nameless(below, f"{place}.{name}")]
        case list():
            return [wrong for below in value for wrong in nameless(below, f"{place}[]")]
    return []


def dropped(outcome: Outcome, columns: int) -> list[str]:
    """Return the tables that lose a character at a width, and lines that are wider."""
    shown = as_terminal(outcome.blocks, Look(form="table", colour=False, width=columns))
    wrong = [line for line in shown.splitlines() if width_of(line) > columns]
    there = Counter(shown)
    for block in outcome.blocks:
        if isinstance(block, Table) and block.rows:
            says = [at for at, _ in enumerate(block.columns) if any(row[at] not in (None, "") for row in block.rows)]
            cells = [cell(row[at]) for row in block.rows for at in says]
            told = [block.columns[at] for at in says] + [_short(item) for item in cells if item != "-"]
            if lost := Counter("".join("".join(told).split())) - there:
                wrong.append(f"{block.columns} at {columns}: lost {lost}")
    return wrong


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
def test_quiet_prints_nothing_and_rows_have_ids_and_all_their_columns(
    cli: Cli, still_world: Emulator, drawn: list[Outcome], entry: CommandEntry
) -> None:
    words = bare(examples(entry)[0])
    ran = cli(*words, "-q")
    if ran.code == 0:
        assert (ran.out, ran.err) == ("", "")
        answer = cli(*words, "-q", "-o", "json").json
        assert answer["ok"]
        assert nameless(answer["data"]) == []
        assert [wrong for outcome in drawn for columns in (40, 80) for wrong in dropped(outcome, columns)] == []
    else:
        assert ran.err or ran.out


@pytest.mark.parametrize("entry", READING, ids=name_of)
def test_verbose_tells_every_call_with_its_time(cli: Cli, still_world: Emulator, entry: CommandEntry) -> None:
    ran = cli(*bare(examples(entry)[0]), "-v")
    made = sum(still_world.control.counts()["routes"].values())  # type: ignore[attr-defined]
    logins = sum(n for route, n in still_world.control.counts()["routes"].items() if "login" in route)  # type: ignore[attr-defined]
    assert len(CALL.findall(ran.err)) >= made - logins
