"""Agent apps in an upgrade that is killed anywhere: finished or undone, live and draft are what they should be."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest

from difyops.api.agents import Agents
from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.workspace import Workspace
from tests.plugins_of_dify.conftest import PLUGIN, Killed, Place, killing, open_at, prepare
from tests.snapshot.agent_author import MODEL

STEPS = 16
Souls = tuple[dict[str, Any], dict[str, Any]]


async def with_helper(workspace: Workspace, identifier: str) -> None:
    """Make an agent app that names a version of the plugin live, and in a draft that was edited since."""
    agents = Agents(workspace.instance.console)
    identity = {"name": "helper", "description": "", "role": "clerk", "icon_type": "emoji", "icon": "x"}
    app = await agents.create(identity)
    soul = copy.deepcopy((await agents.state(app)).draft.soul)
    soul["model"] = MODEL
    tool = {"provider_type": "builtin", "provider_id": f"{PLUGIN}/google", "tool_name": "search"}
    soul["tools"]["dify_tools"] = [{**tool, "plugin_unique_identifier": identifier}]
    await agents.write_draft(app, soul)
    await agents.publish(app)
    soul["prompt"]["system_prompt"] = "Edited, not published."
    await agents.write_draft(app, soul)


async def souls(workspace: Workspace) -> Souls:
    """Return what is live of the agent app, and its draft."""
    agents = Agents(workspace.instance.console)
    (app,) = [item async for item in workspace.instance.console.apps() if item.name == "helper"]
    state = await agents.state(app)
    live = await agents.live(app, state.active)
    assert live is not None
    return live.soul, state.draft.soul


@pytest.mark.exhaustive(6)
@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_killed_before_and_after_each_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, way: str
) -> None:
    emulator = Emulator("1.16.1")
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    old, new = prepare(emulator, ())
    async with open_at(emulator, tmp_path) as workspace:
        await with_helper(workspace, old)
        before = await souls(workspace)
        after = tuple(json.loads(json.dumps(soul).replace(old, new)) for soul in before)
        place = Place(emulator, workspace, old, new)
        with contextlib.suppress(Killed):
            await place.upgrade(killing(step))
            assert step > 10
        recovery = Recovery(journal=workspace.journal, kinds=kinds())
        for record in [item for item in workspace.journal.open() if item.kind == "plugin.upgrade"]:
            await (recovery.finish if way == "finish" else recovery.undo)(workspace.instance, record)
            if way == "undo":
                assert (place.installed(), await souls(workspace)) == (old, before)
                assert workspace.journal.open() == []
                return
        assert workspace.journal.open() == []
        assert (place.installed(), await souls(workspace)) == (new, after)
