"""Starting workflow runs: which version, are the inputs and the graph fit to run, and who gets to see the events.

Blocking runs happen in the request; streaming runs happen in a worker from 1.13 on, where a refusal reaches nobody.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from difyops.emulator import publishing, shapes
from difyops.emulator.events import Channel
from difyops.emulator.instance import Instance
from difyops.emulator.interpreter import Event, Execution
from difyops.emulator.model import configuration_fault
from difyops.emulator.nodes import Pool
from difyops.emulator.records import Conversation, EndUser, Message, Run, Task
from difyops.emulator.shapes import JsonDict, Problem
from difyops.emulator.store import Account, App, Workflow

_NOT_PUBLISHED = "Workflow not published"
_STARTS = ("start", "trigger-webhook", "trigger-schedule", "trigger-plugin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be run: the app, the workflow, the inputs as sent, on whose behalf."""

    app: App
    workflow: Workflow
    inputs: JsonDict
    triggered_from: str = "app-run"
    end_user: EndUser | None = None
    account: Account | None = None
    query: str | None = None
    conversation: Conversation | None = None
    message: Message | None = None
    root: str | None = None


def published(app: App, workflow_id: str | None = None) -> Workflow:
    """Return the live workflow, or the version with that id.

    Raises:
        Problem: 400 when nothing is published or the id is no UUID, 404 for an unknown id.
    """
    if not workflow_id:
        if app.live is None:
            raise shapes.invalid_param(_NOT_PUBLISHED)
        return app.live
    try:
        uuid.UUID(workflow_id)
    except ValueError:
        raise shapes.problem("bad_request", f"Invalid workflow_id format: '{workflow_id}'. ", 400) from None
    version = app.version_by_id(workflow_id)
    if version is None:
        raise shapes.not_found(f"Workflow not found with id: {workflow_id}")
    return version


def root_of(instance: Instance, workflow: Workflow) -> str:
    """Return the id of the start node; refuse graphs that cannot run.

    Raises:
        Problem: 400, with the text the release uses.
    """
    graph, modern = workflow.graph, instance.release.graph_errors_are_400
    if not isinstance(graph.get("nodes"), list) or not isinstance(graph.get("edges"), list):
        text = "nodes in workflow graph must be a list" if modern else "nodes or edges not found in workflow graph"
        raise shapes.invalid_param(text)
    starts = [node["id"] for kind in _STARTS for node in graph["nodes"] if node["data"].get("type") == kind]
    if not starts:
        text = "Unable to determine root node ID"
        raise shapes.invalid_param("Unable to determine default root node ID from workflow graph" if modern else text)
    for node in graph["nodes"]:
        _check_node(instance, node["data"], modern)
    return str(starts[0])


def _check_node(instance: Instance, data: JsonDict, modern: bool) -> None:
    kind = data.get("type")
    if kind == "llm" and "prompt_template" not in data:
        raise shapes.missing_field("LLMNodeData", "prompt_template", data)
    if not modern:
        return
    if kind and kind not in publishing.NODE_TYPES:
        raise shapes.invalid_param(f"No class mapping found for node type: {kind}")
    if kind == "llm":
        problem = configuration_fault(instance, data["model"]["provider"], data["model"]["name"])
        if problem is not None and problem.is_config:
            raise shapes.invalid_param(problem.text)


def checked_inputs(form: list[JsonDict], inputs: JsonDict) -> JsonDict:
    """Return the inputs the form declares; what is optional and not there is None.

    Raises:
        Problem: 400 "text is required in input form" and its kin.
    """
    return {item["variable"]: _checked(item, inputs.get(item["variable"])) for item in form}


def _checked(item: JsonDict, value: Any) -> Any:
    name, kind = item["variable"], item.get("type", "text-input")
    if value is None or value == "":
        if item.get("required"):
            raise shapes.invalid_param(f"{name} is required in input form")
        return item.get("default") or None
    if kind in ("text-input", "paragraph", "select") and not isinstance(value, str):
        raise shapes.invalid_param(f"(type '{kind}') {name} in input form must be a string")
    if kind == "select" and value not in item.get("options", []):
        raise shapes.invalid_param(f"{name} in input form must be one of the following: {item.get('options')}")
    limit = item.get("max_length")
    if kind in ("text-input", "paragraph") and limit and len(value) > limit:
        raise shapes.invalid_param(f"{name} in input form must be less than {limit} characters")
    return _as_number(name, value) if kind == "number" else value


def _as_number(name: str, value: object) -> object:
    if isinstance(value, int | float):
        return value
    try:
        return float(str(value)) if "." in str(value) else int(str(value))
    except ValueError:
        raise shapes.invalid_param(f"{name} in input form must be a valid number") from None


def start_form(workflow: Workflow) -> list[JsonDict]:
    """Return the variables of the start node; triggers have none."""
    for node in workflow.graph.get("nodes") or []:
        if node["data"].get("type") == "start":
            return list(node["data"].get("variables") or [])
    return []


def prepare(instance: Instance, order: Order) -> Execution:
    """Check inputs and graph, write the run's row and return the run, ready to go.

    Raises:
        Problem: 400 for inputs or graphs that do not fit.
    """
    inputs = dict(order.inputs)
    if order.root is None:
        inputs = checked_inputs(start_form(order.workflow), order.inputs)
    root = order.root or root_of(instance, order.workflow)
    run = _row(instance, order, inputs)
    task = instance.tasks.setdefault(run.task_id, Task())
    pool = _pool(order, run)
    return Execution(
        instance=instance, run=run, graph=order.workflow.graph, root=root, pool=pool, task=task,
        is_chat=order.app.mode == "advanced-chat",
    )  # fmt: skip


def _row(instance: Instance, order: Order, inputs: JsonDict) -> Run:
    app, workflow = order.app, order.workflow
    run_id = instance.new_id()
    user = order.end_user.session_id if order.end_user else (order.account or instance.owner).id
    system: JsonDict = {
        "sys.files": [], "sys.user_id": user, "sys.app_id": app.id, "sys.workflow_id": workflow.id,
        "sys.workflow_run_id": run_id,
    }  # fmt: skip
    if order.conversation is not None:
        count = len(order.conversation.messages)
        system |= {"sys.query": order.query, "sys.conversation_id": order.conversation.id, "sys.dialogue_count": count}
    else:
        system["sys.timestamp"] = instance.now()
    run = Run(
        id=run_id, task_id=order.message.task_id if order.message else instance.new_id(), app_id=app.id,
        workflow_id=workflow.id, version=workflow.version, graph_text=workflow.graph_text,
        triggered_from=order.triggered_from, inputs={**inputs, **system}, created_at=instance.now(),
        started=instance.moment(), account=order.account, end_user=order.end_user, log_id=instance.new_id(),
        logged_at=instance.now(), conversation_id=order.conversation.id if order.conversation else None,
        message_id=order.message.id if order.message else None,
    )  # fmt: skip
    app.runs.append(run)
    instance.control.count_app(app.id)
    return run


def _pool(order: Order, run: Run) -> Pool:
    pool = Pool()
    pool.put("env", order.workflow.env)
    pool.put("sys", {name[4:]: value for name, value in run.inputs.items() if name.startswith("sys.")})
    if order.conversation is not None:
        pool.put("conversation", order.conversation.values())
    return pool


def envelope(execution: Execution, event: Event, message: Message | None) -> JsonDict:
    """Return a workflow event as it is sent: with ids, and for chatflows with conversation and message."""
    run = execution.run
    head: JsonDict = {"event": event.name}
    if message is not None:
        head |= {
            "conversation_id": message.conversation_id,
            "message_id": message.id,
            "created_at": message.created_at,
        }
    if event.name != "text":
        return {**head, "workflow_run_id": run.id, "task_id": run.task_id, "data": event.data}
    if message is None:
        return {"event": "text_chunk", "workflow_run_id": run.id, "task_id": run.task_id, "data": event.data}
    text = {"answer": event.data["text"], "from_variable_selector": event.data["from_variable_selector"]}
    return {**head, "event": "message", "task_id": run.task_id, "id": message.id, **text}


async def perform(execution: Execution, channel: Channel | None = None) -> None:
    """Run a workflow to its end, sending events into ``channel``."""
    try:
        async for event in execution.events():
            if channel is not None:
                channel.put(envelope(execution, event, None))
    finally:
        execution.instance.tasks.pop(execution.run.task_id, None)
        if channel is not None:
            channel.close()


async def fire_schedules(instance: Instance) -> int:
    """Run every published app with an enabled schedule, on behalf of who published it; return how many ran."""
    fired = 0
    for app in list(instance.apps.values()):
        for trigger in app.triggers.values():
            if trigger.kind == "trigger-schedule" and trigger.enabled and app.live is not None:
                order = Order(
                    app=app, workflow=app.live, inputs={}, triggered_from="schedule", account=app.live.created_by,
                    root=trigger.node_id,
                )  # fmt: skip
                await perform(prepare(instance, order))
                fired += 1
    return fired


@contextlib.contextmanager
def slot(app: App, *, weight: int = 1) -> Iterator[None]:
    """Hold ``weight`` of the app's concurrent requests; streaming workflow runs take two.

    Raises:
        Problem: 400 when ``max_active_requests`` would be exceeded.
    """
    take(app, weight)
    try:
        yield
    finally:
        app.active -= weight


def take(app: App, weight: int) -> None:
    """Take ``weight`` slots; the caller gives them back.

    Raises:
        Problem: 400 when there are not that many left.
    """
    limit = app.max_active_requests or 0
    if limit and app.active + weight > limit:
        raise shapes.invalid_param(
            "Too many requests. Please try again later. The current maximum concurrent requests allowed "
            f"for {app.id} is {limit}."
        )
    app.active += weight


def problem_event(problem: Problem) -> JsonDict | None:
    """Return the ``error`` event the newest release sends for a refused streaming run, in one of its two shapes."""
    body = json.loads(bytes(problem.response.body))
    if "in input form" in body["message"]:
        return {"event": "error", "message": body["message"], "status": 500}
    return {
        "event": "error",
        "workflow_run_id": None,
        "code": body["code"],
        "status": body["status"],
        "message": body["message"],
    }
