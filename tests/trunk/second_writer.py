"""Somebody who saves and publishes while a change is under way: at each moment before and after its effects."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes import Change
from difyops.emulator import Emulator
from difyops.errors import TimedOut
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.publishing.content import draft_content, version_content
from difyops.publishing.kept_drafts import KeptDraft, kept_draft, kept_drafts
from difyops.publishing.putting import now_of
from difyops.sealing.access import Access
from difyops.workspace import Workspace
from tests.history.conftest import open_instance
from tests.plugins_of_dify.conftest import Fast
from tests.plugins_of_dify.conftest import prepare as with_plugin

MARK, HALF_DONE = "saved meanwhile", "half done"
HELPER = "helper"  # an agent app
Act = Callable[[], Awaitable[None]]


class Killed(Exception):
    """The process is gone."""


@dataclass
class Colleague:
    """Somebody else at the web page of one workflow."""

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

    async def half_done(self) -> None:
        """Leave a draft that is not finished."""
        await self.save(HALF_DONE, node=1)

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
        return json.dumps((await version_content(console, self.app_id, version)).document) if version else ""

    async def versions(self) -> str:
        return "".join([json.dumps(item.document) async for item in self.instance.console.versions(self.app_id)])


class ConfigColleague(Colleague):
    """The same for an app with one model config: what is saved is live at once, and there are no versions."""

    async def save(self, title: str, node: int = 0) -> None:
        config = (await self.instance.console.app(self.app_id)).model_config or {}
        await self.instance.console.set_model_config(self.app_id, {**config, "pre_prompt": title})

    async def half_done(self) -> None:
        """Leave nothing half done: it would be live."""

    async def publish(self) -> None:
        await self.save(MARK)

    async def draft(self) -> str:
        return await self.live()

    async def live(self) -> str:
        return json.dumps((await self.instance.console.app(self.app_id)).model_config)

    async def versions(self) -> str:
        return await self.live()


class AgentColleague(Colleague):
    """The same for an agent app: a draft without a lock, and versions."""

    @property
    def agents(self) -> Agents:
        return Agents(self.instance.console)

    async def save(self, title: str, node: int = 0) -> None:
        app = await self.instance.console.app(self.app_id)
        soul = copy.deepcopy((await self.agents.state(app)).draft.soul)
        if node:
            soul["config_note"] = title
        else:
            soul["prompt"]["system_prompt"] = title
        soul["model"] = soul["model"] or {"model": "gpt-4o-mini"}
        await self.agents.write_draft(app, soul)

    async def publish(self) -> None:
        await self.save(MARK)
        await self.agents.publish(await self.instance.console.app(self.app_id))

    async def draft(self) -> str:
        app = await self.instance.console.app(self.app_id)
        return json.dumps((await self.agents.state(app)).draft.soul)

    async def live(self) -> str:
        app = await self.instance.console.app(self.app_id)
        live = await self.agents.live(app, (await self.agents.state(app)).active)
        return json.dumps(live.soul if live else None)

    async def versions(self) -> str:
        app = await self.instance.console.app(self.app_id)
        found = [await self.agents.version(app, item.id) for item in await self.agents.versions(app)]
        return json.dumps([item.soul for item in found])


class Moments:
    """Lets somebody act once, at one of the moments before and after the effects of changes, counted from 1.

    ``loses``: at a moment after an effect its answer is lost, too.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.seen, self.names, self.loses = 0, 0, list[str](), False
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

    def begin(self, at: int, act: Act, *, loses: bool = False) -> None:
        self.at, self.seen, self.act, self.loses = at, 0, act, loses
        self.names.clear()

    async def moment(self, name: str) -> None:
        self.seen += 1
        self.names.append(name)
        if self.seen == self.at and self.act:
            await self.act()
            if self.loses and name.startswith("after"):
                raise TimedOut("The answer did not come in 30 s.", retryable=True)


def keep_aside(workspace: Workspace, app: App, held: dict[str, Any]) -> None:
    """Keep a draft by name, as a change does that finds a newer one."""
    change = Change.begin(
        workspace.journal, "app.switch_model", subject=f"app/{app.id}", label=app.name, url="http://emulator.test",
        facts={"app_id": app.id},
    )  # fmt: skip
    change.keep("draft", held)
    change.set_aside("draft", "the draft of a colleague")
    change.close("done")


async def aside(workspace: Workspace, app_id: str) -> KeptDraft:
    """Keep the draft of a workflow or agent app by name, and let the draft be what is live."""
    console, now = workspace.instance.console, await now_of(workspace.instance, app_id)
    assert now.live
    keep_aside(workspace, now.app, {"document": now.draft})
    if now.app.is_agent:
        await Agents(console).write_draft(now.app, now.live["agent_soul"])
    else:
        draft = await console.draft(app_id)
        await console.sync_draft(app_id, now.live, expected_hash=draft.hash if draft else None)
    (listed,) = kept_drafts(workspace.state)
    return kept_draft(workspace.state, listed.name, Access(state=workspace.state))


@asynccontextmanager
async def place(
    folder: Path, app: str, kind: type[Colleague] = Colleague
) -> AsyncIterator[tuple[Workspace, Colleague, Emulator]]:
    """Open an instance for two: who changes an app, and a colleague whose draft of it is half done."""
    emulator = Emulator("1.16.1" if app == HELPER else "1.13.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMULATED_PASSWORD", emulator.password)
        with_plugin(emulator, ("wf-echo",))
        mine, theirs = [await open_instance(emulator, folder / name) for name in ("state", "theirs")]
        ledger = Ledger.open(folder / "state" / "ledger.sqlite3")
        try:
            if app == HELPER:
                await with_helper(theirs)
            colleague = kind(theirs, emulator.app_named(app).id)
            await colleague.half_done()
            workspace = Workspace(
                instance=mine, state=folder / "state", ledger=ledger, actor="test", clock=Fast(),
                store=GitStore.open(folder / "store", create=True),
            )  # fmt: skip
            yield workspace, colleague, emulator
        finally:
            ledger.close()
            for instance in (mine, theirs):
                await instance.close()


async def with_helper(instance: Instance) -> None:
    """Make an agent app and publish it."""
    agents = Agents(instance.console)
    app = await agents.create({"name": HELPER, "description": "", "role": "clerk", "icon_type": "emoji", "icon": "x"})
    soul = copy.deepcopy((await agents.state(app)).draft.soul)
    await agents.write_draft(app, {**soul, "model": {"model": "gpt-4o-mini"}})
    await agents.publish(app)
