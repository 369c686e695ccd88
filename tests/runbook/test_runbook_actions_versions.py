"""Actions that change what is live: snapshots, rollbacks, another model; and their way back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.errors import DifyopsError, NotFound, ServerFault, StalePlan
from difyops.runbook.result import Fail, Pass
from difyops.snapshot.take import TakeOptions, take
from tests.runbook.runbook_tools import (
    Stage,
    applied,
    change_live,
    check,
    planned,
    undone,
)


async def test_a_snapshot_is_taken_and_a_rollback_goes_back_to_it_and_forth_again(stage: Stage) -> None:
    state = stage.emulator.app_named("wf-llm")

    def title() -> str:
        assert state.live is not None
        return str(state.live.graph["nodes"][0]["data"]["title"])

    former = title()
    async with stage.resources() as resources:
        await applied(await planned(resources, "snapshot.create", tag="before"))
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Broken"))
        await applied(await planned(resources, "snapshot.create"))
        back = await planned(resources, "snapshot.rollback", app="wf-llm", to="before")
        await applied(back)
        assert title() == former
        assert (await planned(resources, "snapshot.rollback", app="wf-llm", to="before")).apply is None
        await undone(resources, back)
    assert title() == "Broken"


async def test_the_undo_of_a_rollback_brings_back_what_was_live_though_no_snapshot_had_it(stage: Stage) -> None:
    state = stage.emulator.app_named("wf-llm")

    def title() -> str:
        assert state.live is not None
        return str(state.live.graph["nodes"][0]["data"]["title"])

    former = title()
    async with stage.resources() as resources:
        await applied(await planned(resources, "snapshot.create", tag="good"))
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Live, never kept"))
        dry = await planned(resources, "snapshot.rollback", app="wf-llm", to="good")
        assert len(resources.open_store().tags("emu")) == 1, "planning keeps nothing"
        assert "keep what is live" in dry.text
        back = await planned(resources, "snapshot.rollback", app="wf-llm", to="good")
        await applied(back)
        assert title() == former
        await undone(resources, back)
        assert title() == "Live, never kept"


async def test_nothing_is_rolled_back_when_what_is_live_cannot_be_kept(stage: Stage) -> None:
    state = stage.emulator.app_named("wf-llm")
    async with stage.resources() as resources:
        await applied(await planned(resources, "snapshot.create"))
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Broken"))
        back = await planned(resources, "snapshot.rollback", app="wf-llm")
        stage.emulator.control.fail(method="GET", path=f"/apps/{state.id}", times=999, how="status:500")
        live = state.live
        with pytest.raises(DifyopsError, match="could not be read"):
            await applied(back)
    assert state.live is live


async def test_a_rollback_that_was_planned_before_somebody_published_is_refused(stage: Stage) -> None:
    async with stage.resources() as resources:
        await applied(await planned(resources, "snapshot.create"))
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Broken"))
        back = await planned(resources, "snapshot.rollback", app="wf-llm")
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Newer"))
        with pytest.raises(StalePlan):
            await applied(back)


def _models(stage: Stage, app: str) -> set[str]:
    state = stage.emulator.app_named(app)
    document: Any = state.live.graph if state.live else state.model_config
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "completion_params" in value:
                found.add(str(value["name"]))
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(document)
    return found


@pytest.mark.parametrize("app", ["wf-llm", "flow-chat", "chat-basic", "completion-basic", "agent"])
async def test_the_fallback_model_answers_in_every_mode_secrets_stay_and_the_way_back_works(
    stage: Stage, app: str
) -> None:
    state = stage.emulator.app_named(app)
    secrets = dict(state.live_env)
    async with stage.resources() as resources:
        plan = await planned(resources, "app.switch_model", app=app, model="gpt-4o-mini", to_model="gpt-4o")
        assert _models(stage, app) == {"gpt-4o-mini"}
        await applied(plan)
        assert _models(stage, app) == {"gpt-4o"}
        assert dict(state.live_env) == secrets
        again = await planned(resources, "app.switch_model", app=app, model="gpt-4o-mini", to_model="gpt-4o")
        assert again.apply is None
        await undone(resources, plan)
    assert _models(stage, app) == {"gpt-4o-mini"}
    assert dict(state.live_env) == secrets


async def test_the_undo_of_a_model_switch_leaves_alone_what_used_that_model_before(stage: Stage) -> None:
    def second(graph: dict[str, Any]) -> None:
        node = next(item for item in graph["nodes"] if item["data"]["type"] == "llm")
        model = {**node["data"]["model"], "name": "gpt-4o"}
        graph["nodes"].append({**node, "id": "other", "data": {**node["data"], "title": "Other", "model": model}})

    change_live(stage, "wf-llm", second)
    assert _models(stage, "wf-llm") == {"gpt-4o-mini", "gpt-4o"}
    async with stage.resources() as resources:
        plan = await planned(resources, "app.switch_model", app="wf-llm", model="gpt-4o-mini", to_model="gpt-4o")
        assert "keep what is live" in plan.text
        await applied(plan)
        assert _models(stage, "wf-llm") == {"gpt-4o"}
        await undone(resources, plan)
    assert _models(stage, "wf-llm") == {"gpt-4o-mini", "gpt-4o"}


async def test_a_model_switch_leaves_what_a_colleague_is_editing_in_the_draft_and_out_of_live(stage: Stage) -> None:
    state = stage.emulator.app_named("wf-llm")
    asked = {"app": "wf-llm", "model": "gpt-4o-mini", "to_model": "gpt-4o"}
    async with stage.resources() as resources:
        plan = await planned(resources, "app.switch_model", **asked)
        assert state.draft is not None
        graph = json.loads(state.draft.graph_text)
        graph["nodes"][0]["data"]["title"] = "being edited"
        state.draft.store_graph(graph, state.draft.features)
        await applied(plan)
        assert _models(stage, "wf-llm") == {"gpt-4o"}
        assert "being edited" in state.draft.graph_text
        assert state.live is not None
        assert "being edited" not in state.live.graph_text
        with pytest.raises(NotFound, match="cannot be used"):
            await planned(resources, "app.switch_model", app="wf-llm", model="gpt-4o-mini", to_model="no-such-model")


async def test_a_model_switch_after_somebody_published_is_refused(stage: Stage) -> None:
    async with stage.resources() as resources:
        plan = await planned(resources, "app.switch_model", app="wf-llm", model="gpt-4o-mini", to_model="gpt-4o")
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="theirs"))
        with pytest.raises(StalePlan):
            await applied(plan)
    assert _models(stage, "wf-llm") == {"gpt-4o-mini"}


@pytest.mark.parametrize("how", ["status:500", "reset", "lost"])
async def test_a_model_switch_whose_publishing_fails_says_what_is_live_and_can_be_taken_back(
    stage: Stage, how: str
) -> None:
    state = stage.emulator.app_named("wf-llm")
    asked = {"app": "wf-llm", "model": "gpt-4o-mini", "to_model": "gpt-4o"}
    secrets = dict(state.live_env)
    async with stage.resources() as resources:
        plan = await planned(resources, "app.switch_model", **asked)
        stage.emulator.control.fail(method="POST", path="/workflows/publish", how=how)
        if how == "lost":  # it was published all the same
            await applied(plan)
            assert _models(stage, "wf-llm") == {"gpt-4o"}
            await undone(resources, plan)
        elif how == "reset":  # nobody knows whether it arrived: the change stays open
            with pytest.raises(DifyopsError, match="unknown"):
                await applied(plan)
            workspace = await resources.workspace()
            recovery = Recovery(journal=workspace.journal, kinds=kinds())
            assert (await recovery.undo(await resources.instance(), recovery.chosen("wf-llm")[0])).state == "undone"
        else:
            with pytest.raises(ServerFault, match="the former version is still live"):
                await applied(plan)
        assert _models(stage, "wf-llm") == {"gpt-4o-mini"}
        await applied(await planned(resources, "app.switch_model", **asked))
    assert dict(state.live_env) == secrets


async def test_taking_a_snapshot_of_an_instance_that_cannot_be_read_fails_the_step(stage: Stage) -> None:
    async with stage.resources() as resources:
        await take(await resources.instance(), resources.make_store(), TakeOptions())
        stage.emulator.control.fail(path="/workflows", times=999, how="status:500")
        change_live(stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="x"))
        with pytest.raises(DifyopsError, match="could not be read"):
            await applied(await planned(resources, "snapshot.create"))


async def test_a_drill_leaves_nothing_and_its_age_is_held(stage: Stage) -> None:
    before = set(stage.emulator.instance.apps)
    async with stage.resources() as resources:
        never = await check(resources, "drill.age")
        await applied(await planned(resources, "snapshot.create"))
        acted = await applied(await planned(resources, "drill.run", apps=["wf-echo"]))
        young = await check(resources, "drill.age")
        old = await check(resources, "drill.age", max_age="1ms")
    assert acted == "1 of 1 app restored, proven and removed"
    assert set(stage.emulator.instance.apps) == before
    assert isinstance(never, Fail)
    assert isinstance(young, Pass)
    assert isinstance(old, Fail)
