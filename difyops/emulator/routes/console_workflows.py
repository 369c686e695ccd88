"""Drafts, variables, publishing, versions, restore and draft runs."""

from __future__ import annotations

import uuid

from starlette.responses import Response

from difyops.emulator import events, publishing, record_views, runs, shapes, views
from difyops.emulator.dsl_text import MISSING_DRAFT
from difyops.emulator.events import Channel
from difyops.emulator.nodes import NodeFault, Pool, Result, execute
from difyops.emulator.records import NodeRun, Run
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import App, Workflow

APP = "/console/api/apps/{app_id:uuid}"
FLOWS = f"{APP}/workflows"
DRAFT = f"{FLOWS}/draft"
_FLOWS_ONLY = ("workflow", "advanced-chat")
_NAME_LIMIT, _COMMENT_LIMIT = 20, 100


def flow_app(call: Call, modes: tuple[str, ...] = _FLOWS_ONLY) -> App:
    """Return the app when it has one of ``modes``.

    Raises:
        Problem: 404 ``app_not_found`` with the list of modes in the text.
    """
    if call.app.mode not in modes:
        shown = "{" + ", ".join(f"'{mode}'" for mode in modes) + "}"
        text = f"App mode is not in the supported list: {shown}."
        raise shapes.not_found_with_help(call.path, text, "app_not_found")
    return call.app


def draft_of(call: Call) -> Workflow:
    """Return the draft.

    Raises:
        Problem: 404 ``draft_workflow_not_exist``.
    """
    draft = flow_app(call).draft
    if draft is None:
        text = "Draft workflow need to be initialized."
        raise shapes.not_found_with_help(call.path, text, "draft_workflow_not_exist")
    return draft


def show_draft(call: Call) -> Response:
    """Return the draft; secrets as stars."""
    return shapes.raw(views.workflow_body(draft_of(call)))


def save_draft(call: Call) -> Response:
    """Replace the draft when ``hash`` is its hash; variables that are left out are deleted."""
    instance, app = call.instance, flow_app(call)
    payload = call.json(text_too=True)
    graph = call.require(payload, "graph", "SyncDraftWorkflowPayload")
    features = call.require(payload, "features", "SyncDraftWorkflowPayload")
    stored = app.draft
    if stored is not None and instance.control.has("busy_editor"):
        publishing.touch_elsewhere(instance, stored)
    env = _read(call, payload.get("environment_variables"), stored.env_list if stored else [], "env")
    conversation = _read(
        call, payload.get("conversation_variables"), stored.conversation_list if stored else [], "conversation"
    )
    if stored is not None and payload.get("hash") != stored.hash:
        raise shapes.problem("draft_workflow_not_sync", publishing.NOT_SYNC, 409)
    publishing.check_nodes(instance, graph)
    draft = publishing.save_draft(
        instance, app, call.actor, graph=graph, features=features, env=env, conversation=conversation
    )
    return shapes.answer({"result": "success", "hash": draft.hash, "updated_at": draft.updated_at})


def _read(call: Call, wanted: object, stored: list[JsonDict], prefix: str) -> list[JsonDict]:
    items = wanted if isinstance(wanted, list) else []
    keep = call.instance.release.stars_keep_secret
    return publishing.read_variables(call.instance, items, stored, stars_keep=keep, prefix=prefix)


def environment_variables(call: Call) -> Response:
    """Return the draft's environment variables, secrets in clear."""
    items = [
        {
            "id": item["id"], "type": "env", "name": item["name"], "description": item["description"],
            "selector": ["env", item["name"]], "value_type": views.exposed_type(item["value_type"]),
            "value": item["value"], "edited": False, "visible": True, "editable": True,
        }
        for item in draft_of(call).env_list
    ]  # fmt: skip
    return shapes.answer({"items": items})


def post_environment_variables(call: Call) -> Response:
    """Replace the whole list without a hash; here the stars do become the secret."""
    draft = draft_of(call)
    wanted = call.require(call.json(), "environment_variables", "EnvironmentVariableUpdatePayload")
    draft.env_list = publishing.read_variables(call.instance, wanted, draft.env_list, stars_keep=False)
    draft.changed()
    return shapes.success()


def conversation_variables(call: Call) -> Response:
    """Return the draft's conversation variables with their defaults."""
    items = [
        {
            "id": call.instance.new_id(), "type": "conversation", "name": item["name"],
            "description": item["description"], "selector": ["conversation", item["name"]],
            "value_type": views.exposed_type(item["value_type"]), "edited": False, "visible": True,
            "is_truncated": False, "value": item["value"], "full_content": None,
        }
        for item in draft_of(call).conversation_list
    ]  # fmt: skip
    return shapes.answer({"items": items})


def post_conversation_variables(call: Call) -> Response:
    """Replace the whole list of conversation variables (chatflows only)."""
    flow_app(call, ("advanced-chat",))
    draft = draft_of(call)
    wanted = call.require(call.json(), "conversation_variables", "ConversationVariableUpdatePayload")
    draft.conversation_list = publishing.read_variables(
        call.instance, wanted, draft.conversation_list, stars_keep=False, prefix="conversation"
    )
    draft.changed()
    return shapes.success()


def post_features(call: Call) -> Response:
    """Replace the features without a hash."""
    draft = draft_of(call)
    draft.store_graph(draft.graph, call.require(call.json(), "features", "WorkflowFeaturesPayload"))
    return shapes.success()


def no_variables(call: Call) -> Response:
    """Return the debug variables of the draft: none are kept."""
    draft_of(call)
    total = {"total": 0} if call.path.endswith("/draft/variables") else {}
    return shapes.answer({"items": [], **total})


def published(call: Call) -> Response:
    """Return the live version; without one, null or an object of nulls by release."""
    live = flow_app(call).live
    if live is None:
        return shapes.answer(None if call.instance.release.unpublished_is_null else views.EMPTY_WORKFLOW)
    return shapes.raw(views.workflow_body(live))


def publish(call: Call) -> Response:
    """Publish the draft as a new version: the answer has no version id."""
    payload = call.json()
    app = flow_app(call)
    name, comment = _marks(payload, "PublishWorkflowPayload")
    version = publishing.publish(call.instance, app, call.actor, name or "", comment or "")
    return shapes.answer({"result": "success", "created_at": version.created_at})


def _marks(payload: JsonDict, model: str) -> tuple[str | None, str | None]:
    name, comment = payload.get("marked_name"), payload.get("marked_comment")
    if name and len(name) > _NAME_LIMIT:
        raise shapes.too_long(model, "marked_name", _NAME_LIMIT, name)
    if comment and len(comment) > _COMMENT_LIMIT:
        raise shapes.too_long(model, "marked_comment", _COMMENT_LIMIT, comment)
    return name, comment


def list_versions(call: Call) -> Response:
    """List the draft and all versions, newest first, whole graphs; ``named_only`` leaves the unnamed out."""
    app = flow_app(call)
    page = call.number("page", 1, model="WorkflowListQuery", high=99999)
    limit = call.number("limit", 10, model="WorkflowListQuery", high=100)
    found = [*([app.draft] if app.draft else []), *reversed(app.versions)]
    if call.flag("named_only"):
        found = [version for version in found if version.marked_name]
    start = (page - 1) * limit
    items = b",".join(views.workflow_body(version) for version in found[start : start + limit])
    tail = shapes.dumps({"page": page, "limit": limit, "has_more": start + limit < len(found)})[1:]
    return shapes.raw(b'{"items":[' + items + b"]," + tail)


def _version(call: Call) -> Workflow | None:
    app = flow_app(call)
    wanted = call.params["workflow_id"]
    if app.draft is not None and app.draft.id == wanted:
        return app.draft
    return app.version_by_id(wanted)


def mark_version(call: Call) -> Response:
    """Name or comment a version."""
    payload = call.json()
    name, comment = _marks(payload, "WorkflowUpdatePayload")
    version = _version(call)
    if "marked_name" not in payload and "marked_comment" not in payload:
        if call.instance.release.empty_patch_is_message:
            raise shapes.bare_message("No valid fields to update", 400)
        return shapes.answer(views.EMPTY_WORKFLOW, 400)
    if version is None:
        raise shapes.not_found("Workflow not found")
    version.marked_name = name if name is not None else version.marked_name
    version.marked_comment = comment if comment is not None else version.marked_comment
    version.updated_by, version.updated_at = call.actor, call.instance.now()
    version.cache.pop("body", None)
    return shapes.raw(views.workflow_body(version))


def delete_version(call: Call) -> Response:
    """Delete a version that is neither live nor the draft."""
    app, version = flow_app(call), _version(call)
    if version is None:
        raise shapes.not_found(f"Workflow with ID {call.params['workflow_id']} not found")
    if version is app.draft:
        raise shapes.problem("bad_request", "Cannot delete draft workflow versions", 400)
    if version is app.live:
        text = f"Cannot delete workflow that is currently in use by app '{app.id}'"
        raise shapes.problem("bad_request", text, 400)
    app.versions.remove(version)
    return shapes.empty()


def restore(call: Call) -> Response:
    """Copy a version, secrets included, into the draft; no hash is asked for."""
    app = flow_app(call)
    try:
        uuid.UUID(call.params["workflow_id"])
    except ValueError:
        raise shapes.internal_error() from None
    version = _version(call)
    if version is None:
        raise shapes.not_found("Workflow not found.")
    if version is app.draft:
        raise shapes.problem("bad_request", "source workflow must be published", 400)
    draft = publishing.restore(call.instance, app, call.actor, version)
    return shapes.answer({"result": "success", "hash": draft.hash, "updated_at": draft.updated_at})


def run_draft(call: Call) -> Response:
    """Run the draft of a workflow app as an event stream."""
    instance, payload = call.instance, call.json()
    app = flow_app(call, ("workflow",))
    if app.draft is None:
        raise shapes.invalid_param(MISSING_DRAFT)
    order = runs.Order(
        app=app, workflow=app.draft, inputs=payload.get("inputs") or {}, triggered_from="debugging",
        account=call.actor,
    )  # fmt: skip
    execution, channel = runs.prepare(instance, order), Channel()
    work = runs.perform(execution, channel)
    return events.stream(events.with_worker(instance, channel, work, detached=True, ping_first=True))


async def run_node(call: Call) -> Response:
    """Run one node of the draft with the inputs given."""
    instance, app = call.instance, call.app
    draft = draft_of(call)
    node = next((item for item in draft.graph.get("nodes") or [] if item["id"] == call.params["node_id"]), None)
    if node is None:
        raise shapes.invalid_param(f"Node not found: {call.params['node_id']}")
    inputs = call.json().get("inputs") or {}
    pool = _node_pool(draft, node["data"], inputs)
    row = NodeRun(
        id=instance.new_id(), index=1, node_id=node["id"], node_type=node["data"]["type"],
        title=node["data"].get("title", ""), created_at=instance.now(), started=instance.moment(),
    )  # fmt: skip
    await _execute_node(call, node["data"], pool, row)
    row.inputs = inputs
    app.node_runs[node["id"]] = shapes.dumps(_node_body(call, draft, row))
    return shapes.raw(app.node_runs[node["id"]])


async def _execute_node(call: Call, data: JsonDict, pool: Pool, row: NodeRun) -> None:
    try:
        async for piece in execute(call.instance, data, pool):
            if isinstance(piece, Result):
                row.status, row.outputs = "succeeded", piece.outputs
    except NodeFault as error:
        row.status, row.error, row.outputs = "failed", error.text, None
    row.elapsed_time = call.instance.moment() - row.started
    row.finished_at = call.instance.now()


def _node_pool(draft: Workflow, data: JsonDict, inputs: JsonDict) -> Pool:
    pool = Pool()
    pool.put("env", draft.env)
    for item in data.get("variables") or []:
        selector = item.get("value_selector")
        if selector and item["variable"] in inputs:
            pool.values[(selector[0], selector[1])] = inputs[item["variable"]]
    for name, value in inputs.items():
        node_id, _, variable = name.strip("#").partition(".")
        if variable:
            pool.values[(node_id, variable)] = value
    return pool


def _node_body(call: Call, draft: Workflow, row: NodeRun) -> JsonDict:
    run = Run(
        id="", task_id="", app_id=call.app.id, workflow_id=draft.id, version="draft", graph_text="",
        triggered_from="debugging", inputs={}, created_at=row.created_at, started=row.started, account=call.actor,
    )  # fmt: skip
    return {**record_views.node_execution(run, row), "process_data": None}


def last_node_run(call: Call) -> Response:
    """Return what the node's last single run gave."""
    body = call.app.node_runs.get(call.params["node_id"])
    if body is None:
        raise shapes.not_found_with_help(call.path, "last run not found")
    return shapes.raw(body)


ROUTES = (
    Route("GET", DRAFT, show_draft, role="editor"),
    Route("POST", DRAFT, save_draft, role="editor"),
    Route("GET", f"{DRAFT}/environment-variables", environment_variables, role="editor"),
    Route("POST", f"{DRAFT}/environment-variables", post_environment_variables, "console", "editor",
          lambda release: release.draft_variable_posts),
    Route("GET", f"{DRAFT}/conversation-variables", conversation_variables, role="editor"),
    Route("POST", f"{DRAFT}/conversation-variables", post_conversation_variables, "console", "editor",
          lambda release: release.draft_variable_posts),
    Route("POST", f"{DRAFT}/features", post_features, "console", "editor",
          lambda release: release.draft_variable_posts),
    Route("GET", f"{DRAFT}/system-variables", no_variables, role="editor"),
    Route("GET", f"{DRAFT}/variables", no_variables, role="editor"),
    Route("POST", f"{DRAFT}/run", run_draft, role="editor"),
    Route("POST", f"{DRAFT}/nodes/{{node_id}}/run", run_node, role="editor"),
    Route("GET", f"{DRAFT}/nodes/{{node_id}}/last-run", last_node_run, role="editor"),
    Route("GET", f"{FLOWS}/publish", published, role="editor"),
    Route("POST", f"{FLOWS}/publish", publish, role="editor"),
    Route("GET", FLOWS, list_versions, role="editor"),
    Route("PATCH", f"{FLOWS}/{{workflow_id}}", mark_version, role="editor"),
    Route("DELETE", f"{FLOWS}/{{workflow_id}}", delete_version, role="editor"),
    Route("POST", f"{FLOWS}/{{workflow_id}}/restore", restore, "console", "editor", lambda release: release.restore),
)  # fmt: skip
