"""Somebody finds an app that is being restored, and works in it: what they save or publish is not lost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.errors import DifyopsError
from difyops.snapshot.history import kept_app
from difyops.snapshot.restore import RestoreOptions, restore
from difyops.snapshot.take import TakeOptions, take
from difyops.workspace import Workspace
from tests.kept import kept_text
from tests.trunk.second_writer import (
    HELPER,
    MARK,
    AgentColleague,
    Colleague,
    ConfigColleague,
    Killed,
    Moments,
    place,
)

APPS = {"wf-hook": Colleague, "chat-basic": ConfigColleague, HELPER: AgentColleague}


class Finder:
    """A colleague who looks for the app by its name, and acts in it once it is there."""

    def __init__(self, colleague: Colleague, name: str, writer: str) -> None:
        self.colleague, self.name, self.writer = colleague, name, writer
        self.has_acted = False

    async def find(self) -> bool:
        found = [item async for item in self.colleague.instance.console.apps() if item.name.startswith(self.name)]
        if found:
            self.colleague.app_id = found[0].id
        return bool(found)

    async def act(self) -> None:
        if not self.has_acted and await self.find():
            self.has_acted = True
            await (self.colleague.publish() if self.writer == "publish" else self.colleague.save(MARK))

    async def live(self) -> str:
        return await self.colleague.live() if await self.find() else ""

    async def lost_nothing(self, state: Path, where: Any) -> None:
        """Hold that what was saved is there; and that it is not live unless it was published."""
        if not self.has_acted:
            return
        assert await self.find(), where
        seen = await self.colleague.draft() + await self.colleague.versions()
        assert MARK in seen + kept_text(state), where
        is_saved = self.writer == "save" and not isinstance(self.colleague, ConfigColleague)
        assert not is_saved or MARK not in await self.colleague.live(), where


async def remove(workspace: Workspace, name: str) -> None:
    """Keep all apps, and delete one."""
    assert workspace.store
    assert (await take(workspace.instance, workspace.store, TakeOptions(tag="v1"))).error is None
    (app,) = [item async for item in workspace.instance.console.apps() if item.name == name]
    await workspace.instance.console.delete_app(app.id)


async def restored(workspace: Workspace, name: str) -> None:
    assert workspace.store
    kept = kept_app(workspace.store, workspace.store.resolve("v1", branch="emu"), name)
    await restore(workspace, kept, "v1", RestoreOptions(allow_missing=True))


@pytest.mark.exhaustive(12)
@pytest.mark.parametrize("answer", ["comes", "is lost"])
@pytest.mark.parametrize("writer", ["save", "publish"])
@pytest.mark.parametrize("name", APPS)
async def test_somebody_works_in_an_app_that_is_being_restored(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, writer: str, answer: str
) -> None:
    moments = Moments(monkeypatch)
    for point in points:
        async with place(tmp_path / str(point), name, APPS[name]) as (workspace, colleague, _):
            await remove(workspace, name)
            finder, is_done = Finder(colleague, name, writer), False
            moments.begin(point, finder.act, loses=answer != "comes")
            try:
                await restored(workspace, name)
                is_done = True
            except DifyopsError as error:
                told = error.message
            if moments.seen < point:
                assert point > 5, moments.names
                return
            where = (name, writer, moments.names[point - 1], is_done, "" if is_done else told)
            if answer != "comes" or "was restored, but" in where[-1]:
                await ended(workspace, "finish", where)
            await finder.lost_nothing(workspace.state, where)
            assert workspace.journal.open() == [], where
            assert not is_done or MARK not in await finder.live(), where
    raise AssertionError("it never came to its end")


@pytest.mark.exhaustive(12)
@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("writer", ["save", "publish"])
@pytest.mark.parametrize("name", APPS)
async def test_somebody_works_in_an_app_whose_restore_was_killed(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, writer: str, way: str
) -> None:
    moments = Moments(monkeypatch)

    async def die() -> None:
        raise Killed

    for point in points:
        async with place(tmp_path / str(point), name, APPS[name]) as (workspace, colleague, _):
            await remove(workspace, name)
            moments.begin(point, die)
            try:
                await restored(workspace, name)
            except Killed:
                finder = Finder(colleague, name, writer)
                await finder.act()
            else:
                return
            where = (name, writer, moments.names[-1], way)
            state = await ended(workspace, way, where)
            await finder.lost_nothing(workspace.state, where)
            assert state != "finished" or MARK not in await finder.live(), where
            assert workspace.journal.open() == [], where


async def test_somebody_begins_to_work_right_before_the_half_made_app_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = Moments(monkeypatch)

    async def die() -> None:
        raise Killed

    async with place(tmp_path, "wf-hook") as (workspace, colleague, _):
        await remove(workspace, "wf-hook")
        moments.begin(4, die)
        with pytest.raises(Killed):
            await restored(workspace, "wf-hook")
        finder = Finder(colleague, "wf-hook", "save")
        moments.begin(1, finder.act)
        assert await ended(workspace, "undo", moments.names) == "overtaken"
        assert moments.names == ["before delete app", "after delete app"]
        await finder.lost_nothing(workspace.state, "")
        assert MARK in json.dumps(await colleague.draft())


async def ended(workspace: Workspace, way: str, where: Any) -> str:
    recovery, state = Recovery(journal=workspace.journal, kinds=kinds()), ""
    for record in workspace.journal.open():
        state = (await (recovery.finish if way == "finish" else recovery.undo)(workspace.instance, record)).state
        assert state, where
    return state
