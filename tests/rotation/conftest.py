"""An emulator with one secret of every kind, a colleague at its web page, and a place to rotate from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.rotation.rig import ADMIN, Console, Rig, furnish


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Emulator:
    return Emulator("1.13.0", speed=getattr(request, "param", 200.0))


@pytest.fixture
def console(emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    monkeypatch.setenv(ADMIN, str(emulator.admin_key))
    console = Console(url, emulator.workspace_id, str(emulator.admin_key))
    furnish(emulator, console)
    emulator.control.reset_counts()
    yield console
    console.http.close()


@pytest.fixture
def rig(emulator: Emulator, url: str, console: Console, tmp_path: Path) -> Rig:
    return Rig(url=url, workspace_id=emulator.workspace_id, state=tmp_path / "state")
