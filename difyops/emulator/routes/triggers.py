"""Triggers of published workflows and the public webhook addresses they listen on."""

from __future__ import annotations

import json

from starlette.responses import Response

from difyops.emulator import runs, shapes
from difyops.emulator.routes.console_workflows import flow_app
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import App, Trigger, Webhook
from difyops.emulator.versions import Release

APP = "/console/api/apps/{app_id:uuid}"
_DETACHED = (
    "1 validation error for WorkflowTriggerResponse\nupdated_at\n  Error extracting attribute: DetachedInstanceError: "
    "Instance <AppTrigger> is not bound to a Session; attribute refresh operation cannot proceed "
    "[type=get_attribute_error, input_value=<AppTrigger>, input_type=AppTrigger]"
)


def _has_triggers(release: Release) -> bool:
    return release.triggers


def list_triggers(call: Call) -> Response:
    """List the triggers of a workflow; none before the first publication. A chatflow gets a 404, as any other mode."""
    app = flow_app(call, ("workflow",))
    return shapes.answer({"data": [trigger.shown() for trigger in app.triggers.values()]})


def enable_trigger(call: Call) -> Response:
    """Switch a trigger; the newest release answers 400 although it did."""
    payload = call.json()
    wanted = call.require(payload, "trigger_id", "ParserEnable")
    trigger = next((item for item in call.app.triggers.values() if item.id == wanted), None)
    if trigger is None:
        raise shapes.not_found_with_help(call.path, "Trigger not found")
    trigger.enabled = bool(call.require(payload, "enable_trigger", "ParserEnable"))
    if call.instance.release.trigger_enable_is_400:
        raise shapes.invalid_param(_DETACHED)
    return shapes.answer(trigger.shown())


def show_webhook(call: Call) -> Response:
    """Return the address of a webhook node, before its first publication too."""
    hook = call.app.webhooks.get(call.query("node_id"))
    if hook is None:
        raise shapes.not_found_with_help(call.path, "Webhook trigger not found for this node.")
    base = call.instance.base_url
    return shapes.answer(
        {
            "id": hook.id,
            "webhook_id": hook.webhook_id,
            "webhook_url": f"{base}/triggers/webhook/{hook.webhook_id}",
            "webhook_debug_url": f"{base}/triggers/webhook-debug/{hook.webhook_id}",
            "node_id": hook.node_id,
            "created_at": hook.created_at,
        }
    )


async def call_webhook(call: Call) -> Response:
    """Start a run from outside, without authentication; the answer is the node's and comes at once."""
    app, hook = _hooked(call, call.params["webhook_id"])
    trigger = app.triggers.get(hook.node_id)
    if trigger is None or app.live is None:
        raise shapes.html_404(f"Webhook not found: {hook.webhook_id}")
    if not trigger.enabled:
        raise shapes.html_404(f"Webhook trigger is disabled for webhook {hook.webhook_id}")
    node = next(item for item in app.live.graph["nodes"] if item["id"] == hook.node_id)
    inputs = _read(call, node["data"])
    _start(call, app, trigger, inputs)
    return _node_answer(node["data"])


async def call_debug_webhook(call: Call) -> Response:
    """Answer as the webhook does; nobody listens in an editor here, so nothing is started."""
    app, hook = _hooked(call, call.params["webhook_id"])
    graph = app.draft.graph if app.draft else {}
    node = next((item for item in graph.get("nodes") or () if item["id"] == hook.node_id), None)
    if node is None:
        raise shapes.html_404(f"Webhook not found: {hook.webhook_id}")
    _read(call, node["data"])
    return _node_answer(node["data"])


def _node_answer(data: JsonDict) -> Response:
    body = data.get("response_body") or '{"status":"success","message":"Webhook processed successfully"}'
    return Response(body, int(data.get("status_code") or 200), media_type=shapes.JSON)


def _hooked(call: Call, webhook_id: str) -> tuple[App, Webhook]:
    for app in call.instance.apps.values():
        for hook in app.webhooks.values():
            if hook.webhook_id == webhook_id:
                return app, hook
    raise shapes.html_404(f"Webhook not found: {webhook_id}")


def _read(call: Call, data: JsonDict) -> JsonDict:
    wanted, method = str(data.get("method", "POST")).upper(), call.request.method
    if method != wanted:
        raise _bad(f"HTTP method mismatch. Expected {wanted}, got {method}")
    kind = call.request.headers.get("content-type", "").split(";")[0].strip()
    expected = str(data.get("content_type", ""))
    if expected and method not in ("GET", "HEAD") and kind != expected:
        raise _bad(f"Content-type mismatch. Expected {expected}, got {kind}")
    try:
        body = json.loads(call.body) if call.body and expected == "application/json" else {}
    except ValueError:
        raise _bad("Invalid JSON body") from None
    inputs = {**_declared(data, "params", dict(call.request.query_params)), **_declared(data, "body", body)}
    return {**inputs, **_declared(data, "headers", dict(call.request.headers))}


def _declared(data: JsonDict, part: str, given: JsonDict) -> JsonDict:
    found: JsonDict = {}
    for item in data.get(part) or []:
        name = item["name"]
        value = given.get(name.lower() if part == "headers" else name)
        if value is None and item.get("required"):
            label = {"params": "parameter", "body": "body parameter", "headers": "header"}[part]
            raise _bad(f"Required {label} missing: {name}")
        found[name.replace("-", "_")] = value
    return found


def _bad(message: str) -> shapes.Problem:
    return shapes.Problem(shapes.answer({"error": "Bad Request", "message": message}, 400))


def _start(call: Call, app: App, trigger: Trigger, inputs: JsonDict) -> None:
    instance = call.instance
    if app.live is None:
        return
    order = runs.Order(
        app=app, workflow=app.live, inputs=inputs, triggered_from="webhook", root=trigger.node_id,
        end_user=instance.end_user(app.id, "DEFAULT-USER", "trigger"),
    )  # fmt: skip
    execution = runs.prepare(instance, order)
    if instance.release.worker_streams and instance.control.has("worker_down"):
        instance.waiting.append(lambda: runs.perform(execution))
    else:
        instance.spawn(runs.perform(execution))


ROUTES = (
    Route("GET", f"{APP}/triggers", list_triggers, when=_has_triggers),
    Route("POST", f"{APP}/trigger-enable", enable_trigger, "console", "editor", _has_triggers),
    Route("GET", f"{APP}/workflows/triggers/webhook", show_webhook, "console", "editor", _has_triggers),
    Route("GET|POST|PUT|PATCH|DELETE", "/triggers/webhook/{webhook_id}", call_webhook, "hook", "any", _has_triggers),
    Route(
        "GET|POST|PUT|PATCH|DELETE",
        "/triggers/webhook-debug/{webhook_id}",
        call_debug_webhook,
        "hook",
        "any",
        _has_triggers,
    ),
)
