"""The console surface of agent apps (mode ``agent``, 1.15 and newer): draft, versions, publish. Recorded of 1.16.1.

An agent app has two ids: that of the app, and that of its agent, which these routes want. Its content is a *soul*: one
JSON object. Secrets in it come back in clear, from the draft and from every version. The draft has no hash and no lock;
what a save leaves out goes back to its default, so a whole soul is sent always.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api import answers
from difyops.api.console import Console
from difyops.api.model import AgentVersion, App
from difyops.api.paths import part
from difyops.errors import NotFound, UnreadableAnswer

_NOT_SHOWN = "agent_version_not_found_error"
_ONLY_IMPORTED = {"import_package"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentState:
    """What an agent app is now: its draft, the id of its active version, its role (a text for people).

    ``active`` is no live version yet where nothing was published; ``Agents.live`` tells. ``is_published``: the draft is
    what is live.
    """

    draft: AgentVersion = field(repr=False)
    active: str
    role: str
    is_published: bool


@dataclass(frozen=True, slots=True)
class Agents:
    """The calls for agent apps of one instance, made through its console."""

    console: Console

    async def state(self, app: App) -> AgentState:
        """Return draft, active version and role.

        Raises:
            NotFound: there is no such agent. UnreadableAnswer: the app names no agent.
        """
        path = f"{self._path(app)}/composer"
        body = await self.console.mapping(path, doing="read the agent", shape=answers.composer(app.agent_id or ""))
        draft = body["draft"] or {}
        return AgentState(
            draft=AgentVersion.of({**draft, "config_snapshot": body["agent_soul"], "version": "draft"}),
            active=str(body["agent"]["active_config_snapshot_id"] or ""),
            role=str(body["agent"].get("role") or ""),
            is_published=bool(body.get("active_config_is_published")),
        )

    async def version(self, app: App, version_id: str) -> AgentVersion:
        """Return one published version with its whole soul.

        Raises:
            NotFound: the agent has no such version.
        """
        path = f"{self._path(app)}/versions/{part(version_id)}"
        shape = answers.agent_version(version_id)
        return AgentVersion.of(await self.console.mapping(path, doing="read a version of the agent", shape=shape))

    async def live(self, app: App, active: str) -> AgentVersion | None:
        """Return the live version, ``None`` when nothing was ever published.

        The version that an agent begins with is hidden, and one that only came with an import does not answer.
        """
        if not active:
            return None
        try:
            version = await self.version(app, active)
        except NotFound as error:
            if error.server_code == _NOT_SHOWN:
                return None
            raise
        return None if version.operations == _ONLY_IMPORTED else version

    async def versions(self, app: App) -> list[AgentVersion]:
        """Return the published versions, newest first, without their souls."""
        path = f"{self._path(app)}/versions"
        body = await self.console.get(path, doing="list versions of the agent", shape=answers.AGENT_VERSIONS)
        return [AgentVersion.of(row) for row in body["data"]]

    async def write_draft(self, app: App, soul: Mapping[str, Any]) -> None:
        """Replace the draft by a whole soul. Nothing tells the server which draft we saw."""
        body = {"variant": "agent_app", "agent_soul": dict(soul), "save_strategy": "save_to_current_version"}
        await self.console.send("PUT", f"{self._path(app)}/composer", body, doing="write the agent's draft")

    async def publish(self, app: App, *, note: str = "") -> str:
        """Make the draft the live version and return its id."""
        path = f"{self._path(app)}/publish"
        body = {"version_note": note} if note else {}
        answer = await self.console.send("POST", path, body, doing="publish the agent", shape=answers.AGENT_PUBLISHED)
        return str(answer["active_config_snapshot_id"])

    async def create(self, identity: Mapping[str, Any]) -> App:
        """Create an agent app: ``identity`` is name, description, role, icon. Nothing of it is published.

        Raises:
            RequestRejected: 409, the name is taken.
        """
        shape = answers.AGENT_CREATED
        body = await self.console.send("POST", "/agent", dict(identity), doing="create an agent", shape=shape)
        return await self.console.app(str(body["app_id"]))

    async def update(self, app: App, identity: Mapping[str, Any]) -> None:
        """Set name, description, role and icon; the call also sets ``max_active_requests``: hand in the current one."""
        await self.console.send("PUT", self._path(app), dict(identity), doing="write the agent's name")

    def _path(self, app: App) -> str:
        if not app.agent_id:
            raise UnreadableAnswer("read the agent: the app does not say which agent it has.")
        return f"/agent/{part(app.agent_id)}"
