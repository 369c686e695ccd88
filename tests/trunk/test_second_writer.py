"""Somebody saves or publishes before and after each effect of a change, whatever its kind: nobody's work is lost.

What was saved is in the draft, in a version or kept by name at the end; what somebody only saved never stays live; and
whoever is told "done" has what they asked for live. Rollbacks have tests of their own (``snapshot/test_races.py``).
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from difyops.api.instance import Instance
from difyops.changes import Change
from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.errors import DifyopsError, Refused
from difyops.ledger import Ledger
from difyops.plugins_of_dify.plan import make_plan as plan_of_upgrade
from difyops.plugins_of_dify.upgrade import UpgradeOptions, upgrade
from difyops.publishing.content import draft_content, version_content
from difyops.publishing.document_change import DocumentChange, change_document
from difyops.release.plan import Gates, Shadow, WatchRules
from difyops.release.planning import PlanRequest, make_plan
from difyops.release.run import ReleaseOptions, apply
from difyops.rotation.engine import Driver, begin, turn_back
from difyops.rotation.job import Workbench
from difyops.rotation.journal import RotationJournal
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.machine import State
from difyops.rotation.policy import RotationPolicy
from difyops.rotation.prepare import RotationRequest, prepare
from difyops.rotation.reading import WorkspaceReading
from difyops.rotation.record import PlannedRotation
from difyops.secret_text import SecretText
from difyops.workspace import Workspace
from tests.history.conftest import open_instance
from tests.kept import kept_text
from tests.plugins_of_dify.conftest import PLUGIN, Fast
from tests.plugins_of_dify.conftest import prepare as with_plugin
from tests.rotation.rig import QUICK

MARK, HALF_DONE, NEW = "saved meanwhile", "half done", "tok-canary-new-7722"
Act = Callable[[], Awaitable[None]]


@dataclass
class Colleague:
    """Somebody else at the web page of one app."""

    instance: Instance
    app_id: str

    async def save(self, title: str, node: int = 0) -> None:
        """Rename a node in the draft, and keep all the rest of it."""
        console = self.instance.console
        draft = await draft_content(console, self.app_id)
        assert draft
        document = copy.deepcopy(draft.document)
        document["graph"]["nodes"][node]["data"]["title"] = title
        await console.sync_draft(self.app_id, document, expected_hash=draft.hash)

    async def publish(self) -> None:
        await self.save(MARK)
        await self.instance.console.publish(self.app_id)

    async def draft(self) -> str:
        found = await draft_content(self.instance.console, self.app_id)
        assert found
        return json.dumps(found.document)

    async def live(self) -> str:
        console = self.instance.console
        version = await console.published(self.app_id)
        assert version
        return json.dumps((await version_content(console, self.app_id, version)).document)

    async def versions(self) -> str:
        return "".join([json.dumps(item.document) async for item in self.instance.console.versions(self.app_id)])


class Moments:
    """Lets somebody act once, at one of the moments before and after the effects of changes, counted from 1."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.seen, self.names = 0, 0, list[str]()
        self.act: Act | None = None
        effect = Change.effect

        async def seen(change: Change, name: str, work: Callable[[], Awaitable[Any]], **facts: Any) -> Any:
            async def worked() -> Any:
                await self.moment(f"before {name}")
                done = await work()
                await self.moment(f"after {name}")
                return done

            return await effect(change, name, worked, **facts)

        monkeypatch.setattr(Change, "effect", seen)

    def begin(self, at: int, act: Act) -> None:
        self.at, self.seen, self.act = at, 0, act
        self.names.clear()

    async def moment(self, name: str) -> None:
        self.seen += 1
        self.names.append(name)
        if self.seen == self.at and self.act:
            await self.act()


async def other_model(workspace: Workspace, app_id: str) -> Awaitable[bool]:
    """Plan another model; the change answers whether it was done."""
    console = workspace.instance.console

    def derive(graph: Any) -> Any:
        changed = copy.deepcopy(graph)
        node = next(item for item in changed["nodes"] if item["data"]["type"] == "llm")
        node["data"]["model"]["name"] = "gpt-fallback"
        return changed

    live = await console.published(app_id)
    assert live
    wanted = DocumentChange(
        kind="app.switch_model", name="fallback", text="", derive=derive, expected_live=live.id, told={}
    )

    async def go() -> bool:
        await change_document(workspace, await console.app(app_id), wanted)
        return True

    return go()


async def other_value(workspace: Workspace, app_id: str) -> Awaitable[bool]:
    """Plan the rotation of a variable."""
    bench, planned = await _planned(workspace, app_id, grace=0.0)

    async def go() -> bool:
        rotation = await begin(bench, planned, SecretText(NEW))
        return (await Driver(bench).drive(rotation)).rotation.state is State.DONE

    return go()


async def former_value(workspace: Workspace, app_id: str) -> Awaitable[bool]:
    """Plan to take a rotation back that is in its grace period."""
    bench, planned = await _planned(workspace, app_id, grace=3600.0)
    in_grace = await Driver(bench, wait=False).drive(await begin(bench, planned, SecretText(NEW)))
    assert in_grace.rotation.state is State.GRACE

    async def go() -> bool:
        back = await turn_back(bench, in_grace.rotation)
        return (await Driver(bench).drive(back)).rotation.state is State.ROLLED_BACK

    return go()


async def _planned(workspace: Workspace, app_id: str, *, grace: float) -> tuple[Workbench, PlannedRotation]:
    bench = Workbench(instance=workspace.instance, journal=RotationJournal(workspace.journal))
    wanted = WantedSecret(arguments=(app_id, "API_TOKEN"))
    asked = RotationRequest(no_probe=True, value_from="env:NEW_TOKEN", by_hand=True)
    planned = await prepare(bench, WorkspaceReading(workspace.instance), ("env", wanted), asked, RotationPolicy())
    return bench, replace(planned, settings=replace(QUICK, settle=0.0, pause=0.0, handover=0.0, grace=grace))


async def other_plugin(workspace: Workspace, app_id: str) -> Awaitable[bool]:
    """Plan an upgrade of the plugin that the app names."""
    console = workspace.instance.console
    plan = await plan_of_upgrade(workspace.instance, [await console.app(app_id)], PLUGIN, None)

    async def go() -> bool:
        await upgrade(workspace, plan, UpgradeOptions())
        return True

    return go()


async def the_draft(workspace: Workspace, app_id: str) -> Awaitable[bool]:
    """Plan the release of the draft."""
    watch = WatchRules(events=10, least=3, every=0.01, seconds=60.0)
    request = PlanRequest(app_id=app_id, shadow=Shadow(calls=0), watch=watch, gates=Gates(slower=1e6))
    plan = (await make_plan(workspace, request)).plan

    async def go() -> bool:
        return (await apply(workspace, plan, ReleaseOptions(wait=0.0))).state not in ("overtaken", "stopped")

    return go()


@dataclass(frozen=True)
class Kind:
    """One kind of change: its app, how it is planned, and what stands in what is live when it was done."""

    app: str
    plan: Callable[[Workspace, str], Awaitable[Awaitable[bool]]]
    sign: str
    most: int


KINDS = {
    "app.switch_model": Kind("wf-llm", other_model, "gpt-fallback", 6),
    "secret.rotate": Kind("wf-llm", other_value, NEW, 6),
    "secret.rotate, back": Kind("wf-llm", former_value, '"tok-secret-123456789"', 6),
    "plugin.upgrade": Kind("wf-echo", other_plugin, "0.1.2", 8),
    "release": Kind("wf-echo", the_draft, HALF_DONE, 4),
}


@asynccontextmanager
async def place(folder: Path, kind: Kind) -> AsyncIterator[tuple[Workspace, Colleague]]:
    """Open an instance for two: who changes it, and a colleague whose draft is half done."""
    emulator = Emulator()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMULATED_PASSWORD", emulator.password)
        with_plugin(emulator, ("wf-echo",))
        mine, theirs = [await open_instance(emulator, folder / name) for name in ("state", "theirs")]
        ledger = Ledger.open(folder / "state" / "ledger.sqlite3")
        colleague = Colleague(theirs, emulator.app_named(kind.app).id)
        try:
            await colleague.save(HALF_DONE, node=1)
            state = folder / "state"
            yield Workspace(instance=mine, state=state, ledger=ledger, actor="test", clock=Fast()), colleague
        finally:
            ledger.close()
            for instance in (mine, theirs):
                await instance.close()


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("writer", ["save", "publish"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_second_writer_at_every_moment(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, writer: str
) -> None:
    moments, case = Moments(monkeypatch), KINDS[kind]
    for point in points:
        async with place(tmp_path / str(point), case) as (workspace, colleague):
            change = await case.plan(workspace, colleague.app_id)
            moments.begin(point, colleague.publish if writer == "publish" else lambda: colleague.save(MARK))
            try:
                is_done = await change
            except DifyopsError:
                is_done = False
            if moments.seen < point:
                assert point > case.most, moments.names
                return
            where = (kind, writer, moments.names[point - 1], is_done)
            live, kept = await colleague.live(), kept_text(workspace.state)
            if writer == "save":
                assert MARK in await colleague.draft() + kept, where
                assert MARK not in live, where
                assert HALF_DONE not in live or kind == "release", where
            else:
                assert MARK in await colleague.versions(), where
                assert is_done or MARK in live, where
            assert case.sign in live or not is_done, where
            assert HALF_DONE in await colleague.draft() + kept + await colleague.versions(), where
            assert workspace.journal.open() == [] or kind == "release", where
    raise AssertionError("it never came to its end")


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.exhaustive(4)
@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("writer", ["save", "publish"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "plugin.upgrade"])
async def test_a_second_writer_after_a_kill_at_every_moment(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, writer: str, way: str
) -> None:
    moments, case = Moments(monkeypatch), KINDS[kind]

    async def die() -> None:
        raise Killed

    for point in points:
        async with place(tmp_path / str(point), case) as (workspace, colleague):
            change = await case.plan(workspace, colleague.app_id)
            moments.begin(point, die)
            try:
                await change
            except Killed:
                await (colleague.publish() if writer == "publish" else colleague.save(MARK))
            else:
                return
            where, recovery = (kind, moments.names[-1]), Recovery(journal=workspace.journal, kinds=kinds())
            (record,) = workspace.journal.open()
            is_refused = False
            try:
                ended = await (recovery.finish if way == "finish" else recovery.undo)(workspace.instance, record)
            except Refused:  # the old secret is retired: there is no way back
                is_refused = way == "undo"
                assert is_refused, where
            live, seen = await colleague.live(), await colleague.draft() + await colleague.versions()
            kept = kept_text(workspace.state)
            assert MARK in seen + kept, where
            assert HALF_DONE in seen + kept, where
            assert writer == "publish" or MARK not in live, where
            assert is_refused or not ended.state or workspace.journal.open() == [], where
            assert is_refused or ended.state != "finished" or case.sign in live, where
            assert is_refused or ended.state != "overtaken" or MARK in live, where
    raise AssertionError("it never came to its end")


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("kind", ["app.switch_model", "secret.rotate"])
async def test_a_second_operator_with_a_state_of_their_own_at_every_moment(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Two machines that know nothing of each other: whoever is told that it is done has the target live."""
    moments, case = Moments(monkeypatch), KINDS[kind]
    for point in points:
        async with place(tmp_path / str(point), case) as (workspace, colleague):
            told: list[bool] = []
            state = tmp_path / str(point) / "theirs"
            with Ledger.open(state / "ledger.sqlite3") as ledger:
                other = replace(workspace, instance=colleague.instance, state=state, ledger=ledger)

                async def theirs() -> None:
                    try:
                        told.append(await (await case.plan(other, colleague.app_id)))  # noqa: B023
                    except DifyopsError:
                        told.append(False)  # noqa: B023

                change = await case.plan(workspace, colleague.app_id)
                moments.begin(point, theirs)
                try:
                    told.append(await change)
                except DifyopsError:
                    told.append(False)
                if moments.seen < point:
                    return
                assert case.sign in await colleague.live() or not any(told), (moments.names[point - 1], told)
                assert HALF_DONE in await colleague.draft() + kept_text(workspace.state) + kept_text(state)
    raise AssertionError("it never came to its end")
