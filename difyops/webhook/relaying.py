"""``/run/NAME``: an app is run as Dify itself runs it, and the end is told to ``metadata.callback_url`` besides.

The run is on disk before the app is asked. It is streamed to the caller who stays and goes on when he leaves.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope

from difyops.api.input_form import check_inputs
from difyops.api.run_answer import STREAM, Answer
from difyops.api.run_faults import RunFailed
from difyops.errors import DifyopsError, RateLimited, Refused, Unreachable
from difyops.secret_text import scrub
from difyops.webhook import outbox
from difyops.webhook.listening import Listener
from difyops.webhook.outbox import RunRow
from difyops.webhook.reaching import Desk
from difyops.webhook.requests import JsonAnswer, Turned, body_of, headers_of, hops_of, object_of
from difyops.webhook.rules import ServedApp
from difyops.webhook.serving import Serving, address_of

_PATHS = ("workflows/run", "chat-messages", "completion-messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request to run an app, read."""

    row: RunRow
    desk: Desk
    mode: str


async def run(serving: Serving, name: str, rest: str, scope: Scope, receive: Receive) -> ASGIApp:
    """Run an app for a caller; return the answer.

    Raises:
        Turned: there is no such app, the caller may not run it, or what he sent is not what it takes.
    """
    app = serving.rules.apps.get(name)
    rest = rest.strip("/").removeprefix("v1/")
    if app is None or (rest and rest not in _PATHS):
        raise Turned(404, "not_found", "There is no app of that name here.")
    if serving.draining or serving.runs.under_way >= serving.rules.limits.streams:
        raise Turned(503, "busy", "There are as many runs under way as may be; ask again.", 5)
    headers = headers_of(scope)
    hops = hops_of(headers)
    desk = await _desk(serving, app, headers)
    body = object_of(await body_of(receive, headers, serving.rules.limits))
    asked = _asked(serving, app, desk, body, headers, hops)
    # one who streams has nothing in hand yet: his run is flushed with its id, before he sees that
    flushed = asked.mode != "streaming"
    earlier = await serving.database.write(outbox.accept(asked.row), flushed=flushed)
    if earlier is not None:
        return JsonAnswer({"id": earlier, "duplicate": True}, 202, headers={"x-difyops-run": earlier})
    listener = None if asked.mode == "async" else Listener()
    serving.runs.begin(asked.row, desk, listener)
    head = {"x-difyops-run": asked.row.id}
    if listener is None:
        return JsonAnswer({"id": asked.row.id, "status": "accepted"}, 202, headers=head)
    if asked.mode == "blocking":
        return await _whole(listener, desk, head)
    return await _streamed(listener, asked.row, head)


async def _desk(serving: Serving, app: ServedApp, headers: Mapping[str, str]) -> Desk:
    """Return the desk of the app, for a caller who may run it."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    callers = tuple(one for item in app.callers for one in serving.secrets.get(item, ()))
    if scheme.lower() != "bearer" or not token.strip():
        raise Turned(401, "unauthorized", "Authorization: Bearer KEY is missing.")
    address = address_of(app)
    try:
        desk = await serving.desks.at(address)
        if not desk.knows(token.strip(), callers) and serving.may_look_again(address):
            desk = await serving.desks.at(address, anew=True)  # a key that was made a moment ago
    except DifyopsError as error:
        raise Turned(503, "not_ready", f"The app cannot be run now: {scrub(error.message)}", 5) from None
    if not desk.knows(token.strip(), callers):
        raise Turned(401, "unauthorized", "That key is none of this app's.")
    return desk


def _asked(
    serving: Serving, app: ServedApp, desk: Desk, body: dict[str, Any], headers: Mapping[str, str], hops: int
) -> _Asked:
    """Read what is to be run; refuse what the app would not take, before anything is accepted."""
    wants = "async" if "respond-async" in headers.get("prefer", "") else "streaming"
    mode = str(body.get("response_mode") or wants)
    if mode not in ("streaming", "blocking", "async"):
        raise Turned(400, "invalid_param", "response_mode is streaming, blocking or async.")
    given = body.get("metadata")
    metadata = dict(given) if isinstance(given, dict) else {}
    callback = _callback(serving, metadata.pop("callback_url", None) or body.get("callback_url"))
    query = str(body.get("query") or "")
    run = f"run_{secrets.token_hex(8)}"
    user = body.get("user") or body.get("session_id")
    request = {
        "inputs": _inputs(desk, body, query), "query": query, "files": body.get("files"),
        "conversation_id": body.get("conversation_id"), "session_id": body.get("session_id"),
        "metadata": metadata or None, "mode": mode if mode == "async" else None,
    }  # fmt: skip
    row = RunRow(
        id=run, app=app.name, via="run", accepted=time.time(), user=str(user)[:255] if user else f"difyops-{run}",
        request={key: value for key, value in request.items() if value is not None}, callback=callback, hops=hops,
        idempotency=headers.get("idempotency-key", "")[:200] or None,
    )  # fmt: skip
    return _Asked(row=row, desk=desk, mode=mode)


def _callback(serving: Serving, given: object) -> str | None:
    """Return where the end is to be told, when that is an address that calls may go to."""
    if given is None:
        return None
    try:
        return serving.rules.callbacks.egress.check(str(given)).url
    except Refused as error:
        raise Turned(400, "callback_refused", f"callback_url: {error.message}") from None


def _inputs(desk: Desk, body: dict[str, Any], query: str) -> dict[str, Any]:
    """Return the inputs, checked against the form of the app; what it does not know is passed over, as Dify does."""
    given = body.get("inputs")
    if not isinstance(given, dict | None):
        raise Turned(400, "invalid_param", "inputs is not an object.")
    inputs, names = dict(given or {}), {item.name for item in desk.form}
    if query and "query" in names:
        inputs.setdefault("query", query)
    try:
        check_inputs(desk.form, {name: value for name, value in inputs.items() if name in names})
    except RunFailed as error:
        raise Turned(400, "invalid_param", error.message) from None
    return inputs


async def _streamed(listener: Listener, row: RunRow, head: dict[str, str]) -> ASGIApp:
    """Stream to the caller; what goes wrong before the first line is an answer of its own."""
    first = await listener.next()
    if first is None:
        return _failure(listener.error, head)
    lines = _lines(listener, row, first)
    return StreamingResponse(lines, media_type="text/event-stream", headers={**head, "cache-control": "no-cache"})


async def _lines(listener: Listener, row: RunRow, first: bytes) -> AsyncIterator[bytes]:
    try:
        lines: bytes | None = first
        while lines is not None:
            yield lines
            lines = await listener.next()
        if (last := _last(listener, row)) is not None:
            yield b"data: " + orjson.dumps(last, default=str) + b"\n\n"
    finally:
        listener.left = True
        listener.lines.clear()


def _last(listener: Listener, row: RunRow) -> dict[str, Any] | None:
    """Return the event that ends a stream whose own end was not seen in it."""
    answer, error = listener.answer, listener.error
    if answer is not None and answer.learned != STREAM:
        ids = {"workflow_run_id": answer.run_id, "task_id": answer.task_id}
        return {"event": "workflow_finished", **ids, "data": _data(answer)}
    if error is not None and not listener.told_end:
        return {"event": "error", "code": error.code, "message": scrub(error.message), "status": 500, "run": row.id}
    return None


async def _whole(listener: Listener, desk: Desk, head: dict[str, str]) -> ASGIApp:
    """Answer once the run has ended, in the shape of a blocking answer."""
    while await listener.next() is not None:
        pass
    answer = listener.answer
    if answer is None:
        return _failure(listener.error, head)
    if desk.service.mode == "workflow":
        body: dict[str, Any] = {"task_id": answer.task_id, "workflow_run_id": answer.run_id, "data": _data(answer)}
    else:
        body = {
            "event": "message", "task_id": answer.task_id, "message_id": answer.message_id, "mode": desk.service.mode,
            "conversation_id": answer.conversation_id, "answer": answer.text,
            "metadata": {"usage": {"total_tokens": answer.tokens}},
        }  # fmt: skip
    return JsonAnswer(body, headers=head)


def _data(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.run_id, "status": answer.status, "outputs": dict(answer.outputs) or {"answer": answer.text},
        "error": None, "elapsed_time": round(answer.seconds, 3), "total_tokens": answer.tokens,
    }  # fmt: skip


def _failure(error: DifyopsError | None, head: dict[str, str]) -> ASGIApp:
    status = 502
    if error is None:
        error, status = Unreachable("The server stops; the run goes on and its end will be told."), 503
    elif isinstance(error, RunFailed):
        status = 429 if not error.was_begun else 502 if error.retryable else 400
    elif isinstance(error, RateLimited):
        status = 429
    code = error.kind if isinstance(error, RunFailed) else error.code
    return JsonAnswer({"code": code, "message": scrub(error.message), "status": status}, status, headers=head)
