"""A kept draft that is put back, finished and undone: it is read back, whoever saves and whatever answer is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path

import pytest

from difyops.changes.recovery import Ended, Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.errors import DifyopsError, TimedOut, UnpublishedEdits
from difyops.publishing.content import draft_content
from difyops.publishing.kept_drafts import KeptDraft, kept_drafts
from difyops.publishing.put_back import put_kept_back
from difyops.workspace import Workspace
from tests.trunk.second_writer import (
    HALF_DONE,
    HELPER,
    MARK,
    Act,
    AgentColleague,
    Colleague,
    Killed,
    Moments,
    aside,
    place,
)

WRITES = {"wf-llm": ("POST", "workflows/draft"), HELPER: ("PUT", "composer")}
READS = {"wf-llm": "workflows/draft", HELPER: "composer"}


class Desk:
    """One workspace with a kept draft, a colleague, and moments to be cut off or disturbed at."""

    def __init__(self, workspace: Workspace, colleague: Colleague, emulator: Emulator, moments: Moments) -> None:
        self.workspace, self.colleague, self.emulator, self.moments = workspace, colleague, emulator, moments
        self.kept: KeptDraft

    async def cut_off(self, at: str) -> None:
        """Kill the putting back before or after its one write."""

        async def die() -> None:
            raise Killed

        self.moments.begin(1 if at == "before" else 2, die)
        with pytest.raises(Killed):
            await put_kept_back(self.workspace, self.kept)

    async def end(self, way: str, act: Act | None = None, *, at: int = 2) -> Ended | None:
        """Put back, finish or undo; ``act`` comes right after the write, before it is read back, or ``at`` 1 before."""
        self.moments.begin(at if act else 0, act or nothing)
        if way == "put back":
            await put_kept_back(self.workspace, self.kept)
            return None
        (record,) = self.workspace.journal.open()
        recovery = Recovery(journal=self.workspace.journal, kinds=kinds())
        return await (recovery.finish if way == "finish" else recovery.undo)(self.workspace.instance, record)

    async def save_variable(self) -> None:
        """Change a variable and nothing else: the server's hash stays what it was."""
        draft = await draft_content(self.colleague.instance.console, self.colleague.app_id)
        assert draft
        document = deepcopy(draft.document)
        document["environment_variables"][0]["value"] = MARK
        await self.colleague.instance.console.sync_draft(self.colleague.app_id, document, expected_hash=draft.hash)

    @property
    def is_kept(self) -> bool:
        return len(kept_drafts(self.workspace.state)) == 1

    @property
    def is_open(self) -> bool:
        return self.workspace.journal.open() != []


async def nothing() -> None:
    """Do nothing."""


@asynccontextmanager
async def desk(folder: Path, app: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    moments = Moments(monkeypatch)
    async with place(folder, app, AgentColleague if app == HELPER else Colleague) as (workspace, colleague, emulator):
        made = Desk(workspace, colleague, emulator, moments)
        made.kept = await aside(workspace, colleague.app_id)
        yield made


@pytest.mark.parametrize("way", ["put back", "finish", "undo"])
@pytest.mark.parametrize(("app", "saves"), [("wf-llm", "a node"), ("wf-llm", "a variable"), (HELPER, "a node")])
async def test_somebody_saves_between_our_write_and_our_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: str, way: str, saves: str
) -> None:
    """Theirs stays, the kept one stays, and nobody is told that it was written."""
    async with desk(tmp_path, app, monkeypatch) as here:

        async def save() -> None:
            await (here.save_variable() if saves == "a variable" else here.colleague.save(MARK))

        if way == "put back":
            with pytest.raises(UnpublishedEdits, match="newer draft, which stays; the kept one stays as"):
                await here.end(way, save)
        else:
            await here.cut_off("before" if way == "finish" else "after")
            ended = await here.end(way, save)
            assert ended
            assert ended.state == "overtaken"
            assert "newer draft, which stays" in ended.text
            assert here.kept.place in ended.text
        assert MARK in await here.colleague.draft()
        assert here.is_kept
        assert not here.is_open


@pytest.mark.parametrize("way", ["put back", "finish", "undo"])
@pytest.mark.parametrize("app", list(WRITES))
async def test_the_answer_to_our_write_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: str, way: str
) -> None:
    """It is read back, and was done."""
    async with desk(tmp_path, app, monkeypatch) as here:
        if way != "put back":
            await here.cut_off("before" if way == "finish" else "after")
        method, path = WRITES[app]
        here.emulator.control.fail(method=method, path=path, how="lost")
        ended = await here.end(way)
        if ended:
            assert ended.state == ("finished" if way == "finish" else "undone")
            assert "read back" in ended.text
        assert (HALF_DONE in await here.colleague.draft()) is (way != "undo")
        assert here.is_kept is (way == "undo")
        assert not here.is_open


@pytest.mark.parametrize("fails", ["the write never came", "the reading"])
@pytest.mark.parametrize("way", ["put back", "finish", "undo"])
@pytest.mark.parametrize("app", list(WRITES))
async def test_what_nobody_knows_stays_open_until_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: str, way: str, fails: str
) -> None:
    async with desk(tmp_path, app, monkeypatch) as here:
        if way != "put back":
            await here.cut_off("before" if way == "finish" else "after")

        async def disturb() -> None:
            if fails == "the write never came":
                raise TimedOut("The answer did not come in 30 s.", retryable=True)
            here.emulator.control.fail(method="GET", path=READS[app], times=1000, how="status:500")

        with pytest.raises(DifyopsError) as failed:
            await here.end(way, disturb, at=1 if fails == "the write never came" else 2)
        assert failed.value.retryable
        assert here.is_open
        assert here.is_kept
        here.emulator.control.clear_failures()
        ended = await here.end("undo" if way == "undo" else "finish")
        assert ended
        assert ended.state == ("undone" if way == "undo" else "finished")
        assert (HALF_DONE in await here.colleague.draft()) is (way != "undo")
        assert here.is_kept is (way == "undo")


@pytest.mark.parametrize("app", list(WRITES))
async def test_what_the_server_refused_is_closed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: str
) -> None:
    async with desk(tmp_path, app, monkeypatch) as here:
        method, path = WRITES[app]
        here.emulator.control.fail(method=method, path=path, how="status:400")
        with pytest.raises(DifyopsError):
            await put_kept_back(here.workspace, here.kept)
        assert here.is_kept
        assert not here.is_open
        await put_kept_back(here.workspace, here.kept)
        assert not here.is_kept
