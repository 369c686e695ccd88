"""What an agent app is now: its draft and what is live, read so that one bears the other out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from difyops.api.agents import Agents, AgentState
from difyops.api.instance import Instance
from difyops.api.model import AgentVersion, App
from difyops.dsl.canonical import same_meaning
from difyops.errors import UnreadableAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentNow:
    """An agent app as it is. ``is_known``: what is live is the version that the caller has; then it was not read."""

    app: App
    state: AgentState
    live: AgentVersion | None
    is_known: bool


async def agent_now(instance: Instance, app: App, known: str | None = None) -> AgentNow:
    """Read an agent app; ``app`` comes back with its role. ``known``: a live version that need not be read again.

    Raises:
        UnreadableAnswer: it seems to be unpublished, and versions are listed; or the draft is said to be what is live,
        and is not.
    """
    agents = Agents(instance.console)
    state = await agents.state(app)
    shown = replace(app, raw={**app.raw, "role": state.role})
    if known is not None and state.active == known:
        return AgentNow(app=shown, state=state, live=None, is_known=True)
    live = await agents.live(app, state.active)
    if live is None and any(version.id != state.active for version in await agents.versions(app)):
        raise UnreadableAnswer("read the agent: it names no live version, and there are published ones.")
    if live is not None and state.is_published and not same_meaning(live.document, state.draft.document):
        raise UnreadableAnswer("read the agent: its draft is said to be what is live, and is another one.")
    return AgentNow(app=shown, state=state, live=live, is_known=False)
