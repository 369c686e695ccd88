"""An emulator with a past, and a sync of it in process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.clock import SystemClock
from difyops.config import Context
from difyops.emulator import Emulator
from difyops.history.store import History
from difyops.history.sync import Synced, SyncRequest, sync

DAY = 86400.0
Sync = Callable[..., Awaitable[Synced]]


def now() -> float:
    return SystemClock().now().timestamp()


@pytest.fixture
def history(tmp_path: Path):
    with History.open(tmp_path / "state") as opened:
        yield opened


async def open_instance(emulator: Emulator, state: Path, **options: Any) -> Instance:
    """Connect in process: no socket."""
    context = Context(
        name="emu", url="http://emulator.test", source="test", email=emulator.email, password="env:EMULATED_PASSWORD"
    )
    carrier = httpx.ASGITransport(emulator.app, raise_app_exceptions=False)
    return await connect(context, ConnectOptions(state=state, carrier=carrier, **options))


@pytest.fixture
def synced(emulator: Emulator, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Sync the named apps of the emulator."""
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)

    async def run(*names: str, **fields: Any) -> Synced:
        instance = await open_instance(emulator, tmp_path / "state")
        try:
            apps = [app async for app in instance.console.apps()]
            chosen = tuple(app for app in apps if app.name in names)
            request = SyncRequest(apps=chosen, state=tmp_path / "state")
            return await sync(instance, history, replace(request, **fields), clock=SystemClock())
        finally:
            await instance.close()

    return run
