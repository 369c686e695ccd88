"""What callers asked an agent app: its own log, read as rows of ``chat-messages``.

``/apps/<app id>/chat-messages`` looks for conversations of the account that asks, and answers 404 for those of callers:
seen on 1.16.1. The agent's log has them (``/agent/<agent id>/logs/<conversation id>/messages``, by page, newest first),
without inputs and metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difyops.api import answers, pages
from difyops.api.console import Console
from difyops.api.model import App, Wire
from difyops.api.paths import part
from difyops.errors import UnreadableAnswer

_STATUS = {"success": "normal", "failed": "error"}


async def agent_messages(console: Console, app: App, conversation: str) -> list[dict[str, Any]]:
    """Return the messages of one conversation, oldest first; none of a conversation that is no caller's.

    Raises:
        NotFound: there is no such agent. UnreadableAnswer: the app names no agent, or the answer is no list.
    """
    if not app.agent_id:
        raise UnreadableAnswer("list messages: the app does not say which agent it has.")
    path = f"/agent/{part(app.agent_id)}/logs/{part(conversation)}/messages"

    async def fetch(params: Mapping[str, Any]) -> Any:
        return await console.get(path, doing="list messages", shape=answers.AGENT_MESSAGES, **params)

    return [_as_message(row) async for row in pages.by_number(fetch)][::-1]


def _as_message(row: Wire) -> dict[str, Any]:
    status = str(row.get("status") or "")
    return {**row, "status": _STATUS.get(status, status), "provider_response_latency": row.get("latency"), "inputs": {}}
