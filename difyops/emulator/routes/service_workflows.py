"""Running workflows through the service API: blocking, streaming, by version; stop, detail, logs, events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response

from difyops.emulator import events, record_views, runs, shapes
from difyops.emulator.events import Channel
from difyops.emulator.interpreter import Execution
from difyops.emulator.records import Task
from difyops.emulator.routes.console_logs import log_page
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict, Problem
from difyops.emulator.store import App

API = "/v1"
_MODEL = "WorkflowRunPayload"
_WRONG_MODE = "Please check if your app mode matches the right API route."


async def run(call: Call) -> Response:
    """Run the live version, or the one named in the path."""
    if call.app.mode != "workflow":
        raise shapes.problem("not_workflow_app", _WRONG_MODE, 400)
    payload = run_payload(call, _MODEL)
    order = _order(call, payload)
    if payload["response_mode"] == "blocking":
        return await _blocking(call, order)
    return await _streaming(call, order)


def run_payload(call: Call, model: str) -> JsonDict:
    """Return the body of a run: ``inputs``, ``response_mode``, ``user``; refuse what is missing.

    Raises:
        Problem: 400, raw pydantic text or "Arg user must be provided.".
    """
    payload = call.json()
    call.require(payload, "inputs", model)
    mode = payload.get("response_mode") or "blocking"
    if mode not in ("blocking", "streaming"):
        text = "Input should be 'blocking' or 'streaming'"
        raise shapes.validation(model, "response_mode", text, "literal_error", mode)
    if not payload.get("user"):
        raise shapes.invalid_param("Arg user must be provided.")
    return {**payload, "response_mode": mode}


def _order(call: Call, payload: JsonDict) -> runs.Order:
    workflow = runs.published(call.app, call.params.get("workflow_id"))
    end_user = call.instance.end_user(call.app.id, str(payload["user"]))
    return runs.Order(app=call.app, workflow=workflow, inputs=payload["inputs"], end_user=end_user)


async def _blocking(call: Call, order: runs.Order) -> Response:
    instance = call.instance
    await refuse_without_redis(call)
    with runs.slot(order.app):
        execution = runs.prepare(instance, order)
        async for _ in execution.events():
            pass
        instance.tasks.pop(execution.run.task_id, None)
    return shapes.answer(record_views.blocking_run(execution.run), media=shapes.JSON_UTF8)


async def refuse_without_redis(call: Call) -> None:
    """Answer what a run answers when Redis is down.

    Raises:
        Problem: 500 ``internal_server_error``.
    """
    await call.instance.search_redis()
    if call.instance.control.has("redis_down"):
        raise shapes.run_error()


async def _streaming(call: Call, order: runs.Order) -> Response:
    instance, app = call.instance, order.app
    if instance.control.has("redis_down"):
        return events.stream(broken_stream())
    runs.take(app, 2)
    try:
        execution = runs.prepare(instance, order)
    except Problem as problem:
        app.active -= 2
        if not instance.release.worker_streams:
            raise
        event = runs.problem_event(problem) if instance.release.error_event_on_bad_run else None
        first = (events.PING, events.line(event)) if event else (events.PING,)
        return events.stream(events.silence(instance, *first))
    channel = Channel()
    if instance.release.worker_streams and instance.control.has("worker_down"):
        app.runs.remove(execution.run)
        instance.waiting.append(lambda: _late(app, execution, channel))
        return events.stream(_released(app, events.silence(instance, events.PING)))
    work, detached = runs.perform(execution, channel), instance.release.worker_streams
    body = events.with_worker(instance, channel, work, detached=detached, ping_first=True)
    return events.stream(_released(app, body))


async def _late(app: App, execution: Execution, channel: Channel) -> None:
    """Execute a request that waited for a worker, however long ago its client left."""
    app.runs.append(execution.run)
    await runs.perform(execution, channel)


async def _released(app: App, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for item in body:
            yield item
    finally:
        app.active -= 2


async def broken_stream() -> AsyncIterator[bytes]:
    """Yield one ping and break the connection, as streams do when Redis is down."""
    yield events.PING
    raise ConnectionResetError("peer closed connection without sending complete message body")


def stop(call: Call) -> Response:
    """Ask a task to stop: a success for unknown tasks and for other users' too."""
    call.json()
    call.instance.tasks.setdefault(call.params["task_id"], Task()).stop_requested = True
    return shapes.success()


def detail(call: Call) -> Response:
    """Return one run of this app; unknown ones are 500 on older releases."""
    found = next((item for item in call.app.runs if item.id == call.params["run_id"]), None)
    if found is None:
        if call.instance.release.service_unknown_run_is_404:
            raise shapes.not_found("Workflow run not found.")
        raise shapes.internal_error()
    return shapes.answer(record_views.service_run_detail(found))


def logs(call: Call) -> Response:
    """List the app's production runs."""
    return shapes.answer(log_page(call))


def run_events(call: Call) -> Response:
    """Return the last event of a finished run as an event stream; takes the run id, not the task id.

    Only the end user who started it finds it. The stream of a run that goes on breaks, as 1.16.1's did, 5 of 5 times.
    """
    user = call.request.query_params.get("user")
    if not user:
        raise shapes.invalid_param("Arg user must be provided.")
    found = next((item for item in call.app.runs if item.id == call.params["run_id"]), None)
    if found is None or found.end_user is None or found.end_user.session_id != user:
        raise shapes.not_found("Workflow run not found")
    if found.finished_at is None:
        return events.stream(broken_stream())
    data = {
        **record_views.blocking_run(found)["data"], "exceptions_count": found.exceptions_count,
        "created_by": found.creator, "files": [],
    }  # fmt: skip
    event = {"event": "workflow_finished", "task_id": found.id, "workflow_run_id": found.id, "data": data}
    return Response(
        events.line(event),
        media_type="text/event-stream; charset=utf-8",
        headers={"cache-control": "no-cache"},
    )


ROUTES = (
    Route("POST", f"{API}/workflows/run", run, "app"),
    Route("POST", f"{API}/workflows/{{workflow_id}}/run", run, "app"),
    Route("GET", f"{API}/workflows/run/{{run_id:uuid}}", detail, "app"),
    Route("POST", f"{API}/workflows/tasks/{{task_id}}/stop", stop, "app"),
    Route("GET", f"{API}/workflows/logs", logs, "app"),
    Route("GET", f"{API}/workflow/{{run_id:uuid}}/events", run_events, "app", "any", lambda r: r.run_events_route),
)
