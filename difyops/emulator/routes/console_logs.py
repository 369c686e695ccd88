"""Runs, node executions, logs, conversations and messages of the console."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.responses import Response

from difyops.emulator import record_views, shapes
from difyops.emulator.instance import Instance
from difyops.emulator.records import Conversation, Run, Task
from difyops.emulator.routes.console_workflows import flow_app
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import AGENT_MODE, App


def _new_york() -> tzinfo:
    """Return the accounts' time zone; winter time all year on a machine without time zone data."""
    try:
        return ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        return timezone(timedelta(hours=-5))


APP = "/console/api/apps/{app_id:uuid}"
ZONE = _new_york()
_STATUSES = ("running", "succeeded", "failed", "stopped", "partial-succeeded")
_COUNTED = ("running", "succeeded", "failed", "stopped", "partial_succeeded")
_MANY = 2000
_SPANS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def list_runs(call: Call) -> Response:
    """List runs, newest first, from ``last_id`` on. Without ``triggered_from`` only debugging runs."""
    return _runs(call, with_message=False)


def list_chat_runs(call: Call) -> Response:
    """List runs of a chatflow with conversation and message."""
    return _runs(call, with_message=True)


def _runs(call: Call, *, with_message: bool) -> Response:
    limit = call.number("limit", 20, model="WorkflowRunListQuery", high=100)
    found = _selected(call, "WorkflowRunListQuery")
    last = call.query("last_id")
    if last:
        ids = [run.id for run in found]
        if last not in ids:
            raise shapes.invalid_param("Last workflow run not exists")
        found = found[ids.index(last) + 1 :]
    rows = [record_views.run_row(run, with_message=with_message) for run in found[:limit]]
    return shapes.answer({"limit": limit, "has_more": len(found) > limit, "data": rows})


def _selected(call: Call, model: str) -> list[Run]:
    source, status = "debugging", ""
    if call.instance.release.run_filters:
        source, status = call.query("triggered_from", "debugging"), call.query("status")
    if status and status not in _STATUSES:
        quoted = [f"'{item}'" for item in _STATUSES]
        text = f"Input should be {', '.join(quoted[:-1])} or {quoted[-1]}"
        raise shapes.validation(model, "status", text, "literal_error", status)
    found = [run for run in reversed(call.app.runs) if run.triggered_from == source]
    return [run for run in found if not status or run.status == status]


def count_runs(call: Call) -> Response:
    """Count runs by status, within ``time_range`` (``7d``, ``4h``, ``30m``)."""
    found = _selected(call, "WorkflowRunCountQuery")
    span = call.query("time_range")
    if span:
        since = call.instance.now() - int(span[:-1]) * _SPANS.get(span[-1], 1)
        found = [run for run in found if run.created_at >= since]
    counts = {name: sum(run.status.replace("-", "_") == name for run in found) for name in _COUNTED}
    return shapes.answer({"total": len(found), **counts})


def _run(call: Call) -> Run | None:
    return call.app.run_named(call.params["run_id"])


def show_run(call: Call) -> Response:
    """Return one run with graph, inputs and outputs; unknown ones are 200 with nulls on older releases."""
    run = _run(call)
    if run is None:
        if call.instance.release.unknown_run_is_404:
            raise shapes.not_found("Workflow run not found")
        return shapes.answer(record_views.EMPTY_RUN)
    return shapes.answer(record_views.run_detail(run))


def node_executions(call: Call) -> Response:
    """Return the node executions of a run."""
    run = _run(call)
    made = run.make_nodes() if run and run.make_nodes else run.nodes if run else []
    rows = [record_views.node_execution(run, row) for row in made] if run else []
    return shapes.answer({"data": rows})


def stop_run(call: Call) -> Response:
    """Ask a run to stop; always a success."""
    call.instance.tasks.setdefault(call.params["task_id"], Task()).stop_requested = True
    return shapes.success()


def app_logs(call: Call) -> Response:
    """List production runs of a workflow app, those of triggers too."""
    flow_app(call, ("workflow",))
    return shapes.answer(log_page(call))


def log_page(call: Call) -> JsonDict:
    """Return a page of logs by ``status``, ``keyword``, dates and end user; shared with ``/v1/workflows/logs``."""
    page = call.number("page", 1, model="WorkflowAppLogQuery", high=99999)
    limit = call.number("limit", 20, model="WorkflowAppLogQuery", high=100)
    fits, detail = _log_test(call), call.flag("detail")
    found = [run for run in reversed(_dated(call)) if run.triggered_from != "debugging" and fits(run)]
    start = (page - 1) * limit
    rows = [record_views.log_row(run, detail=detail) for run in found[start : start + limit]]
    more = start + limit < len(found)
    return {"page": page, "limit": limit, "total": len(found), "has_more": more, "data": rows}


def _dated(call: Call) -> list[Run]:
    """Return the runs between the dates asked for, both included; of a long past only that part is looked at."""
    before, after = _iso(call, "created_at__before"), _iso(call, "created_at__after")
    runs = call.app.runs
    if len(runs) > _MANY:  # a seeded past: it stands in the order of time
        low = 0 if after is None else bisect.bisect_left(runs, after, key=_began)
        return runs[low : len(runs) if before is None else bisect.bisect_right(runs, before, key=_began)]
    return [
        run
        for run in runs
        if (before is None or run.created_at <= before) and (after is None or run.created_at >= after)
    ]


def _began(run: Run) -> float:
    return run.created_at


def _log_test(call: Call) -> Callable[[Run], bool]:
    """Return the test that the query asks for; a server reads its query once, not for every row."""
    status, keyword, session = (call.query(name) for name in ("status", "keyword", "created_by_end_user_session_id"))

    def fits(run: Run) -> bool:
        if keyword:
            text = f"{run.inputs} {run.outputs} {run.end_user.session_id if run.end_user else ''}"
            if keyword.lower() not in text.lower():
                return False
        return (not status or run.status == status) and (
            not session or (run.end_user is not None and run.end_user.session_id == session)
        )

    return fits


def _iso(call: Call, name: str) -> float | None:
    text = call.query(name)
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace(" ", "+")).timestamp()
    except ValueError:
        raise shapes.invalid_param(f"Invalid isoformat string: '{text}'") from None


def local_minute(call: Call, name: str) -> float | None:
    """Return ``start`` or ``end`` (``YYYY-MM-DD HH:MM`` in the account's time zone) as unix seconds.

    Raises:
        Problem: 400 ``bad_request`` for any other format.
    """
    text = call.query(name)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=ZONE).timestamp()
    except ValueError as error:
        raise shapes.problem("bad_request", f"Invalid {name} time format: {error}", 400) from None


def _conversations(call: Call) -> list[Conversation]:
    start, end = local_minute(call, "start"), local_minute(call, "end")
    keyword = call.query("keyword").lower()
    found = [
        item
        for item in call.app.conversations.values()
        if not item.deleted
        and item.messages
        and (start is None or item.created_at >= start)
        and (end is None or item.created_at < end)
        and (not keyword or keyword in f"{item.name} {item.messages[-1].answer} {item.messages[0].query}".lower())
    ]
    key = call.query("sort_by", "-created_at").lstrip("-")
    backwards = not call.query("sort_by") or call.query("sort_by").startswith("-")
    found.sort(key=lambda item: item.updated_at if key == "updated_at" else item.created_at)
    return found[::-1] if backwards else found


def chat_conversations(call: Call) -> Response:
    """List conversations of a chat app or chatflow."""
    flow_app(call, ("chat", "agent-chat", "advanced-chat", AGENT_MODE))
    return _conversation_page(call, record_views.conversation_row)


def completion_conversations(call: Call) -> Response:
    """List what a completion app was asked."""
    flow_app(call, ("completion",))
    return _conversation_page(call, record_views.completion_row)


def completion_conversation(call: Call) -> Response:
    """Return what a completion app was asked once, and its answer."""
    flow_app(call, ("completion",))
    found = call.app.conversations.get(call.params["conversation_id"])
    if found is None or found.deleted or not found.messages:
        raise shapes.not_found_with_help(call.path, "Conversation Not Exists.")
    return shapes.answer(record_views.completion_detail(call.instance, call.app, found))


def _conversation_page(call: Call, view: Callable[[Instance, App, Conversation], JsonDict]) -> Response:
    page = call.number("page", 1, model="ConversationQuery", high=99999)
    limit = call.number("limit", 20, model="ConversationQuery", high=100)
    found = _conversations(call)
    at = (page - 1) * limit
    rows = [view(call.instance, call.app, item) for item in found[at : at + limit]]
    more = at + limit < len(found)
    return shapes.answer({"page": page, "limit": limit, "total": len(found), "has_more": more, "data": rows})


def chat_conversation(call: Call) -> Response:
    """Return one conversation."""
    found = call.app.conversations.get(call.params["conversation_id"])
    if found is None or found.deleted:
        raise shapes.not_found_with_help(call.path, "Conversation Not Exists.")
    return shapes.answer(record_views.conversation_detail(call.app, found))


def chat_messages(call: Call) -> Response:
    """List the messages of a conversation, oldest first, backwards from ``first_id``."""
    wanted = call.query("conversation_id")
    if not wanted:
        raise shapes.missing_field("ChatMessagesQuery", "conversation_id", {})
    found = call.app.conversations.get(wanted)
    if found is None or found.deleted or call.app.agent is not None:  # an agent app has those of the account alone
        raise shapes.not_found_with_help(call.path, "Conversation Not Exists.")
    limit = call.number("limit", 20, model="ChatMessagesQuery", high=100)
    messages = found.messages
    first = call.query("first_id")
    if first:
        ids = [message.id for message in messages]
        messages = messages[: ids.index(first)] if first in ids else []
    rows = [record_views.message_row(message) for message in messages[-limit:]]
    return shapes.answer({"limit": limit, "has_more": len(messages) > limit, "data": rows})


def message(call: Call) -> Response:
    """Return one message."""
    for conversation in call.app.conversations.values():
        for item in conversation.messages:
            if item.id == call.params["message_id"]:
                return shapes.answer(record_views.message_row(item))
    raise shapes.not_found_with_help(call.path, "Message Not Exists.")


def conversation_variables(call: Call) -> Response:
    """Return the variables of one conversation."""
    found = call.app.conversations.get(call.query("conversation_id"))
    rows = list(found.variables.values()) if found else []
    return shapes.answer({"page": 1, "limit": 100, "total": len(rows), "has_more": False, "data": rows})


ROUTES = (
    Route("GET", f"{APP}/workflow-runs", list_runs),
    Route("GET", f"{APP}/advanced-chat/workflow-runs", list_chat_runs),
    Route("GET", f"{APP}/workflow-runs/count", count_runs, when=lambda release: release.run_filters),
    Route("GET", f"{APP}/workflow-runs/{{run_id:uuid}}", show_run),
    Route("GET", f"{APP}/workflow-runs/{{run_id:uuid}}/node-executions", node_executions),
    Route("POST", f"{APP}/workflow-runs/tasks/{{task_id}}/stop", stop_run, role="editor"),
    Route("GET", f"{APP}/workflow-app-logs", app_logs),
    Route("GET", f"{APP}/chat-conversations", chat_conversations),
    Route("GET", f"{APP}/chat-conversations/{{conversation_id:uuid}}", chat_conversation),
    Route("GET", f"{APP}/completion-conversations", completion_conversations),
    Route("GET", f"{APP}/completion-conversations/{{conversation_id:uuid}}", completion_conversation),
    Route("GET", f"{APP}/chat-messages", chat_messages),
    Route("GET", f"{APP}/messages/{{message_id:uuid}}", message),
    Route("GET", f"{APP}/conversation-variables", conversation_variables),
)
