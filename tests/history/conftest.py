"""An emulator with a past, and a sync of it in process."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.clock import SystemClock
from difyops.config import Context
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.emulator.records import Run
from difyops.history.store import FILE, History
from difyops.history.sync import Synced, SyncRequest, sync
from difyops.history.tables import COLUMNS
from tests.places import context_name

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


def filled(state: Path, pasts: Mapping[str, Past], **fields: Any) -> dict[str, list[Run]]:
    """Write the history of pasts (by the name of the app) into a state folder, as a sync does; return their runs.

    For a whole module at once: a test takes a copy of its own with ``carried``.
    """
    emulator = Emulator()
    made = {name: load_past(emulator.instance, emulator.app_named(name), past) for name, past in pasts.items()}

    async def work() -> None:
        instance = await open_instance(emulator, state)
        try:
            apps = tuple([app async for app in instance.console.apps() if app.name in pasts])
            with History.open(state) as history:
                salted(history)
                request = SyncRequest(apps=apps, state=state, **fields)
                assert (await sync(instance, history, request, clock=SystemClock())).error is None
        finally:
            await instance.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMULATED_PASSWORD", emulator.password)
        asyncio.run(work())
    return made


def salted(history: History) -> None:
    """Give a history a salt that is always the same, so that the same runs are drawn every time."""
    with history.changing() as connection:
        connection.execute("INSERT OR REPLACE INTO fact VALUES ('salt', ?)", ["5a" * 16])


def carried(source: Path, state: Path) -> None:
    """Copy a history made by ``filled`` into a state folder, as that of the current context."""
    state.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / FILE, state / FILE)
    with History.open(state) as history, history.changing() as connection:
        for table in (*COLUMNS, "app", "covered", "sample", "graph", "visit", "conversation"):
            connection.execute(f"UPDATE {table} SET context = ?", [context_name()])
