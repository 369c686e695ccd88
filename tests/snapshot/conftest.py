"""What snapshot tests share: a colleague on the emulator, and a first snapshot tagged v1."""

from __future__ import annotations

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague


@pytest.fixture
def colleague(emulator: Emulator, url: str) -> Colleague:
    assert emulator.admin_key
    return Colleague(url, emulator.admin_key, emulator.workspace_id)


@pytest.fixture
def v1(cli: Cli, connected: str) -> str:
    """Take a first snapshot and return its tag."""
    ran = cli("snapshot", "create", "--tag", "v1", "-q")
    assert ran.code == 0, ran.err
    return "v1"
