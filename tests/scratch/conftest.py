"""An emulator, and changes of it in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from difyops.changes import Change
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.emulator import Emulator
from difyops.ledger import Ledger
from difyops.scratch import Scratches
from difyops.workspace import Workspace
from tests.history.conftest import open_instance


class Rig:
    """One instance, and scratch apps on it."""

    def __init__(self, emulator: Emulator, workspace: Workspace) -> None:
        self.emulator, self.workspace, self.begun = emulator, workspace, 0

    def begin(self, checkpoint: Checkpoint = no_checkpoint) -> Scratches:
        """Begin a change that makes scratch apps."""
        instance = self.workspace.instance
        self.begun += 1
        change = Change.begin(
            self.workspace.journal, "shadow", subject=f"shadow/{self.begun}", label="shadow",
            url=instance.context.url, checkpoint=checkpoint,
        )  # fmt: skip
        return Scratches(instance, change, word="shadow")

    def again(self, scratches: Scratches) -> Scratches:
        """Return the same scratch apps as another process reads them."""
        record = self.workspace.journal.read(scratches.change.id, scratches.change.record.subject)
        return Scratches(self.workspace.instance, Change(self.workspace.journal, record), word="shadow")

    def names(self) -> dict[str, str]:
        """Return the apps that are there."""
        return {app.id: app.name for app in self.emulator.instance.apps.values()}

    def app_id(self, name: str) -> str:
        """Return an app's id."""
        return next(key for key, value in self.names().items() if value == name)


@pytest.fixture
async def rig(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    instance = await open_instance(emulator, tmp_path / "state")
    ledger = Ledger.open(tmp_path / "state" / "ledger.sqlite3")
    try:
        yield Rig(emulator, Workspace(instance=instance, state=tmp_path / "state", ledger=ledger, actor="test"))
    finally:
        await instance.close()
        ledger.close()
