"""An instance with traffic, a colleague who edits drafts, and releases of it in process."""

from __future__ import annotations

import copy
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from difyops.api.service import Question, Service, app_key
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.errors import DifyopsError
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.release.plan import Gates, ReleasePlan, Shadow, WatchRules
from difyops.release.planning import PlanRequest, make_plan
from difyops.release.run import Released, ReleaseOptions, apply
from difyops.workspace import Workspace
from tests.api.frozen import FrozenClock
from tests.history.conftest import open_instance

Edit = Callable[[dict[str, Any]], None]
ANY_SPEED = Gates(slower=1e6)  # how fast the machine is decides nothing
QUICK = WatchRules(events=10, least=3, every=0.01, seconds=60.0)


@dataclass
class Rig:
    """One instance and what is done to it."""

    emulator: Emulator
    workspace: Workspace
    keys: dict[str, Service] = field(default_factory=dict)

    @property
    def console(self) -> Any:
        return self.workspace.instance.console

    def names(self) -> dict[str, str]:
        """Return the apps that are there, by id."""
        return {app.id: app.name for app in self.emulator.instance.apps.values()}

    def app_id(self, name: str) -> str:
        return next(key for key, value in self.names().items() if value == name)

    async def ask(self, name: str, count: int, *, said: str = "hi", **inputs: Any) -> int:
        """Ask an app ``count`` times; return how many runs failed."""
        app, failed = self.app_id(name), 0
        if app not in self.keys:
            mode = (await self.console.app(app)).mode
            key = await app_key(self.console, app)
            self.keys[app] = Service(self.workspace.instance.service_transport, key, mode)
        for _ in range(count):
            try:
                await self.keys[app].run(Question(inputs=inputs or {"text": "hi"}, query=said))
            except DifyopsError:
                failed += 1
        return failed

    def past(self, name: str, count: int) -> None:
        """Give what is live of an app ``count`` good runs in the last hour, cheaper than by asking it."""
        app, now = self.emulator.app_named(name), self.emulator.instance.now()
        assert app.live is not None
        rows = Past(count=count, since=now - 3600, until=now - 60, version=app.live.version, failing=0, retrying=0)
        load_past(self.emulator.instance, app, rows)

    async def edit(self, name: str, change: Edit) -> dict[str, Any]:
        """Change a draft as a colleague does; return it."""
        draft = await self.console.draft(self.app_id(name))
        values = await self.console.clear_environment(draft_app := self.app_id(name))
        document = copy.deepcopy(draft.document)
        for variable in document["environment_variables"]:
            variable["value"] = values[variable["name"]]
        change(document)
        await self.console.sync_draft(draft_app, document, expected_hash=draft.hash)
        found: dict[str, Any] = document
        return found

    async def draft_graph(self, name: str) -> Any:
        return (await self.console.draft(self.app_id(name))).graph

    async def live_graph(self, name: str) -> Any:
        return (await self.console.published(self.app_id(name))).graph

    async def plan(self, name: str, **fields: Any) -> ReleasePlan:
        """Plan a release without a shadow, unless it is asked for."""
        request = PlanRequest(
            **{"app_id": self.app_id(name), "shadow": Shadow(calls=0), "watch": QUICK, "gates": ANY_SPEED, **fields}
        )
        return (await make_plan(self.workspace, request)).plan

    async def apply(self, plan: ReleasePlan, **fields: Any) -> Released:
        """Carry a plan out and look once."""
        return await apply(self.workspace, plan, ReleaseOptions(**{"wait": 0.0, **fields}))

    @property
    def open(self) -> list[Any]:
        return self.workspace.journal.open()


def better(document: dict[str, Any]) -> None:
    """An edit that changes nothing that anybody would miss."""
    node_of(document, "code")["desc"] = "better"
    node_of(document, "code")["code"] += "# better\n"


def broken(document: dict[str, Any]) -> None:
    """An edit after which every run fails."""
    variable = {"id": str(uuid.uuid4()), "name": "MODE", "value_type": "string", "value": "boom", "description": ""}
    document["environment_variables"] = [*document["environment_variables"], variable]
    node_of(document, "code")["variables"][0]["value_selector"] = ["env", "MODE"]


def node_of(document: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the settings of the first node of a type."""
    found: dict[str, Any] = next(
        node["data"] for node in document["graph"]["nodes"] if node["data"].get("type") == kind
    )
    return found


@pytest.fixture
async def rig(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    state = tmp_path / "state"
    instance = await open_instance(emulator, state)
    ledger = Ledger.open(state / "ledger.sqlite3")
    store = GitStore.open(tmp_path / "snapshots", create=True)
    try:
        yield Rig(emulator, Workspace(instance=instance, state=state, ledger=ledger, actor="test", store=store))
    finally:
        await instance.close()
        ledger.close()


@asynccontextmanager
async def timed_rig(state: Path) -> AsyncIterator[tuple[Rig, FrozenClock]]:
    """Open an instance whose time goes on when it is told to; ours is the same."""
    clock = FrozenClock()
    emulator = Emulator(clock=clock)
    instance = await open_instance(emulator, state, clock=clock)
    ledger = Ledger.open(state / "ledger.sqlite3")
    try:
        yield Rig(emulator, Workspace(instance=instance, state=state, ledger=ledger, actor="test", clock=clock)), clock
    finally:
        await instance.close()
        ledger.close()


__all__ = ["Gates", "Rig", "Shadow", "WatchRules"]
