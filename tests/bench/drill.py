"""Restore drills: a hundred apps against a bare restore of them, and a store damaged on purpose in hundreds of ways."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from difyops.emulator import Emulator
from difyops.emulator.fleet import load_fleet
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.snapshot.history import kept_apps, load_app
from difyops.snapshot.layout import read_manifest
from difyops.snapshot.restore import RestoreOptions, restore
from difyops.snapshot.take import TakeOptions, take
from difyops.workspace import Workspace
from tests.bench.table import Figure
from tests.drill.broken_store import faults, is_found
from tests.drill.conftest import Place
from tests.history.conftest import open_instance

FAULTS, APPS = 240, 100


def main() -> list[Figure]:
    """Measure everything."""
    return asyncio.run(_measured())


async def _measured() -> list[Figure]:
    async with snapshotted(Emulator()) as place:
        found = [await is_found(place, fault) for fault in faults(place.store.path, seed=1, count=FAULTS)]
    async with snapshotted(fleet()) as place:
        drilled = await place.drill(smoke=False)
        bare = await restored_bare(place)
        note = (
            f"{drilled.rto:.1f} s, {bare:.1f} s; {sum(app.proven for app in drilled.apps)} proven, one after the other"
        )
    return [
        Figure(f"seeded faults of a store that a drill found, of {FAULTS}", float(sum(found)), FAULTS, least=True),
        Figure(f"drill of {APPS} apps / bare restore of them", drilled.rto / bare, 2.0, note),
    ]


def fleet() -> Emulator:
    """Return an emulator with a hundred apps."""
    emulator = Emulator(basics=False)
    load_fleet(emulator.instance, APPS)
    return emulator


async def restored_bare(place: Place) -> float:
    """Restore every app of the snapshot under another name and say how long it took; they stay."""
    commit = place.store.resolve("latest", branch="emu")
    manifest = read_manifest(place.store, commit)
    began = time.monotonic()
    for number, app in enumerate(kept_apps(place.store, commit, ("all",))):
        kept = load_app(place.store, commit, manifest, app.id)
        if kept.live is None:  # never published: a drill passes it by as well
            continue
        options = RestoreOptions(name=f"bare {number}", allow_missing=True)
        await restore(place.workspace, kept, "latest", options)
    return time.monotonic() - began


@asynccontextmanager
async def snapshotted(emulator: Emulator) -> AsyncIterator[Place]:
    """Take a snapshot of an emulator and open what a drill needs."""
    os.environ["EMULATED_PASSWORD"] = emulator.password
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        instance = await open_instance(emulator, state)
        store = GitStore.open(Path(folder) / "snapshots", create=True)
        await take(instance, store, TakeOptions())
        ledger = Ledger.open(state / "ledger.sqlite3")
        try:
            yield Place(emulator, Workspace(instance=instance, state=state, ledger=ledger, actor="bench"), store)
        finally:
            await instance.close()
            ledger.close()
