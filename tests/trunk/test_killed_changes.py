"""Every kind of change is killed before and after each of its effects, then finished, and undone.

The kinds that have a test of their own are named in a table; the others are killed here. A new kind stands in neither,
and fails.
"""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from difyops.changes import Change
from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.publishing.content import draft_content
from difyops.publishing.document_change import DocumentChange, change_document
from difyops.publishing.kept_drafts import kept_draft, kept_drafts
from difyops.publishing.put_back import put_kept_back
from difyops.sealing.access import Access
from difyops.snapshot.history import kept_app
from difyops.snapshot.restore import RestoreOptions, restore
from difyops.snapshot.take import TakeOptions, take
from difyops.workspace import Workspace
from tests.history.conftest import open_instance
from tests.trunk.second_writer import keep_aside

TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    "snapshot.rollback": ("snapshot/test_killed.py", "test_a_killed_rollback_is_finished_or_undone"),
    "drill.run": ("drill/test_drill.py", "test_killed_at_every_step_nothing_is_left_after_the_next_one"),
    "evaluation.trial": ("evaluation/test_trial.py", "test_nothing_is_left_after_a_kill"),
    "secret.rotate": ("rotation/test_killed.py", "test_killed_at_every_point_a_resumed_rotation_ends_done"),
    "release": ("release/test_killed.py", "test_killed_on_the_way_to_live"),
    "plugin.identifiers": ("plugins_of_dify/test_upgrade.py", "test_killed_before_and_after_each_effect"),
    "plugin.upgrade": ("plugins_of_dify/test_upgrade.py", "test_killed_before_and_after_each_effect"),
    **dict.fromkeys(
        ("app.enable", "app.disable", "trigger.enabled", "trigger.disabled", "provider.switch"),
        ("trunk/test_switching.py", "test_killed_anywhere_it_ends_as_asked"),
    ),
}
HERE = {"snapshot.restore", "app.switch_model", "draft.put_back"}


class Killed(BaseException):
    """The process is gone."""


class Deaths:
    """Kills at one of the moments before and after the effects of a change, counted from 1."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fatal, self.seen = 0, 0
        effect = Change.effect

        async def dying(change: Change, name: str, work: Callable[[], Awaitable[Any]], **facts: Any) -> Any:
            async def worked() -> Any:
                self.moment()
                done = await work()
                self.moment()
                return done

            return await effect(change, name, worked, **facts)

        monkeypatch.setattr(Change, "effect", dying)

    def moment(self) -> None:
        self.seen += 1
        if self.seen == self.fatal:
            raise Killed


class Place:
    """One instance, one workspace, and a store with a snapshot of all apps."""

    def __init__(self, emulator: Emulator, workspace: Workspace) -> None:
        self.emulator, self.workspace = emulator, workspace

    def names(self) -> list[str]:
        return sorted(app.name for app in self.emulator.instance.apps.values())

    def graph(self) -> Any:
        app = self.emulator.app_named("wf-llm")
        assert app.live
        return app.live.graph

    async def end(self, way: str) -> str:
        (record,) = self.workspace.journal.open()
        recovery = Recovery(journal=self.workspace.journal, kinds=kinds())
        assert await recovery.tell(self.workspace.instance, record)
        ended = await (recovery.finish if way == "finish" else recovery.undo)(self.workspace.instance, record)
        assert self.workspace.journal.open() == []
        return ended.state

    async def snapshot(self) -> None:
        assert self.workspace.store
        taken = await take(self.workspace.instance, self.workspace.store, TakeOptions(tag="v1"))
        assert taken.error is None

    async def restored(self) -> None:
        """Restore an app that was deleted."""
        assert self.workspace.store
        store = self.workspace.store
        kept = kept_app(store, store.resolve("v1", branch="emu"), "wf-hook")
        await restore(self.workspace, kept, "v1", RestoreOptions(allow_missing=True))

    async def other_model(self) -> None:
        """Let a node answer with another model."""

        def derive(graph: Any) -> Any:
            changed = deepcopy(graph)
            node = next(item for item in changed["nodes"] if item["data"]["type"] == "llm")
            node["data"]["model"]["name"] = "gpt-fallback"
            return changed

        app = self.emulator.app_named("wf-llm")
        assert app.live
        wanted = DocumentChange(
            kind="app.switch_model", name="fallback", text="", derive=derive, expected_live=app.live.id, told={}
        )
        await change_document(self.workspace, await self.workspace.instance.console.app(app.id), wanted)


@asynccontextmanager
async def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    emulator = Emulator()
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    instance = await open_instance(emulator, folder / "state")
    ledger = Ledger.open(folder / "state" / "ledger.sqlite3")
    store = GitStore.open(folder / "store", create=True)
    try:
        yield Place(
            emulator,
            Workspace(instance=instance, state=folder / "state", ledger=ledger, actor="test", store=store),
        )
    finally:
        await instance.close()
        ledger.close()


def test_every_kind_is_killed_somewhere() -> None:
    assert set(kinds()) == {*ELSEWHERE, *HERE}
    for file, name in set(ELSEWHERE.values()):
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("way", ["finish", "undo"])
async def test_a_restore_that_is_killed_is_whole_or_gone(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    deaths = Deaths(monkeypatch)
    for point in points:
        async with place(tmp_path / str(point), monkeypatch) as here:
            await here.snapshot()
            before = here.names()
            del here.emulator.instance.apps[here.emulator.app_named("wf-hook").id]
            deaths.fatal, deaths.seen = point, 0
            try:
                await here.restored()
            except Killed:
                assert await here.end(way) == ("finished" if way == "finish" else "undone")
                assert here.names() == (before if way == "finish" else [name for name in before if name != "wf-hook"])
            else:
                assert point > 8, "too few points were killed"
                return


@pytest.mark.parametrize("way", ["finish", "undo"])
async def test_another_model_that_was_cut_off_is_live_or_not(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    deaths = Deaths(monkeypatch)
    for point in points:
        async with place(tmp_path / str(point), monkeypatch) as here:
            before = deepcopy(here.graph())
            deaths.fatal, deaths.seen = point, 0
            try:
                await here.other_model()
            except Killed:
                assert await here.end(way) == ("finished" if way == "finish" else "undone")
                assert ("gpt-fallback" in str(here.graph())) is (way == "finish")
                assert way == "finish" or here.graph() == before
            else:
                assert point > 4, "too few points were killed"
                return


@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("point", [1, 2])
async def test_a_draft_that_was_being_put_back_is_there_or_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int, way: str
) -> None:
    async with place(tmp_path, monkeypatch) as here:
        app = here.emulator.app_named("wf-llm")
        draft = await draft_content(here.workspace.instance.console, app.id)
        assert draft
        keep_aside(here.workspace, await here.workspace.instance.console.app(app.id), draft.as_kept())
        state = here.workspace.state
        (listed,) = kept_drafts(state)
        kept = kept_draft(state, listed.name, Access(state=state))
        deaths = Deaths(monkeypatch)
        deaths.fatal = point
        with pytest.raises(Killed):
            await put_kept_back(here.workspace, kept)
        assert await here.end(way) == ("finished" if way == "finish" else "undone")
        assert kept_drafts(state) == ([] if way == "finish" else [listed])
