"""A rollback near the slot of a schedule: it waits, says so, goes on, and looks for the run afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.git_store import GitStore
from difyops.publishing.document_change import DocumentChange, change_document
from difyops.snapshot.history import kept_app
from difyops.snapshot.rollback import RollbackOptions, RolledBack, roll_back
from difyops.snapshot.take import TakeOptions, take
from tests.api.frozen import FrozenClock
from tests.release.conftest import Rig, timed_rig

APP = "wf-cron"
SLOT = 600  # seconds of the frozen clock; the app is due every 300


class Place:
    """One app with a schedule, kept as v1; what is live is another version, published before the slot."""

    def __init__(self, rig: Rig, clock: FrozenClock, store: GitStore) -> None:
        self.rig, self.clock, self.store = rig, clock, store
        self.runs = False

    async def publish(self, **settings: Any) -> None:
        """Publish another version; ``settings`` are those of its schedule."""

        def edit(document: dict[str, Any]) -> None:
            document["graph"]["nodes"][0]["data"].update(title="Begin", **settings)

        await self.rig.edit(APP, edit)
        await self.rig.console.publish(self.rig.app_id(APP), name="", comment="")

    async def rolled_back(self, at: int, *, waits: bool = True, checkpoint: Checkpoint = no_checkpoint) -> RolledBack:
        """Roll back ``at`` seconds before (negative) or after the slot."""
        self.clock.seconds = SLOT + at
        self.clock.slept.clear()
        kept = kept_app(self.store, self.store.resolve("v1", branch=self.rig.workspace.instance.name), APP)
        workspace = replace(self.rig.workspace, store=self.store)
        return await roll_back(workspace, kept, "v1", RollbackOptions(wait_for_slots=waits, checkpoint=checkpoint))

    @property
    def waited(self) -> list[int]:
        return [round(seconds) for seconds in self.clock.slept if seconds > 5]


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setenv("EMULATED_PASSWORD", Emulator().password)
    async with timed_rig(tmp_path / "state") as (rig, clock):
        store = GitStore.open(tmp_path / "store", create=True)
        for trigger in await rig.console.triggers(rig.app_id(APP)):
            await rig.console.set_trigger(rig.app_id(APP), trigger.id, enabled=True)
        assert (await take(rig.workspace.instance, store, TakeOptions(tag="v1"))).error is None
        here, sleep = Place(rig, clock, store), clock.sleep

        async def slept(seconds: float) -> None:
            if here.runs and seconds > 5:
                await rig.emulator.tick()
            await sleep(seconds)

        monkeypatch.setattr(FrozenClock, "sleep", lambda _, seconds: slept(seconds))
        clock.seconds += 100
        yield here


@pytest.mark.parametrize(("at", "seconds"), [(-9, 100), (-4, 95), (1, 90), (60, 31)])
async def test_it_waits_while_a_slot_is_due_and_says_so(
    place: Place, caplog: pytest.LogCaptureFixture, at: int, seconds: int
) -> None:
    await place.publish()
    place.runs = True
    done = await place.rolled_back(at)
    assert (done.state, done.missed, done.error) == ("rolled back", (), None)
    assert place.waited == [seconds]
    assert f"waiting {seconds} s" in caplog.text


@pytest.mark.parametrize("at", [-15, 95])
async def test_outside_the_window_nothing_is_waited_for(place: Place, at: int) -> None:
    await place.publish()
    done = await place.rolled_back(at)
    assert (done.state, done.missed, place.waited) == ("rolled back", (), [])


@pytest.mark.parametrize("waits", [True, False])
async def test_a_run_that_never_comes_is_told(place: Place, waits: bool) -> None:
    await place.publish()
    done = await place.rolled_back(5, waits=waits)
    assert done.state == "rolled back"
    assert [text.rpartition(" at ")[2] for text in done.missed] == ["2026-11-20T02:10:00Z did not come"]
    assert done.error is not None
    assert done.error.exit_code == 3


async def test_a_slot_before_the_publication_of_what_was_live_owes_no_run(place: Place) -> None:
    place.clock.seconds = SLOT + 10
    await place.publish()
    done = await place.rolled_back(20)
    assert (done.state, done.missed, place.waited) == ("rolled back", (), [71])


async def test_slots_close_together_are_only_told(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    await place.publish(cron_expression="*/4 * * * *")
    done = await place.rolled_back(1)
    assert (done.state, done.missed, place.waited) == ("rolled back", (), [])
    assert "more often than every 5 minutes" in caplog.text


async def test_a_rollback_that_is_finished_later_waits_and_looks_too(place: Place) -> None:
    await place.publish()

    def die(name: str) -> None:
        if name == "before publish":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await place.rolled_back(-100, checkpoint=die)
    workspace = place.rig.workspace
    (record,) = workspace.journal.open()
    place.clock.seconds = SLOT + 5
    place.clock.slept.clear()
    ended = await Recovery(journal=workspace.journal, kinds=kinds()).finish(workspace.instance, record)
    assert (ended.state, place.waited) == ("finished", [86])
    assert ended.error is not None
    assert ended.error.exit_code == 3


async def test_a_change_of_a_document_waits_and_looks_too(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    app = await place.rig.console.app(place.rig.app_id(APP))

    def renamed(graph: Any) -> Any:
        changed = deepcopy(graph)
        changed["nodes"][0]["data"]["title"] = "Begin"
        return changed

    wanted = DocumentChange(
        kind="app.switch_model", name="other", text="", derive=renamed, expected_live=app.live_version, told={}
    )
    place.clock.seconds = SLOT + 5
    place.clock.slept.clear()
    done = await change_document(place.rig.workspace, app, wanted)
    assert place.waited == [86]
    assert [text.rpartition(" at ")[2] for text in done.missed] == ["2026-11-20T02:10:00Z did not come"]
    assert "did not come" in caplog.text
