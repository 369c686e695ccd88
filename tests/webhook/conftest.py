"""What the tests of the webhook server share: secrets in the environment, an emulator of a newer version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from difyops.emulator import Emulator
from tests.webhook.rig import SECRETS


@pytest.fixture(autouse=True)
def secrets_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["1.13.0", "1.16.1"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Emulator, str]]:
    emulator = Emulator(request.param)
    with emulator.listening() as url:
        yield emulator, url
