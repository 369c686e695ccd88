"""The lists that history is read from, one page a call: logs, runs, node executions, conversations, messages.

A call is made once and never repeated here: who reads a whole history slows down or stops when the server struggles.
Console paths as in ``runs``; shapes are those of ``run_records``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from difyops.api import pages
from difyops.api.agent_log import agent_messages
from difyops.api.console import BASE
from difyops.api.instance import Instance
from difyops.api.model import App, Wire
from difyops.api.transport import json_of
from difyops.errors import ServerFault

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """The rows of one page; ``total`` is ``None`` where the list does not say."""

    rows: list[dict[str, Any]]
    more: bool
    total: int | None = None


async def log_page(instance: Instance, app_id: str, *, page: int, after: float, before: float) -> FeedPage:
    """Return a page of a workflow app's logs between two moments, both included; newest first, by OFFSET."""
    return await _page(
        instance, f"/apps/{app_id}/workflow-app-logs", "list runs", page=page, limit=PAGE,
        created_at__after=_iso(after), created_at__before=_iso(before),
    )  # fmt: skip


async def runs_page(instance: Instance, app: App, *, source: str, last_id: str | None) -> FeedPage:
    """Return runs older than ``last_id`` (strictly), newest first: ``app-run`` of a chatflow, or ``debugging``."""
    chatflow = "advanced-chat/" if app.mode == "advanced-chat" else ""
    cursor = {"last_id": last_id} if last_id else {}
    return await _page(
        instance, f"/apps/{app.id}/{chatflow}workflow-runs", "list runs", limit=PAGE, triggered_from=source, **cursor
    )  # fmt: skip


async def conversations_page(instance: Instance, app: App, *, page: int) -> FeedPage:
    """Return a page of conversations (of what a completion app was asked), last changed first."""
    name = "completion-conversations" if app.mode == "completion" else "chat-conversations"
    sort = {} if app.mode == "completion" else {"sort_by": "-updated_at"}
    return await _page(instance, f"/apps/{app.id}/{name}", "list conversations", page=page, limit=PAGE, **sort)


async def messages_page(instance: Instance, app: App, conversation: str, *, first_id: str | None) -> FeedPage:
    """Return the messages of a conversation before ``first_id``; of an agent app all of them."""
    if app.is_agent:
        return FeedPage(rows=await agent_messages(instance.console, app, conversation), more=False)
    cursor = {"first_id": first_id} if first_id else {}
    path = f"/apps/{app.id}/chat-messages"
    return await _page(instance, path, "list messages", conversation_id=conversation, limit=PAGE, **cursor)


async def completion(instance: Instance, app_id: str, conversation: str) -> Wire | None:
    """Return the one message of a completion, ``None`` when the answer holds none."""
    body = await _get(instance, f"/apps/{app_id}/completion-conversations/{conversation}", "read an answer")
    message = body.get("message")
    return message if isinstance(message, dict) else None


async def node_rows(instance: Instance, app_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return the node executions of a run; ``[]`` for a run that is gone."""
    body = await _get(instance, f"/apps/{app_id}/workflow-runs/{run_id}/node-executions", "read node executions")
    return pages.rows_of(body, "data")


async def run_detail(instance: Instance, app_id: str, run_id: str) -> dict[str, Any]:
    """Return one run with its graph, inputs and outputs."""
    return await _get(instance, f"/apps/{app_id}/workflow-runs/{run_id}", "read a run")


async def server_time(instance: Instance) -> float | None:
    """Return the server's clock as unix seconds, ``None`` when it does not tell."""
    response = await instance.transport.request("GET", BASE + "/setup", doing="read the server's clock")
    try:
        return parsedate_to_datetime(response.headers.get("date") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


async def _get(instance: Instance, path: str, doing: str, **params: Any) -> dict[str, Any]:
    response = await instance.transport.request(
        "GET", BASE + path, doing=doing, auth=instance.console.auth, params=params, repeatable=False
    )
    body = json_of(response, doing=doing)
    if not isinstance(body, dict):
        raise ServerFault(f"{doing}: an object was expected and something else came.")
    return body


async def _page(instance: Instance, path: str, doing: str, **params: Any) -> FeedPage:
    body = await _get(instance, path, doing, **params)
    if not isinstance(body.get("data"), list):
        raise ServerFault(f"{doing}: a list was expected and something else came.")
    total = body.get("total")
    known = total if isinstance(total, int) else None
    return FeedPage(rows=pages.rows_of(body, "data"), more=bool(body.get("has_more")), total=known)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
