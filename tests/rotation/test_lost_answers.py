"""Answers that are lost, for every kind of secret and every call that changes something: done once, or not at all.

The server acted and its answer is lost; or it never got the call. The rotation goes on by itself, turns back by itself,
is turned back, is finished or undone after a kill: one working secret is left, the right one, and none besides it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from difyops.api.console import Console as Api
from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.errors import DifyopsError, Refused, TimedOut
from difyops.rotation.engine import Driver, again, begin, turn_back
from difyops.rotation.job import RotationJob
from difyops.rotation.machine import State
from difyops.secret_text import SecretText
from tests.rotation.rig import CASES, Case, Console, Rig, count_of, furnish, value_in_use

EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
HOW = pytest.mark.parametrize("acts", [True, False], ids=["acted", "never came"])
SOME = pytest.mark.exhaustive(4)
MADE = [kind for kind in CASES if kind not in ("env", "webhook-secret")]  # they are made by a call


class Killed(BaseException):
    """The process ended here."""


class Losses:
    """Loses the answer to one of the calls that change something, counted from 1; ``dies``: and the process with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        self.at, self.seen, self.acts, self.dies, self.names = 0, 0, True, False, list[str]()
        self.late, self.coming = 0.0, list[asyncio.Task[None]]()
        if kind == "webhook-secret":  # it lies in a file: no call, but what is done to the file may fail like one
            effect = RotationJob.effect

            async def done(job: RotationJob, name: str, work: Callable[[], Any], **facts: Any) -> Any:
                return await effect(job, name, lambda: self.call(name, work), **facts)

            monkeypatch.setattr(RotationJob, "effect", done)
            return
        send = Api.send

        async def sent(api: Api, method: str, path: str, body: Any, **rest: Any) -> Any:
            if rest.get("reads"):
                return await send(api, method, path, body, **rest)
            return await self.call(f"{method} {path}", lambda: send(api, method, path, body, **rest))

        monkeypatch.setattr(Api, "send", sent)

    def begin(self, at: int, *, acts: bool, dies: bool = False) -> None:
        self.at, self.seen, self.acts, self.dies = at, 0, acts, dies
        self.names.clear()

    async def come(self, work: Callable[[], Any]) -> None:
        """Let the server act after all, ``late`` seconds after we gave up."""
        await asyncio.sleep(self.late)
        with contextlib.suppress(DifyopsError):
            await work()

    async def call(self, name: str, work: Callable[[], Any]) -> Any:
        self.seen += 1
        self.names.append(name)
        if self.seen != self.at:
            return await work()
        if self.late:
            self.coming.append(asyncio.create_task(self.come(work)))
        if self.acts:
            await work()
        if self.dies:
            raise Killed
        raise TimedOut("The answer did not come in 30 s.", retryable=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key that a slow server may still make be waited for shortly."""
    monkeypatch.setattr("difyops.rotation.late.SKEW", 1.0)
    monkeypatch.setattr("difyops.rotation.late.longest", lambda job: 0.5)
    monkeypatch.setattr("difyops.rotation.late.LATE", 0.5)
    monkeypatch.setattr("difyops.publishing.late.LATE", 0.8)


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch, case: Case) -> Losses:
    return Losses(monkeypatch, case.kind)


class Places:
    """A fresh instance and a fresh state folder for each point."""

    def __init__(self, emulator: Emulator, console: Console, rig: Rig, folder: Path, kind: str) -> None:
        self.emulator, self.console, self.rig, self.folder, self.kind = emulator, console, rig, folder, kind
        self.before = ""

    def anew(self, point: int) -> Rig:
        self.emulator.reset()
        furnish(self.emulator, self.console, self.kind)
        self.before = value_in_use(self.emulator, self.kind)
        return Rig(url=self.rig.url, workspace_id=self.rig.workspace_id, state=self.folder / f"state{point}")

    def check(self, rig: Rig, *, is_new: bool, where: Any) -> None:
        now = value_in_use(self.emulator, self.kind)
        assert (now != self.before) is is_new, where
        assert not CASES[self.kind].new or now == (CASES[self.kind].new if is_new else self.before), where
        assert count_of(self.emulator, self.kind) == 1, ("a secret was orphaned", where)
        assert not rig.held(), where
        if self.kind == "env":
            app = self.emulator.app_named("wf-llm")
            assert app.draft
            assert app.live
            assert app.draft.graph["nodes"][0]["data"]["title"] == "a colleague's title", where
            assert app.live.graph["nodes"][0]["data"]["title"] != "a colleague's title", where
            assert app.draft.env["API_TOKEN"] == app.live.env["API_TOKEN"], where


@pytest.fixture
def places(emulator: Emulator, console: Console, rig: Rig, tmp_path: Path, case: Case) -> Places:
    return Places(emulator, console, rig, tmp_path, case.kind)


@SOME
@HOW
@EVERY
async def test_it_goes_on_by_itself(
    case: Case, acts: bool, losses: Losses, places: Places, points: Iterable[int]
) -> None:
    for point in points:
        rig = places.anew(point)
        losses.begin(point, acts=acts)
        driven = await rig.rotate(case)
        where = (point, losses.names[:point], driven.rotation.state, driven.rotation.trouble, driven.rotation.went_back)
        assert driven.rotation.state is State.DONE, where
        places.check(rig, is_new=True, where=where)
        if losses.seen < point:
            assert point > 2
            return
    raise AssertionError("it never came to its end")


@SOME
@HOW
@EVERY
async def test_without_patience_it_turns_back_by_itself_or_waits_for_a_person(
    case: Case, acts: bool, losses: Losses, places: Places, points: Iterable[int]
) -> None:
    for point in points:
        rig = places.anew(point)
        losses.begin(point, acts=acts)
        driven = await rig.rotate(case, patience=1)
        where = (point, losses.names[:point], driven.rotation.state, driven.rotation.trouble, driven.rotation.went_back)
        if driven.rotation.state is State.PARKED:
            async with rig.bench() as bench:
                driven = await Driver(bench).drive(await again(bench, driven.rotation, force=False))
        assert driven.rotation.state in (State.DONE, State.ROLLED_BACK), where
        places.check(rig, is_new=driven.rotation.state is State.DONE, where=where)
        if losses.seen < point:
            return
    raise AssertionError("it never came to its end")


@SOME
@HOW
@EVERY
async def test_the_way_back(case: Case, acts: bool, losses: Losses, places: Places, points: Iterable[int]) -> None:
    for point in points:
        rig = places.anew(point)
        losses.begin(0, acts=acts)
        driven = await rig.rotate(case, wait=False, grace=3600.0)
        assert driven.rotation.state is State.GRACE
        losses.begin(point, acts=acts)
        async with rig.bench() as bench:
            driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
        where = (point, losses.names[:point], driven.rotation.state, driven.rotation.trouble)
        assert driven.rotation.state is State.ROLLED_BACK, where
        places.check(rig, is_new=False, where=where)
        if losses.seen < point:
            return
    raise AssertionError("it never came to its end")


@SOME
@pytest.mark.parametrize("way", ["finish", "undo"])
@HOW
@EVERY
async def test_it_is_ended_after_a_kill(
    case: Case, acts: bool, way: str, losses: Losses, places: Places, points: Iterable[int]
) -> None:
    """The answer is lost with the process that waited for it; another one tells, and ends it."""
    for point in points:
        rig = places.anew(point)
        losses.begin(point, acts=acts, dies=True)
        try:
            await rig.rotate(case)
        except Killed:
            pass
        else:
            return
        where = (point, losses.names[:point], way)
        losses.begin(0, acts=acts)
        async with rig.bench() as bench:
            changes = bench.journal.changes
            (record,) = changes.open()
            recovery = Recovery(journal=changes, kinds=kinds())
            assert await recovery.tell(bench.instance, record), where
            is_undone, state = way == "undo", ""
            if way == "undo":
                try:
                    state = (await recovery.undo(bench.instance, record)).state
                except Refused:  # the old secret was ended: there is no way back
                    is_undone = False
                    assert "cannot be brought back" in await recovery.tell(bench.instance, changes.open()[0]), where
            while not state:
                state = (await recovery.finish(bench.instance, record)).state
            assert state == ("undone" if is_undone else "finished"), where
            assert changes.open() == [], where
        places.check(rig, is_new=not is_undone, where=where)
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("emulator", [1.0], indirect=True, ids=["its time is ours"])
@pytest.mark.parametrize("patience", [1, 4], ids=["turns back", "goes on"])
@pytest.mark.parametrize(
    "case", [CASES[kind] for kind in CASES if kind not in ("env", "webhook-secret")], ids=lambda case: case.kind
)
async def test_what_a_slow_server_makes_after_we_gave_up_is_no_orphan(
    case: Case, patience: int, losses: Losses, places: Places
) -> None:
    rig = places.anew(0)
    losses.begin(2 if case.kind == "provider" else 1, acts=False)  # there the value is tried first
    losses.late = 0.4
    async with rig.bench() as bench:
        rotation = await begin(
            bench, await rig.plan(bench, case, patience=patience), SecretText(case.new) if case.new else None
        )
        driven = await Driver(bench).drive(rotation)
        await asyncio.gather(*losses.coming)
    where = (losses.names, driven.rotation.state, driven.rotation.trouble, driven.rotation.went_back)
    assert losses.coming, where
    assert driven.rotation.state is (State.ROLLED_BACK if patience == 1 else State.DONE), where
    places.check(rig, is_new=patience > 1, where=where)


@pytest.mark.parametrize("emulator", [1.0], indirect=True, ids=["its time is ours"])
@pytest.mark.parametrize("patience", [1, 4], ids=["turns back", "goes on"])
@pytest.mark.parametrize("at", [1, 2, 3], ids=["write draft", "publish", "put draft back"])
@pytest.mark.parametrize("case", [CASES["env"]], ids=["env"])
async def test_what_a_slow_server_writes_or_publishes_after_we_gave_up_touches_no_colleague(
    case: Case, at: int, patience: int, losses: Losses, places: Places
) -> None:
    """A late write must not overwrite the draft that is back, nor a late publication put it live."""
    rig = places.anew(0)
    losses.begin(at, acts=False)
    losses.late = 0.4
    async with rig.bench() as bench:
        rotation = await begin(bench, await rig.plan(bench, case, patience=patience), SecretText(case.new))
        driven = await Driver(bench).drive(rotation)
        await asyncio.gather(*losses.coming)
    where = (losses.names, driven.rotation.state, driven.rotation.trouble, driven.rotation.went_back)
    assert losses.coming, where
    assert driven.rotation.state in (State.DONE, State.ROLLED_BACK), where
    places.check(rig, is_new=driven.rotation.state is State.DONE, where=where)
