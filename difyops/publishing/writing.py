"""The calls that put a draft on the server or a draft live, each through the journal of its change.

Nobody else makes them (a test holds that): so no draft is written and nothing is published without a line on disk that
says so before. What may be written over what is decided by the callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difyops.api.agents import Agents
from difyops.api.console import Console
from difyops.api.model import App
from difyops.errors import Conflict
from difyops.publishing.keeper import Keeper


async def write_draft(
    keeper: Keeper,
    console: Console,
    app_id: str,
    document: Mapping[str, Any],
    /,
    *,
    over: str | None,
    effect: str = "write draft",
    **told: Any,
) -> str:
    """Replace the draft of a workflow or chatflow that has the hash ``over``; return its new hash.

    ``POST /console/api/apps/<id>/workflows/draft``, 1.0 to 1.19. The server holds the hash against that of graph and
    features: it does not see that somebody saved variables only.

    Raises:
        Conflict: somebody saved the draft since that hash was read; nothing was written.
    """
    return await keeper.effect(effect, lambda: console.sync_draft(app_id, document, expected_hash=over), **told)


async def publish_draft(
    keeper: Keeper,
    console: Console,
    app_id: str,
    /,
    *,
    name: str,
    comment: str = "",
    effect: str = "publish",
    **told: Any,
) -> None:
    """Make the draft of a workflow or chatflow the live version, marked with a name and a comment.

    Whatever the draft holds at that moment goes live: the server is asked for no hash, and names no version.
    ``POST /console/api/apps/<id>/workflows/publish``; 1.0.0 takes no name and no comment.
    """
    await keeper.effect(effect, lambda: console.publish(app_id, name=name, comment=comment), **told)


async def write_soul(
    keeper: Keeper,
    agents: Agents,
    app: App,
    soul: Mapping[str, Any],
    /,
    *,
    over: Mapping[str, Any] | None,
    effect: str = "write draft",
    **told: Any,
) -> None:
    """Replace the draft of an agent app that is ``over``; ``None``: whatever it is, in an app that is ours alone.

    ``PUT /console/api/agent/<agent>/composer``, 1.15 and newer. The server has no lock, so we look right before we
    write: only a save between these two calls would be lost.

    Raises:
        Conflict: somebody saved the draft since ``over`` was read; nothing was written.
    """

    async def write() -> None:
        if over is not None and (await agents.state(app)).draft.soul != over:
            raise Conflict(f"Somebody saved the draft of {app.name!r} meanwhile.", status=409, retryable=True)
        await agents.write_draft(app, soul)

    await keeper.effect(effect, write, **told)


async def publish_soul(
    keeper: Keeper, agents: Agents, app: App, /, *, note: str, effect: str = "publish", **told: Any
) -> str:
    """Make the draft of an agent app the live version; return its id (``POST /console/api/agent/<agent>/publish``)."""
    return await keeper.effect(effect, lambda: agents.publish(app, note=note), **told)
