"""The state moves as a whole or not at all: killed between two steps, one place counts, and a second run ends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from difyops.errors import NothingKept, Refused
from difyops.ledger import Ledger
from difyops.ledger.backing import Database
from difyops.ledger.file import LedgerFile
from difyops.ledger.server import LedgerServer
from difyops.shared_state import closed
from difyops.state_move import move, plan
from tests.state.conftest import Machine
from tests.state.test_shared import ENTRY, EVENT

STEPS = (
    "before the lines are copied", "before the new place holds them", "after the new place holds them",
    "before the old place is closed", "after the old place was closed", "after the new place was opened",
)  # fmt: skip


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def places(machine: Machine, tmp_path: Path) -> Iterator[tuple[LedgerFile, LedgerServer]]:
    """Return the file of a machine, with lines, and the empty server."""
    file = LedgerFile.open(tmp_path / "one" / "ledger.sqlite3")
    fill(file, "a")
    server = machine("one")._database
    assert isinstance(server, LedgerServer)
    yield file, server
    file.close()


def fill(database: Database, name: str) -> None:
    ledger = Ledger(database)
    ledger.append_all([replace(EVENT, subject=f"{name}{number}") for number in range(3)])
    ledger.audit(replace(ENTRY, subject=name))


def lines(database: Database) -> list[list[tuple[object, ...]]]:
    def read(inside: object) -> list[list[tuple[object, ...]]]:
        return [
            [tuple(row) for row in inside.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()]  # type: ignore[attr-defined]
            for table in ("event", "audit")
        ]

    return database.read(read)


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_one_place_counts_and_the_next_run_ends_it(
    places: tuple[LedgerFile, LedgerServer], step: str, back: bool
) -> None:
    old: Database
    new: Database
    old, new = places
    if back:
        move(old, new)
        fill(new, "b")
        old, new = new, old

    def killed(name: str) -> None:
        if name == step:
            raise Killed

    with pytest.raises(Killed):
        move(old, new, killed)
    number = STEPS.index(step)
    assert (closed(old) is None) is (number < 4)
    assert (closed(new) is None) is (number == 5 or (number < 2 and not back)), "an empty one may be begun by others"
    if number < 4:
        fill(old, "later")
    before = lines(old)
    if number < 5:
        moved = move(old, new)
        assert (moved.events, moved.audit) == (len(before[0]), len(before[1]))
    assert lines(new) == before
    assert (closed(old) is None, closed(new)) == (False, None)
    assert Ledger(new).check() == []
    Ledger(new).append(EVENT)
    with pytest.raises(Refused, match="was moved to"):
        Ledger(old).append(EVENT)
    with pytest.raises(Refused, match="was moved to"):
        move(old, new)


def test_other_lines_are_left_alone(places: tuple[LedgerFile, LedgerServer], tmp_path: Path) -> None:
    file, server = places
    fill(server, "theirs")
    before = lines(server)
    for attempt in (plan, move):
        with pytest.raises(Refused, match="not from here"):
            attempt(file, server)
    assert lines(server) == before
    assert closed(file) is closed(server) is None


def test_a_second_machine_is_told_to_wait_and_nothing_is_moved_from_nowhere(
    places: tuple[LedgerFile, LedgerServer], tmp_path: Path
) -> None:
    file, server = places
    empty = LedgerFile.open(tmp_path / "empty" / "ledger.sqlite3")
    with pytest.raises(NothingKept):
        move(empty, server)

    def killed(name: str) -> None:
        if name == "after the new place holds them":
            raise Killed

    with pytest.raises(Killed):
        move(file, server, killed)
    with pytest.raises(Refused, match="on its way here from"):
        Ledger(server).append(EVENT)
    fill(empty, "c")
    with pytest.raises(Refused, match="on its way into"):
        move(empty, server)
    with pytest.raises(Refused, match="already"):
        move(server, server)
    empty.close()
