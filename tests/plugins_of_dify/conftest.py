"""Emulated apps whose tool nodes name a plugin by its identifier, and a marketplace with a newer version."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.clock import SystemClock
from difyops.emulator import Emulator
from difyops.emulator.publishing import copied
from difyops.emulator.store import App, Workflow
from difyops.ledger import Ledger
from difyops.plugins_of_dify.plan import UpgradePlan, make_plan
from difyops.plugins_of_dify.upgrade import Upgraded, UpgradeOptions, upgrade
from difyops.workspace import Workspace
from tests.history.conftest import open_instance

PLUGIN = "langgenius/google"


class Killed(Exception):
    """The process ends here."""


def add_tool(workflow: Workflow, identifier: str) -> None:
    """Give a workflow a tool node and an agent node that name a version of the plugin."""
    graph = copy.deepcopy(workflow.graph)
    tool = {
        "type": "tool", "title": "Search", "provider_id": "langgenius/google/google", "provider_type": "builtin",
        "provider_name": "langgenius/google/google", "tool_name": "google_search", "tool_parameters": {},
        "tool_configurations": {}, "plugin_unique_identifier": identifier, "plugin_id": PLUGIN,
    }  # fmt: skip
    agent = {
        "type": "agent", "title": "Agent", "agent_strategy_name": "x",
        "agent_parameters": {"tools": {"type": "constant", "value": [{"extra": {"uid": identifier}}]}},
    }  # fmt: skip
    for name, data in (("find", tool), ("think", agent)):
        graph["nodes"].append({"id": name, "type": "custom", "position": {"x": 0, "y": 0}, "data": data})
    workflow.store_graph(graph, workflow.features)


def use_plugin(emulator: Emulator, app: App, identifier: str) -> None:
    """Let an app name a version of the plugin, live and in its draft."""
    assert app.draft is not None
    was_same = app.live is not None and app.draft.graph_text == app.live.graph_text
    add_tool(app.draft, identifier)
    if app.live is not None:
        if was_same:
            version = copied(emulator.instance, app.draft, app.created_by)
            app.versions.append(version)
            app.live = version
        else:
            add_tool(app.live, identifier)
    app.changed()


def documents(emulator: Emulator) -> dict[str, tuple[str, str, list[Any], list[Any]]]:
    """Return what is live and in the draft of every workflow app, to the letter."""
    return {
        app.name: (
            app.live.graph_text if app.live else "", app.draft.graph_text if app.draft else "",
            app.live.env_list if app.live else [], app.draft.env_list if app.draft else [],
        )
        for app in emulator.instance.apps.values()
        if app.is_flow
    }  # fmt: skip


def count(emulator: Emulator, identifier: str) -> int:
    """Return how often what is live and in drafts names a version."""
    return sum(text.count(identifier) for one in documents(emulator).values() for text in one[:2])


@dataclass
class Place:
    """An instance with a plugin that is old, and what an upgrade needs."""

    emulator: Emulator
    workspace: Workspace
    old: str
    new: str

    async def plan(self, to: str | None = None) -> UpgradePlan:
        console = self.workspace.instance.console
        return await make_plan(self.workspace.instance, [app async for app in console.apps()], PLUGIN, to)

    async def upgrade(self, checkpoint: Checkpoint | None = None, **options: Any) -> Upgraded:
        chosen = UpgradeOptions(**options, checkpoint=checkpoint or no_checkpoint)
        return await upgrade(self.workspace, await self.plan(), chosen)

    def installed(self) -> str:
        rows = self.emulator.instance.daemon.installed()
        return str(next(row["plugin_unique_identifier"] for row in rows if row["plugin_id"] == PLUGIN))


def prepare(emulator: Emulator, names: tuple[str, ...] | None = None) -> tuple[str, str]:
    """Install an old version, let apps name it, and let the marketplace have a newer one."""
    old = emulator.instance.daemon.install(PLUGIN, "0.0.9")
    for app in emulator.instance.apps.values():
        if app.is_flow and app.draft is not None and (names is None or app.name in names):
            use_plugin(emulator, app, old)
    return old, emulator.instance.daemon.offer(PLUGIN, "0.1.2")


def killing(step: int) -> Checkpoint:
    """Return a checkpoint that ends the process at a step."""
    seen = 0

    def checkpoint(name: str) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            raise Killed(name)

    return checkpoint


@pytest.fixture
async def place(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    old, new = prepare(emulator, ("wf-echo", "flow-chat"))
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    async with open_at(emulator, tmp_path) as workspace:
        yield Place(emulator, workspace, old, new)


class Fast(SystemClock):
    """A clock on which nobody waits."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def open_at(emulator: Emulator, folder: Path) -> AsyncIterator[Workspace]:
    """Open a workspace on an emulator, in process."""
    instance = await open_instance(emulator, folder / "state")
    ledger = Ledger.open(folder / "state" / "ledger.sqlite3")
    try:
        yield Workspace(instance=instance, state=folder / "state", ledger=ledger, actor="tester", clock=Fast())
    finally:
        await instance.close()
        ledger.close()


def edited(app: App) -> str:
    """Save an edit in an app's draft that nobody published; return the draft's text."""
    assert app.draft is not None
    graph = json.loads(app.draft.graph_text)
    graph["nodes"][0]["data"]["title"] = "edited, not published"
    app.draft.store_graph(graph, app.draft.features)
    return app.draft.graph_text
