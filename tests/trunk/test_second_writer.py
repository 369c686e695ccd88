"""Somebody saves or publishes before and after each effect of a change, whatever its kind: nobody's work is lost.

What was saved is in the draft, in a version or kept by name at the end; what somebody only saved never stays live; and
whoever is told "done" has what they asked for live. Rollbacks have tests of their own (``snapshot/test_races.py``).
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.errors import DifyopsError, Refused
from difyops.ledger import Ledger
from difyops.plugins_of_dify.plan import make_plan as plan_of_upgrade
from difyops.plugins_of_dify.upgrade import UpgradeOptions, upgrade
from difyops.publishing.document_change import DocumentChange, change_document
from difyops.publishing.put_back import put_kept_back
from difyops.publishing.putting import now_of
from difyops.release.plan import Gates, Shadow, WatchRules
from difyops.release.planning import PlanRequest, make_plan
from difyops.release.promote.bindings import Bindings
from difyops.release.promote.run import carry_out, make_promotion
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
from tests.plugins_of_dify.conftest import PLUGIN
from tests.rotation.rig import QUICK
from tests.trunk.second_writer import (
    HALF_DONE,
    HELPER,
    MARK,
    Act,
    AgentColleague,
    Colleague,
    ConfigColleague,
    Killed,
    Moments,
    aside,
    place,
)

NEW, OTHER = "tok-canary-new-7722", "gpt-fallback"
WATCH = WatchRules(events=10, least=3, every=0.01, seconds=60.0)


async def other_model(workspace: Workspace, app_id: str) -> Awaitable[bool]:
    """Plan another model; the change answers whether it was done."""

    def derive(part: Any) -> Any:
        changed = copy.deepcopy(part)
        if "nodes" in changed:
            next(item for item in changed["nodes"] if item["data"]["type"] == "llm")["data"]["model"]["name"] = OTHER
        elif "prompt" in changed:
            changed["model"] = {"model": OTHER}
        else:
            changed["model"]["name"] = OTHER
        return changed

    now = await now_of(workspace.instance, app_id)
    wanted = DocumentChange(
        kind="app.switch_model", name="fallback", text="", derive=derive, expected_live=now.version or None, told={},
        for_agents=True,
    )  # fmt: skip

    async def go() -> bool:
        await change_document(workspace, now.app, wanted)
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
    request = PlanRequest(app_id=app_id, shadow=Shadow(calls=0), watch=WATCH, gates=Gates(slower=1e6))
    plan = (await make_plan(workspace, request)).plan

    async def go() -> bool:
        return (await apply(workspace, plan, ReleaseOptions(wait=0.0))).state not in ("overtaken", "stopped")

    return go()


async def other_side(workspace: Workspace, app_id: str) -> Awaitable[bool]:
    """Plan the promotion of what is live under the same name on another instance."""
    emulator = Emulator(seed=99)
    source = await open_instance(emulator, workspace.state.parent / "source")
    there = Colleague(source, emulator.app_named("wf-echo").id)
    await there.save(OTHER)
    await source.console.publish(there.app_id)
    request = PlanRequest(app_id="", shadow=Shadow(calls=0), watch=WATCH, gates=Gates(slower=1e6))
    apps, to = [await source.console.app(there.app_id)], [(workspace, Bindings())]
    promotion = await make_promotion(source, apps, to, request, pause=0.0, with_secrets=False, clock=workspace.clock)

    @asynccontextmanager
    async def opened(_: str) -> AsyncIterator[Workspace]:
        yield workspace

    async def go() -> bool:
        try:
            done = await carry_out(source, opened, promotion, ReleaseOptions(wait=0.0))
        finally:
            await source.close()
        return done.rows[0].state in ("held", "passed", "unchanged")

    return go()


async def the_kept_one(workspace: Workspace, app_id: str) -> Awaitable[bool]:
    """Plan to put back the half-done draft, which was kept by name."""
    kept = await aside(workspace, app_id)

    async def go() -> bool:
        await put_kept_back(workspace, kept)
        return True

    return go()


@dataclass(frozen=True)
class Kind:
    """One kind of change: its app, how it is planned, and what stands in what is live when it was done.

    ``in_draft``: it stands in the draft, for nothing goes live.
    """

    app: str
    plan: Callable[[Workspace, str], Awaitable[Awaitable[bool]]]
    sign: str
    most: int
    colleague: type[Colleague] = Colleague
    in_draft: bool = False


KINDS = {
    "app.switch_model": Kind("wf-llm", other_model, OTHER, 6),
    "app.switch_model, chat": Kind("chat-basic", other_model, OTHER, 2, ConfigColleague),
    "app.switch_model, agent-chat": Kind("agent", other_model, OTHER, 2, ConfigColleague),
    "app.switch_model, completion": Kind("completion-basic", other_model, OTHER, 2, ConfigColleague),
    "app.switch_model, agent": Kind(HELPER, other_model, OTHER, 6, AgentColleague),
    "secret.rotate": Kind("wf-llm", other_value, NEW, 6),
    "secret.rotate, back": Kind("wf-llm", former_value, '"tok-secret-123456789"', 6),
    "plugin.upgrade": Kind("wf-echo", other_plugin, "0.1.2", 8),
    "release": Kind("wf-echo", the_draft, HALF_DONE, 4),
    "release, promoted": Kind("wf-echo", other_side, OTHER, 6),
    "draft.put_back": Kind("wf-llm", the_kept_one, HALF_DONE, 2, in_draft=True),
    "draft.put_back, agent": Kind(HELPER, the_kept_one, HALF_DONE, 2, AgentColleague, in_draft=True),
}
CASES = [
    (kind, writer)
    for kind, case in KINDS.items()
    for writer in ("save", "publish")
    if case.colleague is not ConfigColleague or writer == "publish"  # what is saved there is live at once
]


def act_of(colleague: Colleague, writer: str) -> Act:
    """Return what the colleague does."""
    return colleague.publish if writer == "publish" else lambda: colleague.save(MARK)


@pytest.mark.exhaustive(10)
@pytest.mark.parametrize("answer", ["comes", "is lost"])
@pytest.mark.parametrize(("kind", "writer"), CASES)
async def test_a_second_writer_at_every_moment(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, writer: str, answer: str
) -> None:
    """Also where the answer to our own call is lost at that moment: what nobody knows stays open, and is ended."""
    moments, case = Moments(monkeypatch), KINDS[kind]
    for point in points:
        async with place(tmp_path / str(point), case.app, case.colleague) as (workspace, colleague, _):
            change = await case.plan(workspace, colleague.app_id)
            moments.begin(point, act_of(colleague, writer), loses=answer != "comes")
            try:
                is_done = await change
            except DifyopsError:
                is_done = False
            if moments.seen < point:
                assert point > case.most, moments.names
                return
            where = (kind, writer, moments.names[point - 1], is_done)
            if answer != "comes" and not (kind.startswith("release") and is_done):  # one that is live is watched
                await end_open(workspace, "finish", where)
            await nobody_lost_anything(workspace, colleague, case, writer, where)
            live = await colleague.live()
            if writer == "save":
                assert HALF_DONE not in live or kind == "release", where
            else:
                assert is_done or MARK in live, where
            assert case.sign in (await colleague.draft() if case.in_draft else live) or not is_done, where
            assert workspace.journal.open() == [] or kind.startswith("release"), where
    raise AssertionError("it never came to its end")


@pytest.mark.exhaustive(8)
@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize(("kind", "writer"), CASES)
async def test_a_second_writer_after_a_kill_at_every_moment(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, writer: str, way: str
) -> None:
    moments, case = Moments(monkeypatch), KINDS[kind]

    async def die() -> None:
        raise Killed

    for point in points:
        async with place(tmp_path / str(point), case.app, case.colleague) as (workspace, colleague, _):
            change = await case.plan(workspace, colleague.app_id)
            moments.begin(point, die)
            try:
                await change
            except Killed:
                await act_of(colleague, writer)()
            else:
                return
            where = (kind, writer, moments.names[-1], way)
            ended = await end_open(workspace, way, where)
            await nobody_lost_anything(workspace, colleague, case, writer, where)
            live = await colleague.live()
            assert ended != "finished" or case.sign in (await colleague.draft() if case.in_draft else live), where
            assert ended != "overtaken" or MARK in (await colleague.draft() if case.in_draft else live), where
    raise AssertionError("it never came to its end")


async def end_open(workspace: Workspace, way: str, where: tuple[Any, ...]) -> str:
    """Finish or undo what is open, and return how it ended; blank where nothing was, or it may not be undone."""
    recovery, state = Recovery(journal=workspace.journal, kinds=kinds()), ""
    for record in reversed(workspace.journal.open()):
        if not workspace.journal.read(record.id, record.subject).is_open:
            continue  # it was ended with the one that it is a part of
        try:
            ended = await (recovery.finish if way == "finish" else recovery.undo)(workspace.instance, record)
        except Refused:  # the old secret is retired: there is no way back
            assert (way, record.kind) == ("undo", "secret.rotate"), where
            return ""
        state = ended.state
        assert not state or not workspace.journal.read(record.id, record.subject).is_open, where
    return state


async def nobody_lost_anything(
    workspace: Workspace, colleague: Colleague, case: Kind, writer: str, where: tuple[Any, ...]
) -> None:
    live, kept = await colleague.live(), kept_text(workspace.state)
    seen = await colleague.draft() + await colleague.versions() + kept
    assert MARK in seen, where
    assert HALF_DONE in seen or case.colleague is ConfigColleague, where
    assert writer == "publish" or MARK not in live, where


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("kind", ["app.switch_model", "secret.rotate"])
async def test_a_second_operator_with_a_state_of_their_own_at_every_moment(
    points: Iterable[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Two machines that know nothing of each other: whoever is told that it is done has the target live."""
    moments, case = Moments(monkeypatch), KINDS[kind]
    for point in points:
        async with place(tmp_path / str(point), case.app, case.colleague) as (workspace, colleague, _):
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
