"""Switching, for every kind: killed anywhere it ends as asked; what somebody else chose meanwhile is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difyops.api.console import Console
from difyops.api.credential_sets import ProviderCredentials
from difyops.changes import ChangeRecord
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.changes.recovery import Ended, Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.emulator.providers import SECRET_FIELD, Credential
from difyops.errors import DifyopsError, Refused, TimedOut
from difyops.ledger import Ledger
from difyops.switching import switch_app, switch_provider, switch_triggers
from difyops.workspace import Workspace
from tests.conftest import Cli
from tests.history.conftest import open_instance

PROVIDER = "langgenius/openai/openai"


class Killed(BaseException):
    """The process is gone."""


class Rig:
    """One instance whose provider has three keys, and one app with two triggers."""

    def __init__(self, emulator: Emulator, workspace: Workspace) -> None:
        self.emulator, self.workspace = emulator, workspace
        self.provider = emulator.instance.provider
        for name in ("fallback", "third"):
            key = Credential(id=emulator.instance.new_id(), name=name, values={SECRET_FIELD: f"sk-good-{name}"})
            self.provider.credentials.append(key)
        hook = emulator.app_named("wf-hook")
        first = next(iter(hook.triggers.values()))
        hook.triggers["second"] = replace(first, id=emulator.instance.new_id(), title="Second")
        self.hook = hook

    @property
    def recovery(self) -> Recovery:
        return Recovery(journal=self.workspace.journal, kinds=kinds())

    def open(self) -> ChangeRecord:
        (record,) = self.workspace.journal.open()
        return record

    async def end(self, way: str) -> Ended:
        recovery, record = self.recovery, self.open()
        assert await recovery.tell(self.workspace.instance, record)
        ended = await (recovery.finish if way == "finish" else recovery.undo)(self.workspace.instance, record)
        assert self.workspace.journal.open() == []
        return ended

    async def switch(self, kind: str, checkpoint: Checkpoint = no_checkpoint) -> bool:
        console = self.workspace.instance.console
        if kind in ("api", "site"):
            app = await console.app(self.emulator.app_named("wf-echo").id)
            return await switch_app(self.workspace, app, site=kind == "site", on=False, checkpoint=checkpoint)
        if kind == "triggers":
            app = await console.app(self.hook.id)
            found = await console.triggers(app.id)
            return await switch_triggers(self.workspace, app, found, on=False, checkpoint=checkpoint)
        stored = await ProviderCredentials(console, PROVIDER).list()
        current, wanted = (next(item for item in stored if item.name == name) for name in ("primary", "fallback"))
        return await switch_provider(
            self.workspace, PROVIDER, wanted, instead_of=current.id, settle=0.01, checkpoint=checkpoint
        )

    def state(self, kind: str) -> Any:
        echo = self.emulator.app_named("wf-echo")
        match kind:
            case "api":
                return echo.enable_api
            case "site":
                return echo.enable_site
            case "triggers":
                return {item.enabled for item in self.hook.triggers.values()}
            case _:
                assert self.provider.current
                return self.provider.current.name


BEFORE = {"api": True, "site": True, "triggers": {True}, "provider": "primary"}
AFTER = {"api": False, "site": False, "triggers": {False}, "provider": "fallback"}


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


@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("at", ["before switch", "after switch"])
@pytest.mark.parametrize("kind", list(AFTER))
async def test_killed_anywhere_it_ends_as_asked(rig: Rig, kind: str, at: str, way: str) -> None:
    def kill(name: str) -> None:
        if name == at:
            raise Killed

    with pytest.raises(Killed):
        await rig.switch(kind, kill)
    with pytest.raises(Refused, match="was cut off"):
        await rig.switch(kind)
    ended = await rig.end(way)
    assert ended.state == ("finished" if way == "finish" else "undone")
    assert rig.state(kind) == (AFTER if way == "finish" else BEFORE)[kind]
    assert await rig.switch(kind) is (way == "undo")
    assert rig.state(kind) == AFTER[kind]


@pytest.mark.parametrize("way", ["finish", "undo"])
async def test_triggers_that_were_switched_in_part_are_ended(rig: Rig, way: str) -> None:
    rig.emulator.control.fail(method="POST", path="trigger-enable", nth=2, how="status:500")
    with pytest.raises(DifyopsError, match="A part of it is switched"):
        await rig.switch("triggers")
    assert rig.state("triggers") == {True, False}
    assert (await rig.end(way)).state == ("finished" if way == "finish" else "undone")
    assert rig.state("triggers") == (AFTER if way == "finish" else BEFORE)["triggers"]


@pytest.mark.parametrize("way", ["finish", "undo"])
async def test_a_trigger_that_was_deleted_meanwhile_holds_nothing_up(rig: Rig, way: str) -> None:
    await _killed(rig, "triggers", "before switch")
    del rig.hook.triggers["second"]
    await rig.end(way)
    assert rig.state("triggers") == (AFTER if way == "finish" else BEFORE)["triggers"]


@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("at", ["before switch", "after switch"])
async def test_a_third_key_that_somebody_chose_is_left_alone(rig: Rig, at: str, way: str) -> None:
    await _killed(rig, "provider", at)
    rig.provider.use(rig.provider.credentials[-1])
    assert (await rig.end(way)).state == "overtaken"
    assert rig.state("provider") == "third"


@pytest.mark.parametrize("way", ["finish", "undo"])
async def test_what_somebody_switched_back_after_us_is_left_alone(rig: Rig, way: str) -> None:
    """It was switched, and could not be read back; then somebody switched it back: that is not undone by finishing."""

    def away(name: str) -> None:
        if name == "after switch":
            rig.emulator.control.fail(method="GET", path="/console/api/apps/", times=1000, how="status:500")

    with pytest.raises(DifyopsError, match="is unknown"):
        await rig.switch("api", away)
    rig.emulator.control.clear_failures()
    assert rig.state("api") is AFTER["api"]
    rig.emulator.app_named("wf-echo").enable_api = True
    assert (await rig.end(way)).state == ("overtaken" if way == "finish" else "undone")
    assert rig.state("api") is BEFORE["api"]


async def test_a_key_that_was_chosen_between_plan_and_switch_or_between_the_two_calls_is_left_alone(rig: Rig) -> None:
    third = rig.provider.credentials[-1]
    calls = rig.emulator.control.counts

    async def somebody() -> None:
        while not any("switch" in route for route in _routes(calls())):
            await asyncio.sleep(0.001)
        rig.provider.use(third)

    rig.emulator.control.reset_counts()
    other = asyncio.create_task(somebody())
    with pytest.raises(Refused, match=r"'third'.* left alone"):
        await rig.switch("provider")
    await other
    assert rig.state("provider") == "third"
    assert rig.workspace.journal.open() == []
    with pytest.raises(Refused, match="somebody else"):
        await rig.switch("provider")
    assert rig.state("provider") == "third"


@pytest.mark.parametrize("way", ["finish", "undo"])
async def test_a_key_that_was_deleted_meanwhile_is_told_and_the_change_closed(rig: Rig, way: str) -> None:
    await _killed(rig, "provider", "before switch" if way == "finish" else "after switch")
    keep = "primary" if way == "finish" else "fallback"
    rig.provider.credentials[:] = [item for item in rig.provider.credentials if item.name == keep]
    assert (await rig.end(way)).state == "gone"
    assert rig.state("provider") == keep


class Losses:
    """Loses the answer to one of the calls that change something, counted from 1; it ``acts``, or never came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.seen, self.acts = 0, 0, True
        self.error: BaseException = TimedOut("The answer did not come in 30 s.", retryable=True)
        send = Console.send

        async def sent(api: Console, method: str, path: str, body: Any, **rest: Any) -> Any:
            self.seen += 1
            if self.seen != self.at:
                return await send(api, method, path, body, **rest)
            if self.acts:
                await send(api, method, path, body, **rest)
            raise self.error

        monkeypatch.setattr(Console, "send", sent)

    def begin(self, at: int, *, acts: bool) -> None:
        self.at, self.seen, self.acts = at, 0, acts


@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("acts", [True, False], ids=["acted", "never came"])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("kind", list(AFTER))
async def test_an_answer_that_is_lost_on_the_way_there_and_while_it_is_ended(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, kind: str, at: int, acts: bool, way: str
) -> None:
    """What is told is so: switched, or open until somebody ends it; and what is used is what is switched to."""
    losses = Losses(monkeypatch)
    losses.begin(at, acts=acts)
    try:
        assert await rig.switch(kind)
    except DifyopsError:
        assert rig.workspace.journal.open(), "nobody knows how it stands"
    else:
        assert rig.state(kind) == AFTER[kind]
    if rig.workspace.journal.open():
        losses.begin(1, acts=acts)
        try:
            ended = await rig.end(way)
        except DifyopsError:
            losses.begin(0, acts=acts)
            ended = await rig.end(way)
        assert ended.state == ("finished" if way == "finish" else "undone")
        assert rig.state(kind) == (AFTER if way == "finish" else BEFORE)[kind]
    if kind == "provider":
        assert rig.provider.current
        assert rig.provider.cached == rig.provider.current.values


@pytest.mark.parametrize("way", ["goes on", "finish"])
async def test_a_key_whose_switch_was_lost_is_switched_to_twice_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A run that had read the old key puts it back into the server's cache after the first time."""
    rig.emulator.control.mood("stale_switch")
    losses = Losses(monkeypatch)
    losses.begin(1, acts=True)
    if way == "finish":
        losses.error = Killed()
        with pytest.raises(Killed):
            await rig.switch("provider")
        assert rig.workspace.journal.open()
        await rig.end("finish")
    else:
        assert await rig.switch("provider")
    assert rig.provider.current
    assert rig.provider.current.name == "fallback"
    assert rig.provider.cached == rig.provider.current.values


async def _killed(rig: Rig, kind: str, at: str) -> None:
    def kill(name: str) -> None:
        if name == at:
            raise Killed

    with pytest.raises(Killed):
        await rig.switch(kind, kill)


def _routes(counts: Any) -> list[str]:
    return list(counts["routes"])


@pytest.mark.parametrize("how", ["lost", "cut"])
def test_a_switch_whose_answer_alone_is_lost_is_done(cli: Cli, connected: str, emulator: Emulator, how: str) -> None:
    emulator.control.fail(method="POST", path="/api-enable", how=how)
    done = cli("app", "disable", "chat-basic", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert "read back" in done.err
    assert emulator.app_named("chat-basic").enable_api is False
    assert cli("changes", "list", "-o", "json").json["data"] == []
