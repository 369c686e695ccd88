"""One contract over server versions: rotate and revert, from 1.9.1 to 1.15."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.rotation.engine import Driver, turn_back
from difyops.rotation.machine import State
from tests.rotation.rig import ADMIN, CASES, Case, Console, Rig, count_of, furnish, value_in_use

VERSIONS = ("1.9.1", "1.11.2", "1.13.3", "1.15")
SOME = pytest.mark.parametrize(
    "case", [CASES[kind] for kind in ("app-key", "env", "provider")], ids=lambda case: case.kind
)


@pytest.fixture(params=VERSIONS)
def emulator(request: pytest.FixtureRequest) -> Emulator:
    return Emulator(request.param, speed=200.0)


@pytest.fixture
def rig(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setenv(ADMIN, str(emulator.admin_key))
    with emulator.listening() as url:
        console = Console(url, emulator.workspace_id, str(emulator.admin_key))
        furnish(emulator, console)
        yield Rig(url=url, workspace_id=emulator.workspace_id, state=tmp_path / "state")
        console.http.close()


@SOME
@pytest.mark.exhaustive(3)
async def test_a_secret_is_rotated_whatever_the_version(case: Case, rig: Rig, emulator: Emulator) -> None:
    before = value_in_use(emulator, case.kind)
    driven = await rig.rotate(case)
    assert driven.rotation.state is State.DONE, driven.rotation
    assert value_in_use(emulator, case.kind) != before
    assert count_of(emulator, case.kind) == 1


@SOME
@pytest.mark.exhaustive(3)
async def test_a_rotation_is_reverted_whatever_the_version(case: Case, rig: Rig, emulator: Emulator) -> None:
    before = value_in_use(emulator, case.kind)
    driven = await rig.rotate(case, wait=False, grace=3600.0)
    held = list((rig.state / "rotation-secrets").rglob("old"))
    assert bool(held) == (case.kind == "env")
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
    assert driven.rotation.state is State.ROLLED_BACK, driven.rotation
    assert value_in_use(emulator, case.kind) == before
    assert count_of(emulator, case.kind) == 1
