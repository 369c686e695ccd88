"""Every place in every app that names a plugin: the platform has no field for that, so the documents are read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.dsl.canonical import canonical
from difyops.dsl.plugin_names import references
from difyops.errors import DifyopsError
from difyops.fanout import Done, Failed, FanoutOptions, fan_out

LIVE, DRAFT = "live", "draft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One place of one app. ``where`` is live or draft; ``is_old``: it names another version than the installed one."""

    app: str
    app_id: str
    mode: str
    where: str
    node: str
    title: str
    place: str
    identifier: str
    name: str
    is_old: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AppUses:
    """The uses of one app, with what its live version and its draft are: what a plan is held to."""

    app: App
    live: str | None
    draft: str | None
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """The apps that use a plugin, and those that could not be read, by name."""

    plugin: str
    identifier: str
    apps: tuple[AppUses, ...]
    read: int
    failed: tuple[tuple[str, DifyopsError], ...] = ()


async def uses_of(instance: Instance, apps: Sequence[App], plugin: str, identifier: str) -> Uses:
    """Return where ``apps`` name ``plugin``, in what is live and in drafts; ``identifier`` is the installed version."""
    found: list[AppUses] = []
    failed: list[tuple[str, DifyopsError]] = []

    async def one(app: App) -> AppUses:
        return await _of(instance, app, plugin, identifier)

    options = FanoutOptions(limit=instance.context.max_in_flight)
    async for item in fan_out(apps, one, options):
        match item:
            case Done(value=uses) if uses.uses:
                found.append(uses)
            case Failed(item=app, error=error):
                failed.append((app.name, error))
    found.sort(key=lambda item: (item.app.name, item.app.id))
    failed.sort(key=lambda pair: pair[0])
    return Uses(plugin=plugin, identifier=identifier, apps=tuple(found), read=len(apps), failed=tuple(failed))


async def _of(instance: Instance, app: App, plugin: str, identifier: str) -> AppUses:
    documents: dict[str, Any] = {}
    live_id = draft_mark = None
    if app.has_workflow:
        live, draft = await instance.console.live_and_draft(app.id, app.live_version)
        live_id, draft_mark = live.id if live else None, draft.hash if draft else None
        documents = {LIVE: live.document if live else {}, DRAFT: draft.document if draft else {}}
    elif app.is_agent:
        agents = Agents(instance.console)
        state = await agents.state(app)
        version = await agents.live(app, state.active)
        live_id, draft_mark = (
            version.id if version else None,
            hashlib.sha256(canonical(state.draft.soul)).hexdigest()[:16],
        )
        documents = {LIVE: {"agent_soul": version.soul} if version else {}, DRAFT: {"agent_soul": state.draft.soul}}
    else:
        detail = await instance.console.app(app.id)
        documents = {LIVE: {"model_config": detail.model_config or {}}}
    uses = [
        Use(
            app=app.name, app_id=app.id, mode=app.mode, where=where, node=item.node, title=item.title, place=item.place,
            identifier=item.identifier, name=item.name,
            is_old=bool(item.identifier) and item.identifier != identifier,
        )
        for where, document in documents.items()
        for item in references(document, plugin)
    ]  # fmt: skip
    return AppUses(app=app, live=live_id, draft=draft_mark, uses=tuple(uses))
