"""An upgrade over emulated apps: nothing names the old version, and each way back gives documents to the letter."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.emulator.store import App
from difyops.errors import AnswerIsNo, DifyopsError, Refused, ServerFault, StalePlan
from difyops.plugins_of_dify.plan import check_plan, make_plan
from difyops.plugins_of_dify.upgrade import UpgradeOptions, upgrade
from tests.plugins_of_dify.conftest import (
    PLUGIN,
    Killed,
    Place,
    count,
    documents,
    edited,
    killing,
    open_at,
    prepare,
)


def app_named(place: Place, name: str) -> App:
    return next(app for app in place.emulator.instance.apps.values() if app.name == name)


async def test_every_app_names_the_new_version_and_an_unpublished_edit_stays(place: Place) -> None:
    edited(app_named(place, "wf-echo"))
    done = await place.upgrade()
    assert (place.installed(), count(place.emulator, place.old)) == (place.new, 0)
    assert sorted(done.apps) == ["flow-chat", "wf-echo"]
    app = app_named(place, "wf-echo")
    assert app.draft is not None
    assert app.live is not None
    assert "edited, not published" in app.draft.graph_text
    assert "edited, not published" not in app.live.graph_text
    assert place.workspace.journal.open() == []


async def test_the_way_back_is_the_same_upgrade_to_the_old_version(place: Place) -> None:
    before = documents(place.emulator)
    await place.upgrade()
    plan = await place.plan(to=place.old)
    await upgrade(place.workspace, plan, UpgradeOptions())
    assert place.installed() == place.old
    assert documents(place.emulator) == before


@pytest.mark.exhaustive(4)
@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("step", range(1, 13))
async def test_killed_before_and_after_each_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, way: str
) -> None:
    emulator = Emulator()
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    old, new = prepare(emulator, ("wf-echo",))
    edited(next(app for app in emulator.instance.apps.values() if app.name == "wf-echo"))
    before = documents(emulator)
    async with open_at(emulator, tmp_path) as workspace:
        place = Place(emulator, workspace, old, new)
        with contextlib.suppress(Killed):
            await place.upgrade(killing(step))
            assert step > 10  # fewer effects than that are no publication
        recovery = Recovery(journal=workspace.journal, kinds=kinds())
        for record in [item for item in workspace.journal.open() if item.kind == "plugin.upgrade"]:
            assert PLUGIN in await recovery.tell(workspace.instance, record)
            await (recovery.finish if way == "finish" else recovery.undo)(workspace.instance, record)
            if way == "undo":
                assert (place.installed(), documents(emulator)) == (old, before)
                return
        assert workspace.journal.open() == []
    assert (place.installed(), count(emulator, old)) == (new, 0)


async def test_an_installation_that_fails_leaves_everything_as_it_was(place: Place) -> None:
    before = documents(place.emulator)
    place.emulator.instance.daemon.breaks.add(place.new)
    with pytest.raises(ServerFault, match=r"exit status 1.*0\.0\.9@.* is installed again"):
        await place.upgrade()
    assert (place.installed(), documents(place.emulator) == before) == (place.old, True)


async def test_a_draft_that_does_not_pass_takes_all_back(place: Place) -> None:
    before = documents(place.emulator)

    async def fails() -> None:
        raise DifyopsError("The test run failed.")

    with pytest.raises(DifyopsError, match="The test run failed"):
        await place.upgrade(tests={app_named(place, "wf-echo").id: fails})
    assert (place.installed(), documents(place.emulator) == before) == (place.old, True)
    assert place.workspace.journal.open() == []


async def test_runs_that_fail_afterwards_take_all_back(place: Place) -> None:
    before = documents(place.emulator)

    async def worse() -> None:
        raise AnswerIsNo("80% of 10 runs failed after the upgrade, 0% before it.")

    with pytest.raises(AnswerIsNo, match="is installed again"):
        await place.upgrade(watch=worse)
    assert (place.installed(), documents(place.emulator) == before) == (place.old, True)


async def test_without_the_old_package_nothing_begins(place: Place) -> None:
    plan = await place.plan()
    place.emulator.control.fail(path=".*(marketplace/pkg|fetch-manifest).*", times=9, how="status:400")
    with pytest.raises(Refused, match="no way back"):
        await upgrade(place.workspace, plan, UpgradeOptions())
    assert place.installed() == place.old


async def test_a_plan_goes_stale(place: Place) -> None:
    plan = await place.plan()
    apps = [app async for app in place.workspace.instance.console.apps()]
    await check_plan(place.workspace.instance, apps, plan)
    edited(app_named(place, "wf-echo"))
    with pytest.raises(StalePlan, match="wf-echo changed"):
        await check_plan(place.workspace.instance, apps, plan)


async def test_apps_that_somebodys_upgrade_left_behind_are_brought_along(place: Place) -> None:
    row = place.emulator.instance.daemon.find(place.old)
    assert row is not None
    row |= {"plugin_unique_identifier": place.new, "version": "0.1.2"}
    plan = await place.plan()
    assert (plan.old, plan.new, len(plan.apps)) == (place.new, place.new, 2)
    await upgrade(place.workspace, plan, UpgradeOptions())
    assert count(place.emulator, place.old) == 0
    with pytest.raises(Refused, match="already"):
        await place.plan()


@pytest.mark.long
async def test_fifty_apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(apps=50)
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    old, new = prepare(emulator)
    before = documents(emulator)
    async with open_at(emulator, tmp_path) as workspace:
        place = Place(emulator, workspace, old, new)
        flows = sum(app.is_flow for app in emulator.instance.apps.values())
        assert len((await place.upgrade()).apps) == flows > 25
        assert (place.installed(), count(emulator, old)) == (new, 0)
        apps = [app async for app in workspace.instance.console.apps()]
        await upgrade(workspace, await make_plan(workspace.instance, apps, PLUGIN, old), UpgradeOptions())
    assert (place.installed(), documents(emulator) == before) == (old, True)
