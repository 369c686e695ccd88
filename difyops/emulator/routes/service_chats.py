"""Talking to chat, agent and completion apps and to chatflows through the service API; draft runs of chatflows."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from starlette.responses import Response

from difyops.emulator import chats, events, runs, shapes
from difyops.emulator.chats import Talk
from difyops.emulator.events import Channel
from difyops.emulator.instance import Instance
from difyops.emulator.interpreter import Event, Execution
from difyops.emulator.model import ModelFault, no_usage, plain_prices
from difyops.emulator.records import Conversation, EndUser, Message
from difyops.emulator.routes.console_workflows import flow_app
from difyops.emulator.routes.service_workflows import broken_stream, refuse_without_redis, run_payload, stop
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict, Problem
from difyops.emulator.store import AGENT_MODE, App, Workflow

API = "/v1"
_MODEL = "ChatRequestPayload"
_WRONG_MODE = "Please check if your app mode matches the right API route."
_UNAVAILABLE = "App unavailable, please check your app configurations."


async def chat(call: Call) -> Response:
    """Ask a chat app, an agent (streaming only) or a chatflow."""
    mode = call.app.mode
    if mode not in ("chat", "agent-chat", "advanced-chat", AGENT_MODE):
        raise shapes.problem("not_chat_app", _WRONG_MODE, 400)
    payload = call.json()
    call.require(payload, "query", _MODEL)
    chats.check_conversation_id(payload)
    payload = run_payload(call, _MODEL)
    if mode == "advanced-chat":
        return await _flow(call, payload)
    if mode == "agent-chat" and payload["response_mode"] == "blocking":
        raise shapes.invalid_param("Agent Chat App does not support blocking mode")
    if mode == AGENT_MODE:
        _refuse_agent(call.app, payload)
    return await _talk(call, payload)


def _refuse_agent(app: App, payload: JsonDict) -> None:
    """Refuse blocking calls of agent apps, and imported agents whose draft is not what is live.

    Raises:
        Problem: 400.
    """
    if payload["response_mode"] == "blocking":
        raise shapes.problem("bad_request", "Agent App only supports streaming response mode.", 400)
    if app.agent is not None and app.agent.source == "imported" and not app.agent.is_published:
        text = "Agent has not been published. Please publish the Agent before using the API."
        raise shapes.problem("agent_not_published", text, 400)


async def complete(call: Call) -> Response:
    """Ask a completion app."""
    if call.app.mode != "completion":
        raise shapes.problem("app_unavailable", _UNAVAILABLE, 400)
    return await _talk(call, run_payload(call, "CompletionRequestPayload"))


async def _talk(call: Call, payload: JsonDict) -> Response:
    instance, app = call.instance, call.app
    await refuse_without_redis(call)
    with runs.slot(app):
        end_user = instance.end_user(app.id, str(payload["user"]))
        talk = chats.new_talk(instance, app, payload, end_user)
        problem = chats.refusal(instance, talk)
        streaming = payload["response_mode"] == "streaming"
        if problem is not None and not (streaming and _says_in_stream(instance)):
            raise chats.as_problem(problem)
        if not streaming:
            return await _answer(instance, talk)
    runs.take(app, 1)
    channel = Channel()
    work = _released(app, chats.stream_into(instance, talk, channel))
    return events.stream(events.with_worker(instance, channel, work, detached=False, ping_first=False))


def _says_in_stream(instance: Instance) -> bool:
    return instance.control.has("daemon_down") and not instance.release.daemon_chat_stream_is_400


async def _released(app: App, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    finally:
        app.active -= 1


async def _answer(instance: Instance, talk: Talk) -> Response:
    try:
        await chats.speak(instance, talk)
    except ModelFault as error:
        raise chats.as_problem(error) from error
    return shapes.answer(chats.blocking_body(talk), media=shapes.JSON_UTF8)


async def _flow(call: Call, payload: JsonDict) -> Response:
    instance, app = call.instance, call.app
    workflow = runs.published(app, payload.get("workflow_id"))
    streaming = payload["response_mode"] == "streaming"
    if not streaming:
        await refuse_without_redis(call)
    elif instance.control.has("redis_down"):
        return events.stream(broken_stream())
    weight = 2 if streaming else 1
    runs.take(app, weight)
    end_user = instance.end_user(app.id, str(payload["user"]))
    try:
        message, conversation, execution = _flow_run(instance, app, workflow, payload, end_user)
    except Problem as problem:
        app.active -= weight
        if not (streaming and instance.release.worker_streams) or problem.response.status_code == 404:
            raise
        event = runs.problem_event(problem) if instance.release.error_event_on_bad_run else None
        first = (events.PING, events.line(event)) if event else (events.PING,)
        return events.stream(events.silence(instance, *first))
    channel = Channel()
    if streaming and instance.release.worker_streams and instance.control.has("worker_down"):
        instance.waiting.append(lambda: _flow_work(instance, app, conversation, execution, message, channel, weight))
        return events.stream(events.silence(instance, events.PING))
    work = _flow_work(instance, app, conversation, execution, message, channel, weight)
    if not streaming:
        return await _flow_blocking(instance, app, execution, message, work)
    detached = instance.release.worker_streams
    return events.stream(events.with_worker(instance, channel, work, detached=detached, ping_first=True))


def _flow_run(
    instance: Instance, app: App, workflow: Workflow, payload: JsonDict, end_user: EndUser
) -> tuple[Message, Conversation, Execution]:
    form = runs.start_form(workflow)
    inputs = runs.checked_inputs(form, payload.get("inputs") or {})
    conversation = chats.open_conversation(instance, app, payload, inputs, end_user)
    for item in workflow.conversation_list:
        conversation.variables.setdefault(item["name"], _variable(instance, item))
    message = chats.add_message(instance, conversation, str(payload["query"]), inputs)
    order = runs.Order(
        app=app, workflow=workflow, inputs=payload.get("inputs") or {}, end_user=end_user, query=message.query,
        conversation=conversation, message=message,
    )  # fmt: skip
    execution = runs.prepare(instance, order)
    message.run_id = execution.run.id
    return message, conversation, execution


def _variable(instance: Instance, item: JsonDict) -> JsonDict:
    names = ("id", "name", "value_type", "value", "description")
    return {**{name: item[name] for name in names}, "created_at": instance.now(), "updated_at": instance.now()}


async def _flow_work(
    instance: Instance, app: App, conversation: Conversation, execution: Execution, message: Message,
    channel: Channel, weight: int,
) -> None:  # fmt: skip
    try:
        async for event in execution.events():
            if event.name == "workflow_finished":
                _settle(instance, conversation, execution, message, event)
                if instance.release.flow_message_end and event.data["status"] in ("succeeded", "partial-succeeded"):
                    channel.put(_message_end(message))
            channel.put(runs.envelope(execution, event, message))
    finally:
        instance.tasks.pop(message.task_id, None)
        app.active -= weight
        channel.close()


def _settle(
    instance: Instance, conversation: Conversation, execution: Execution, message: Message, event: Event
) -> None:
    message.answer = str(event.data["outputs"].get("answer", ""))
    message.latency, message.finished = event.data["elapsed_time"], True
    if event.data["status"] == "failed":
        message.status, message.error = "error", event.data["error"]
    usages = execution.run.usages
    message.usage = usages[-1] if usages else None
    if usages:
        message.message_tokens = sum(item["prompt_tokens"] for item in usages)
        message.answer_tokens = sum(item["completion_tokens"] for item in usages)
        message.price = usages[-1]["total_price"]
    for (node_id, name), value in execution.pool.values.items():
        if node_id == "conversation" and name in conversation.variables:
            conversation.variables[name] |= {"value": value, "updated_at": instance.now()}


def _message_end(message: Message) -> JsonDict:
    usage = message.usage or no_usage(message.latency)
    return {
        "event": "message_end", "conversation_id": message.conversation_id, "message_id": message.id,
        "created_at": message.created_at, "task_id": message.task_id, "id": message.id,
        "metadata": {**chats.NO_METADATA, "usage": usage}, "files": [],
    }  # fmt: skip


async def _flow_blocking(
    instance: Instance, app: App, execution: Execution, message: Message, work: Coroutine[Any, Any, None]
) -> Response:
    """Answer a blocking chatflow call; 1.13.0 never does: it pings once and is silent for five minutes."""
    if instance.release.flow_blocking_hangs:
        instance.spawn(work)
        return events.stream(events.silence(instance, events.PING))
    await work
    run = execution.run
    if run.status == "failed":
        raise shapes.invalid_param(run.error or "")
    usage = plain_prices(message.usage or no_usage(message.latency))
    body = {
        "event": "message", "task_id": message.task_id, "id": message.id, "message_id": message.id,
        "conversation_id": message.conversation_id, "mode": app.mode, "answer": message.answer,
        "metadata": {**chats.NO_METADATA, "usage": usage}, "created_at": message.created_at,
    }  # fmt: skip
    return shapes.answer(body, media=shapes.JSON_UTF8)


def run_chatflow_draft(call: Call) -> Response:
    """Run the draft of a chatflow as an event stream."""
    instance, app = call.instance, flow_app(call, ("advanced-chat",))
    payload = call.json()
    if app.draft is None:
        raise shapes.invalid_param("Workflow not initialized")
    query = str(call.require(payload, "query", "AdvancedChatWorkflowRunPayload"))
    now = instance.now()
    conversation = Conversation(
        id=instance.new_id(), app_id=app.id, name=query[:20], summary=query, inputs=payload.get("inputs") or {},
        created_at=now, updated_at=now, account=call.actor,
    )  # fmt: skip
    message = chats.add_message(instance, conversation, query, {})
    for item in app.draft.conversation_list:
        conversation.variables[item["name"]] = _variable(instance, item)
    order = runs.Order(
        app=app, workflow=app.draft, inputs=payload.get("inputs") or {}, triggered_from="debugging",
        account=call.actor, query=query, conversation=conversation, message=message,
    )  # fmt: skip
    execution, channel = runs.prepare(instance, order), Channel()
    work = _flow_work(instance, app, conversation, execution, message, channel, 0)
    return events.stream(events.with_worker(instance, channel, work, detached=True, ping_first=True))


ROUTES = (
    Route("POST", f"{API}/chat-messages", chat, "app"),
    Route("POST", f"{API}/chat-messages/{{task_id}}/stop", stop, "app"),
    Route("POST", f"{API}/completion-messages", complete, "app"),
    Route("POST", f"{API}/completion-messages/{{task_id}}/stop", stop, "app"),
    Route("POST", "/console/api/apps/{app_id:uuid}/advanced-chat/workflows/draft/run", run_chatflow_draft,
          role="editor"),
)  # fmt: skip
