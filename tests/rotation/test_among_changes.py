"""Rotations among ``difyops changes``: listed when cut off, finished and undone by the same commands."""

from __future__ import annotations

import pytest

from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.errors import SelectorError
from difyops.rotation.engine import turn
from difyops.rotation.job import Workbench
from difyops.runbook.result import Fail
from tests.conftest import Cli
from tests.rotation.rig import CASES, PROVIDER, Rig, count_of
from tests.rotation.test_secret_cli import at
from tests.runbook.runbook_tools import check, resources_at

__all__ = ["at"]
LEFT = ("--value-from", "env:NEW_KEY", "--grace", "1h", "--yes", "--no-probe", "--detach", "-o", "json")


class Killed(BaseException):
    """The process is gone."""


def recovery_of(bench: Workbench) -> Recovery:
    return Recovery(journal=bench.journal.changes, kinds=kinds())


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("kind", list(CASES))
async def test_a_rotation_that_was_cut_off_is_ended_as_asked(rig: Rig, kind: str, way: str) -> None:
    effects: list[str] = []

    def kill(name: str) -> None:
        effects.append(name)
        if name.startswith("after"):
            raise Killed

    with pytest.raises(Killed):
        await rig.rotate(CASES[kind], checkpoint=kill)
    async with rig.bench() as bench:
        recovery = recovery_of(bench)
        (one,) = recovery.chosen(None)
        assert (await recovery.tell(bench.instance, one)).startswith("next: ")
        told = await (recovery.finish if way == "finish" else recovery.undo)(bench.instance, one)
        phase = bench.journal.changes.read(one.id, one.subject).phase
        if way == "undo":
            assert (told.state, phase, recovery.chosen(None)) == ("undone", "undone", [])
        else:
            assert told.state in ("", "finished")
            assert phase in ("grace", "done", "retired")
        with pytest.raises(SelectorError):
            recovery.chosen("no such rotation")
    assert len(effects) >= 2


async def test_one_that_another_process_works_on_is_not_cut_off(rig: Rig) -> None:
    def kill(name: str) -> None:
        if name.startswith("after"):
            raise Killed

    with pytest.raises(Killed):
        await rig.rotate(CASES["provider"], checkpoint=kill)
    async with rig.bench() as bench:
        (one,) = bench.journal.open()
        async with turn(bench, one):
            assert recovery_of(bench).chosen(None) == []
        assert recovery_of(bench).chosen(None) == [one.record]


async def test_the_check_of_open_changes_sees_one_that_was_cut_off(rig: Rig) -> None:
    def kill(name: str) -> None:
        if name.startswith("after"):
            raise Killed

    with pytest.raises(Killed):
        await rig.rotate(CASES["provider"], checkpoint=kill)
    async with rig.bench() as bench:
        (one,) = bench.journal.open()
        async with resources_at(bench.state.parent, bench.instance.context, clock=bench.clock) as resources:
            found = await check(resources, "changes.open")
    assert isinstance(found, Fail)
    assert one.label in found.text


@pytest.mark.usefixtures("at")
def test_one_in_its_grace_period_is_not_cut_off_and_can_be_undone_by_name(cli: Cli, emulator: Emulator) -> None:
    identity = cli("secret", "rotate", "provider", PROVIDER, *LEFT).json["data"]["id"]
    assert cli("changes", "list", "-o", "json").json["data"] == []
    assert cli("changes", "undo", "--yes", "-o", "json").json["data"] == []
    (row,) = cli("changes", "show", identity, "-o", "json").json["data"]
    assert (row["kind"], row["phase"], row["ended"]) == ("secret.rotate", "grace", None)
    assert "it waits" in row["state"]
    assert cli("changes", "undo", identity, "--dry-run").code == 0
    assert count_of(emulator, "provider") == 2
    (row,) = cli("changes", "undo", identity, "--yes", "-o", "json").json["data"]
    assert row["ended"] == "undone"
    assert count_of(emulator, "provider") == 1
    (row,) = cli("changes", "show", identity, "-o", "json").json["data"]
    assert (row["phase"], row["ended"]) == ("undone", "undone")
