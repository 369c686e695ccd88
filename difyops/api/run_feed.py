"""The lists that history is read from, one page a call: logs, runs, node executions, conversations, messages.

A call is made once and never repeated here: who reads a whole history slows down or stops when the server struggles.
Console paths as in ``runs``; shapes are those of ``run_records``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from difyops.api import answers
from difyops.api.agent_log import agent_messages
from difyops.api.console import BASE
from difyops.api.instance import Instance
from difyops.api.model import App, Wire
from difyops.api.paths import part
from difyops.api.shapes import Shape, fit
from difyops.api.shapes import moment as a_moment
from difyops.api.transport import json_of
from difyops.errors import NotFound, UnreadableAnswer

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
        instance, f"/apps/{part(app_id)}/workflow-app-logs", "list runs", answers.WORKFLOW_LOGS, page=page, limit=PAGE,
        created_at__after=_iso(after), created_at__before=_iso(before),
    )  # fmt: skip


async def runs_page(instance: Instance, app: App, *, source: str, last_id: str | None) -> FeedPage:
    """Return runs older than ``last_id`` (strictly), newest first: ``app-run`` of a chatflow, or ``debugging``."""
    chatflow = "advanced-chat/" if app.mode == "advanced-chat" else ""
    cursor = {"last_id": last_id} if last_id else {}
    path = f"/apps/{part(app.id)}/{chatflow}workflow-runs"
    return await _page(instance, path, "list runs", answers.RUNS, limit=PAGE, triggered_from=source, **cursor)


async def conversations_page(instance: Instance, app: App, *, page: int) -> FeedPage:
    """Return a page of conversations (of what a completion app was asked), last changed first."""
    name = "completion-conversations" if app.mode == "completion" else "chat-conversations"
    sort = {} if app.mode == "completion" else {"sort_by": "-updated_at"}
    path = f"/apps/{part(app.id)}/{name}"
    return await _page(instance, path, "list conversations", answers.CONVERSATIONS, page=page, limit=PAGE, **sort)


async def messages_page(instance: Instance, app: App, conversation: str, *, first_id: str | None) -> FeedPage:
    """Return the messages of a conversation before ``first_id``; of an agent app all of them."""
    if app.is_agent:
        return FeedPage(rows=await agent_messages(instance.console, app, conversation), more=False)
    cursor = {"first_id": first_id} if first_id else {}
    path, asked = f"/apps/{part(app.id)}/chat-messages", {"conversation_id": conversation, "limit": PAGE, **cursor}
    return await _page(instance, path, "list messages", answers.MESSAGES, **asked)


async def completion(instance: Instance, app_id: str, conversation: str) -> Wire | None:
    """Return the one message of a completion, ``None`` when the answer holds none."""
    path = f"/apps/{part(app_id)}/completion-conversations/{part(conversation)}"
    message: Wire | None = (await _get(instance, path, "read an answer", answers.COMPLETION)).get("message")
    return message


async def node_rows(instance: Instance, app_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return the node executions of a run; ``[]`` for a run that is gone."""
    path = f"/apps/{part(app_id)}/workflow-runs/{part(run_id)}/node-executions"
    rows: list[dict[str, Any]] = (await _get(instance, path, "read node executions", answers.NODES))["data"]
    return rows


async def run_detail(instance: Instance, app_id: str, run_id: str) -> dict[str, Any]:
    """Return one run with its graph, inputs and outputs.

    Raises:
        NotFound: the app has no such run. Servers say so with a 404, or with every field blank (1.13.0 to 1.16.1).
    """
    path = f"/apps/{part(app_id)}/workflow-runs/{part(run_id)}"
    found = await _get(instance, path, "read a run", answers.run_or_none(run_id))
    if found["id"] is None:
        raise NotFound("read a run: the app has no such run.", status=404)
    return found


async def server_time(instance: Instance) -> float | None:
    """Return the server's clock as unix seconds, ``None`` when it does not tell."""
    response = await instance.transport.request("GET", BASE + "/setup", doing="read the server's clock")
    try:
        return a_moment(parsedate_to_datetime(response.headers.get("date") or "").timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


async def _get(instance: Instance, path: str, doing: str, shape: Shape, **params: Any) -> dict[str, Any]:
    response = await instance.transport.request(
        "GET", BASE + path, doing=doing, auth=instance.console.auth, params=params, repeatable=False
    )
    body: dict[str, Any] = fit(json_of(response, doing=doing), shape, doing=doing, endpoint=path)
    return body


async def _page(instance: Instance, path: str, doing: str, shape: Shape, **params: Any) -> FeedPage:
    body = await _get(instance, path, doing, shape, **params)
    page = FeedPage(rows=body["data"], more=body["has_more"], total=body.get("total"))
    if page.more and (not page.rows or (page.total is not None and page.total <= params.get("page", 1) * PAGE)):
        raise UnreadableAnswer(f"{doing}: it says that there is more, and its rows or its total say that there is not.")
    return page


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
