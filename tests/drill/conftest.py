"""A snapshot of the emulator, and drills of it in process."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from difyops.changes.change import Checkpoint
from difyops.drill.model import Drilled, DrillRequest
from difyops.drill.run import run
from difyops.emulator import Emulator
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.snapshot.take import TakeOptions, take
from difyops.workspace import Workspace
from tests.history.conftest import open_instance

MODES = ("wf-echo", "flow-chat", "chat-basic", "agent", "completion-basic")


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Place:
    """An instance that was snapshotted, with what a drill needs."""

    emulator: Emulator
    workspace: Workspace
    store: GitStore

    async def drill(self, *selectors: str, **fields) -> Drilled:
        """Run a drill of these apps, one after the other."""
        request = DrillRequest(**{"source": "emu", "selectors": selectors or ("all",), "at_once": 1, **fields})
        return await run(self.workspace, self.store, request)

    def apps(self) -> dict[str, str]:
        """Return the names of the apps that are there, by id."""
        return {app.id: app.name for app in self.emulator.instance.apps.values()}


def killing(step: int) -> Checkpoint:
    """Return a checkpoint that ends the process at a step."""
    seen = 0

    def checkpoint(name: str) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            raise Killed(name)

    return checkpoint


Counted = tuple[Checkpoint, Callable[[], int]]


def counting() -> Counted:
    """Return a checkpoint that counts, and what it counted."""
    names: list[str] = []
    return names.append, lambda: len(names)


@pytest.fixture(scope="module")
def kept_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with a snapshot of a fresh emulator; all of them have the same apps."""
    folder, emulator = tmp_path_factory.mktemp("kept"), Emulator()

    async def made() -> None:
        instance = await open_instance(emulator, folder / "state")
        try:
            await take(instance, GitStore.open(folder / "snapshots", create=True), TakeOptions())
        finally:
            await instance.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMULATED_PASSWORD", emulator.password)
        asyncio.run(made())
    return folder / "snapshots"


@pytest.fixture
async def place(
    emulator: Emulator, kept_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    state = tmp_path / "state"
    instance = await open_instance(emulator, state)
    shutil.copytree(kept_store, tmp_path / "snapshots")
    store = GitStore.open(tmp_path / "snapshots")
    ledger = Ledger.open(state / "ledger.sqlite3")
    try:
        yield Place(emulator, Workspace(instance=instance, state=state, ledger=ledger, actor="test"), store)
    finally:
        await instance.close()
        ledger.close()
