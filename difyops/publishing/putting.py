"""One app's document put live and taken back, whatever its mode: by versions, by an agent's soul, by a model config.

What the change's facts must hold: ``app_id``, ``app_name``, ``mode``, ``publish_name``, ``publish_text``,
``wait_for_slots``. Documents are those of the app's mode, with secrets in clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import AGENT_MODE, WORKFLOW_MODES, AgentVersion, App, Workflow
from difyops.changes import Change
from difyops.errors import NotSupported, ServerFault
from difyops.publishing.agent import AgentPublication
from difyops.publishing.config import STAMPS, ConfigPublication
from difyops.publishing.content import Content, draft_content, version_content
from difyops.publishing.held import FORMER, PARKED, TARGET
from difyops.publishing.publication import (
    BeforePublish,
    Publication,
    PublishSettings,
    TakenBack,
)

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What an app is now. ``live`` and ``draft``: whole documents with secrets in clear (chat modes have no draft).

    ``version``: the id of the live version, ``label`` the name by which runs are logged; blank where there is none.
    """

    app: App
    live: JsonObject | None = field(repr=False)
    draft: JsonObject | None = field(default=None, repr=False)
    version: str = ""
    label: str = ""
    published_at: float | None = None
    found: Workflow | AgentVersion | None = field(default=None, repr=False)
    read: Content | None = field(default=None, repr=False)


async def now_of(instance: Instance, app_id: str) -> Now:
    """Read what is live of an app, and its draft.

    Raises:
        NotFound: there is no such app.
    """
    console = instance.console
    app = await console.app(app_id)
    if app.is_agent:
        agents = Agents(console)
        state = await agents.state(app)
        soul = await agents.live(app, state.active)
        draft = {"agent_soul": state.draft.soul}
        if soul is None:
            return Now(app=app, live=None, draft=draft)
        return Now(
            app=app, live=soul.document, draft=draft, version=soul.id, published_at=soul.created_at, found=soul
        )  # fmt: skip
    if not app.has_workflow:
        return Now(app=app, live={"model_config": dict(app.model_config or {})})
    version, content = await console.published(app.id), await draft_content(console, app.id)
    if version is None:
        return Now(app=app, live=None, draft=content.document if content else None)
    read = await version_content(console, app.id, version)
    return Now(
        app=app, live=read.document, draft=content.document if content else None, version=version.id,
        label=version.version, published_at=version.created_at, found=version, read=read,
    )  # fmt: skip


@dataclass(slots=True)
class Putting:
    """The document of one app in one change, the first time or after a kill."""

    instance: Instance
    change: Change

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return the facts of the change."""
        return self.change.record.facts

    @property
    def is_workflow(self) -> bool:
        """Say whether the app has versions by which its runs are told apart."""
        return self.facts["mode"] in WORKFLOW_MODES

    @property
    def is_agent(self) -> bool:
        """Say whether it is an agent app."""
        return bool(self.facts["mode"] == AGENT_MODE)

    @property
    def publication(self) -> Publication:
        """Return the publication of a workflow or chatflow."""
        facts = self.facts
        settings = PublishSettings(
            name=facts["publish_name"], text=self._text, wait_for_slots=facts.get("wait_for_slots", True)
        )
        return Publication(
            instance=self.instance, app_id=facts["app_id"], app_name=facts["app_name"], keeper=self.change,
            settings=settings, clock=self.change.journal.clock,
        )  # fmt: skip

    @property
    def agent(self) -> AgentPublication:
        """Return the publication of an agent app."""
        facts = self.facts
        return AgentPublication(
            instance=self.instance, app_id=facts["app_id"], app_name=facts["app_name"], keeper=self.change,
            text=self._text, clock=self.change.journal.clock,
        )  # fmt: skip

    @property
    def config(self) -> ConfigPublication:
        """Return the publication of a chat, agent-chat or completion app."""
        facts = self.facts
        return ConfigPublication(
            instance=self.instance, app_id=facts["app_id"], app_name=facts["app_name"], keeper=self.change
        )

    @property
    def _text(self) -> str:
        return str(self.facts.get("publish_text") or self.facts.get("publish_comment") or "")  # as rollbacks called it

    async def begin(self, now: Now, target: JsonObject) -> None:
        """Write down what is to go live and what is there, before any change.

        Raises:
            NotSupported: nothing is live yet, so there would be no way back.
        """
        if now.live is None:
            raise NotSupported(f"{now.app.name!r} was never published; publish it once in the web page first.")
        if isinstance(now.found, AgentVersion):
            draft = dict((now.draft or {}).get("agent_soul") or {})
            self.agent.begin(target=dict(target["agent_soul"]), live=now.found, draft=draft)
        elif self.is_workflow:
            draft_now = await draft_content(self.instance.console, now.app.id)
            version = now.found if isinstance(now.found, Workflow) else None
            self.publication.begin(target=Content(document=target), live=now.read, version=version, draft=draft_now)
        else:
            wanted = {key: value for key, value in target["model_config"].items() if key not in STAMPS}
            live = dict(now.live["model_config"])
            self.config.begin(target={**live, **wanted}, live=live)

    async def put_live(self, test: BeforePublish | None = None) -> str | None:
        """Put the target live and the draft back, and read back; return where a parked draft is.

        ``test`` looks at a workflow's draft before it goes live, and may raise.

        Raises:
            Overtaken: somebody published meanwhile. ServerFault: it is not live although the server said yes.
        """
        told = None
        if self.is_workflow or self.is_agent:
            work = self.publication if self.is_workflow else self.agent
            await (self.publication.put_live(test) if self.is_workflow else self.agent.put_live())
            had_draft = self.change.kept(PARKED) is not None
            await work.put_draft_back()
            told = work.draft_told() if had_draft else None
        else:
            await self.config.put_live()
        if not await self.is_target_live():
            raise ServerFault(f"{self.facts['app_name']!r}: the target is not live; the server said yes.")
        return told

    async def take_back(self, *, keep_draft: bool) -> TakenBack:
        """Put back what was live before, where what is live is still ours.

        ``keep_draft``: the target came out of the draft; it stays there for who works on it.
        """
        if not (self.is_workflow or self.is_agent):
            return await self.config.take_back()
        if keep_draft and await self.is_live_ours():
            await self._park_target()
        return await (self.publication.take_back() if self.is_workflow else self.agent.take_back())

    async def is_target_live(self) -> bool:
        """Say whether what is live means the target, whoever published it."""
        if self.is_workflow:
            return await self.publication.is_target_live()
        return await (self.agent.is_target_live() if self.is_agent else self.config.is_target_live())

    async def is_live_ours(self) -> bool:
        """Say whether what is live was put there by this change."""
        if self.is_workflow:
            publication = self.publication
            live = await self.instance.console.published(self.facts["app_id"])
            return live is not None and publication.is_ours(live)
        return await (self.agent.is_live_ours() if self.is_agent else self.config.is_live_ours())

    async def missed_slots(self) -> list[str]:
        """Return the scheduled runs that a publication skipped."""
        return await self.publication.slots.missed() if self.is_workflow else []

    async def _park_target(self) -> None:
        """Hold the draft while it is the target, so that going back leaves it there."""
        if self.is_agent:
            app = await self.instance.console.app(self.facts["app_id"])
            soul = (await Agents(self.instance.console).state(app)).draft.soul
            held = {"document": {"agent_soul": soul}}
            if held == self.change.kept(TARGET):
                self.change.keep(PARKED, held)
            return
        draft, target = await draft_content(self.instance.console, self.facts["app_id"]), self.change.kept(TARGET)
        former = self.change.kept(FORMER)
        if draft is None or target is None or former is None or draft.is_same(Content.read(former)):
            return
        if draft.is_same(replace(Content.read(target), hash=None)):
            self.change.keep(PARKED, draft.as_kept())
