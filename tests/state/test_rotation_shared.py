"""Rotations on a state that machines share: the same as elsewhere, one per secret, gone on with where they began."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from difyops.emulator import Emulator
from difyops.errors import Refused
from difyops.rotation.engine import Driver, begin, turn_back
from difyops.rotation.machine import State
from difyops.secret_text import SecretText
from tests.processes import run
from tests.rotation import test_every_kind as every_kind
from tests.rotation.conftest import console, emulator
from tests.rotation.conftest import rig as rig_here
from tests.rotation.rig import CASES, SHARED_PASSWORD, Case, Rig, count_of, value_in_use
from tests.runbook.servers import PG_CANARY

__all__ = ["console", "emulator", "rig_here"]


@pytest.fixture
def rig(rig_here: Rig, shared_url: str, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setenv(SHARED_PASSWORD, PG_CANARY)
    monkeypatch.setenv("DIFYOPS_HOST", "machine-a")
    return dataclasses.replace(rig_here, shared=shared_url)


@pytest.fixture
def other(rig: Rig) -> Rig:
    """Another machine: the same instance, the same shared state, another state folder."""
    return dataclasses.replace(rig, state=rig.state.parent / "other-state")


@pytest.mark.parametrize("kind", ["app-key", "env", pytest.param("provider", marks=pytest.mark.long)])
async def test_each_kind_is_rotated_and_reverted_as_on_one_machine(kind: str, rig: Rig, emulator: Emulator) -> None:
    await every_kind.test_a_revert_in_the_grace_period_brings_the_old_secret_back(CASES[kind], rig, emulator)
    await every_kind.test_the_new_secret_is_in_use_and_the_only_one(CASES[kind], rig, emulator)
    with rig.ledger() as ledger:
        assert ledger.check() == []
        assert {"secret.rotate"} <= {entry.action for entry in ledger.audit_trail()}


def rotated(mine: Rig, case: Case, *, together: threading.Barrier) -> str:
    """Plan, wait until the other has planned, too, and rotate; return who won."""

    async def work() -> str:
        async with mine.bench() as bench:
            planned = await mine.plan(bench, case, grace=3600.0)
            together.wait(60)
            try:
                rotation = await begin(bench, planned, SecretText(case.new) if case.needs_value else None)
            except Refused as error:
                return (
                    "told" if any(word in error.message for word in ("open already", "meanwhile", "works on")) else "?"
                )
            await Driver(bench, wait=False).drive(rotation)
            return "acted"

    return asyncio.run(work())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.long)])
def test_of_two_machines_one_rotates_and_the_other_is_told(
    rig: Rig, other: Rig, emulator: Emulator, rounds: int
) -> None:
    case = CASES["app-key"]
    for _ in range(rounds):
        together = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(partial(rotated, case=case, together=together), (rig, other)))
        assert sorted(said) == ["acted", "told"]
        assert count_of(emulator, case.kind) == 2
        asyncio.run(taken_back(rig if said[0] == "acted" else other))
        assert count_of(emulator, case.kind) == 1


async def taken_back(winner: Rig) -> None:
    async with winner.bench() as bench:
        (rotation,) = bench.journal.open()
        driven = await Driver(bench).drive(await turn_back(bench, rotation))
        assert driven.rotation.state is State.ROLLED_BACK


async def test_a_plan_that_another_machine_overtook_from_start_to_end_is_stale(rig: Rig, other: Rig) -> None:
    async with rig.bench() as bench:
        planned = await rig.plan(bench, CASES["app-key"])
        await other.rotate(CASES["app-key"])
        with pytest.raises(Refused, match="rotated meanwhile"):
            await begin(bench, planned, None)


@pytest.mark.parametrize("point", [7, *(pytest.param(point, marks=pytest.mark.long) for point in range(1, 13))])
async def test_a_rotation_whose_machine_was_killed_is_gone_on_with_there_and_nowhere_else(
    rig: Rig, other: Rig, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    case = CASES["env"]
    job = {
        "job": "rotate", "kind": case.kind, "url": rig.url, "workspace": rig.workspace_id, "state": str(rig.state),
        "point": point, "place": "", "grace": 0.1, "wait": True, "shared": rig.shared,
    }  # fmt: skip
    done = await asyncio.to_thread(run, [sys.executable, "-m", "tests.rotation.kill_child", json.dumps(job)])
    assert done.returncode in (-signal.SIGKILL, 0)
    if done.returncode == 0:
        return
    monkeypatch.setenv("DIFYOPS_HOST", "machine-b")
    with pytest.raises(Refused, match=r"open already.*begun on machine-a"):
        await other.rotate(case)
    with pytest.raises(Refused, match="begun on machine-a, and the values it holds lie there"):
        await other.resume()
    driven = await rig.resume()
    assert driven is not None
    assert driven.rotation.state is State.DONE
    assert value_in_use(emulator, case.kind) == case.new
    with rig.ledger() as ledger:
        assert ledger.check() == []
