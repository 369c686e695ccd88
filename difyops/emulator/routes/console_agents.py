"""Agent apps in the console (1.15 and newer): list, detail, composer, versions, API access. Ids are the agents' own."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from difyops.emulator import agents, record_views, shapes, views
from difyops.emulator.agents import Agent, AgentVersion
from difyops.emulator.routes import console_apps, console_keys
from difyops.emulator.routing import Call, Handler, Route
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import App
from difyops.emulator.versions import Release

API = "/console/api/agent"
ONE = f"{API}/{{agent_id:uuid}}"
SAVE = "save_to_current_version"
_STRATEGIES = "'node_job_only', 'save_to_current_version', 'save_as_new_version', 'save_as_new_agent' or"
_ENDPOINTS = {
    "chat_endpoint": "chat-messages", "stop_endpoint": "chat-messages/{task_id}/stop",
    "conversations_endpoint": "conversations", "messages_endpoint": "messages", "files_upload_endpoint": "files/upload",
    "parameters_endpoint": "parameters", "info_endpoint": "info", "meta_endpoint": "meta",
}  # fmt: skip


def _found(call: Call) -> tuple[App, Agent]:
    wanted = call.params["agent_id"]
    for app in call.instance.apps.values():
        if app.agent is not None and app.agent.id == wanted:
            call.app = app
            return app, app.agent
    raise shapes.not_found("Agent not found.", "agent_not_found_error")


def list_agents(call: Call) -> Response:
    """List the agents, newest first."""
    page, limit = call.number("page", 1, model="AgentListQuery"), call.number("limit", 20, model="AgentListQuery")
    found = [app for app in call.instance.apps_newest_first() if app.agent is not None]
    start = (page - 1) * limit
    rows = [_row(call, app) for app in found[start : start + limit]]
    head = {"page": page, "limit": limit, "total": len(found), "has_more": start + limit < len(found)}
    return shapes.answer({**head, "data": rows})


def _row(call: Call, app: App) -> JsonDict:
    row = {**json.loads(views.app_row(call.instance, app)), **_about(app), "has_draft_trigger": None}
    row.pop("bound_agent_id")
    references = {"reference_count": 0, "published_reference_count": 0, "published_references": []}
    published = {"active_config_is_published": bool(app.agent and app.agent.is_published)}
    return {**row, **published, **references}


def _about(app: App) -> JsonDict:
    agent = app.agent
    if agent is None:
        return {}
    ids = {"id": agent.id, "app_id": app.id, "backing_app_id": app.id, "hidden_app_backed": False}
    shown = {"permission_keys": [], "role": agent.role, "debug_conversation_id": agent.debug_conversation_id}
    return {**ids, **shown}


def _detail(call: Call, app: App) -> JsonDict:
    body = {**json.loads(views.app_detail(call.instance, app)), **_about(app)}
    body.pop("bound_agent_id")
    return {**body, "debug_conversation_has_messages": False, "debug_conversation_message_count": 0}


def create(call: Call) -> Response:
    """Create an agent: 201; only a name is needed."""
    payload = call.json()
    name = str(call.require(payload, "name", "AgentAppCreatePayload"))
    more = {key: payload.get(key) for key in ("description", "icon", "icon_type", "icon_background")}
    app = agents.new_agent(call.instance, call.actor, name=name, role=payload.get("role") or "", **more)
    return shapes.answer(_detail(call, app), 201)


def show(call: Call) -> Response:
    """Return one agent."""
    return shapes.answer(_detail(call, _found(call)[0]))


def update(call: Call) -> Response:
    """Change name, description, role and icon."""
    app, agent = _found(call)
    payload = call.json()
    agent.role = payload.get("role") or ""
    console_apps.update(call)
    return shapes.answer(_detail(call, app))


def delete(call: Call) -> Response:
    """Delete the agent and its app."""
    _found(call)
    return console_apps.delete(call)


def copy(call: Call) -> Response:
    """Copy an agent: 201, unpublished."""
    app, _ = _found(call)
    payload = {key: value for key, value in call.json_or_empty().items() if value}
    return shapes.answer(_detail(call, agents.copied(call.instance, call.actor, app, **payload)), 201)


def composer(call: Call) -> Response:
    """Return the draft and what is live."""
    return shapes.answer(_state(*_found(call)))


def _state(app: App, agent: Agent) -> JsonDict:
    names = ("name", "description", "icon_type", "icon", "icon_background")
    about = {
        "id": agent.id, **{name: getattr(app, name) for name in names}, "role": agent.role, "scope": "roster",
        "source": agent.source, "status": "active", "app_id": app.id, "backing_app_id": app.id,
        "hidden_app_backed": False, "active_config_snapshot_id": agent.live_id,
    }  # fmt: skip
    blank: JsonDict = {"agent_id": None, "display_version": None, "snapshot_version": None, "summary": None}
    return {
        "variant": "agent_app", "agent": about, "active_config_snapshot": {**_brief(agent.live), **blank},
        "active_config_is_published": agent.is_published, "draft": _draft(agent), "agent_soul": agent.soul,
        "save_options": [SAVE], "validation": None, "app_id": app.id, "backing_app_id": app.id,
        "hidden_app_backed": False, "chat_endpoint": f"{API}/{agent.id}/chat-messages",
    }  # fmt: skip


def _draft(agent: Agent) -> JsonDict:
    person = agent.created_by.id
    return {
        "id": agent.draft_id, "agent_id": agent.id, "draft_type": "draft", "account_id": None,
        "base_snapshot_id": agent.base, "created_by": person, "updated_by": person, "created_at": agent.created_at,
        "updated_at": agent.updated_at,
    }  # fmt: skip


def _brief(version: AgentVersion) -> JsonDict:
    return {
        "id": version.id,
        "version": version.number,
        "version_note": version.note,
        "created_by": version.created_by.id,
        "created_at": version.created_at,
    }


def save(call: Call) -> Response:
    """Replace the draft: no hash, no lock, the last one wins."""
    app, agent = _found(call)
    payload = call.json()
    strategy = payload.get("save_strategy")
    if strategy != SAVE:
        if strategy not in ("save_as_new_version", "save_as_new_agent", "save_to_roster", "node_job_only"):
            text = f"Input should be {_STRATEGIES} 'save_to_roster'"
            raise shapes.validation("ComposerSavePayload", "save_strategy", text, "enum", strategy)
        text = "Agent App composer only saves the normal draft. Use the publish endpoint to create a version."
        raise shapes.invalid_param(text)
    if payload.get("agent_soul") is None:
        raise shapes.invalid_param("agent_soul is required")
    agents.save(call.instance, app, payload["agent_soul"])
    findings: JsonDict = {"warnings": [], "knowledge_retrieval_placeholder": []}
    return shapes.answer({**_state(app, agent), "validation": findings})


def validate(call: Call) -> Response:
    """Find nothing to complain of."""
    _found(call)
    call.json()
    return shapes.answer({"result": "success", "errors": [], "warnings": [], "knowledge_retrieval_placeholder": []})


def publish(call: Call) -> Response:
    """Publish the draft: the answer names the version."""
    app, agent = _found(call)
    version = agents.publish(call.instance, app, call.actor, call.json_or_empty().get("version_note"))
    body = {"active_config_snapshot_id": version.id, "active_config_snapshot": _brief(version)}
    return shapes.answer({"result": "success", **body, "draft": _draft(agent)})


def list_versions(call: Call) -> Response:
    """List the published versions, newest first, without paging; their numbers leave the hidden one out."""
    _, agent = _found(call)
    return shapes.answer({"data": [_listed(agent, version) for version in agent.shown]})


def _listed(agent: Agent, version: AgentVersion) -> JsonDict:
    number = len(agent.shown) - agent.shown.index(version)
    more = {"agent_id": agent.id, "display_version": number, "snapshot_version": version.number, "summary": None}
    return {**_brief(version), **more, "version": number}


def _version(call: Call, agent: Agent) -> AgentVersion:
    for version in agent.shown:
        if version.id == call.params["version_id"]:
            return version
    raise shapes.not_found("Agent config version not found.", "agent_version_not_found_error")


def show_version(call: Call) -> Response:
    """Return one version with its whole soul, secrets in clear."""
    _, agent = _found(call)
    version = _version(call, agent)
    revision = {
        "id": version.revision_id, "previous_snapshot_id": version.before, "current_snapshot_id": version.id,
        "revision": version.number, "operation": version.operation, "summary": None, "version_note": version.note,
        "created_by": version.created_by.id, "created_at": version.created_at,
    }  # fmt: skip
    return shapes.answer({**_listed(agent, version), "config_snapshot": version.soul, "revisions": [revision]})


def restore(call: Call) -> Response:
    """Copy a version into the draft; what is live stays live."""
    app, agent = _found(call)
    version = _version(call, agent)
    agents.save(call.instance, app, version.soul)
    agent.base = version.id
    ids = {"active_config_snapshot_id": agent.live_id, "draft_config_id": agent.draft_id}
    return shapes.answer({"result": "success", **ids, "restored_version_id": version.id})


def api_access(call: Call) -> Response:
    """Return whether the service API is on, and its addresses."""
    return _access(call, _found(call)[0])


def _access(call: Call, app: App) -> Response:
    base = f"{call.instance.base_url}/v1"
    body: JsonDict = {"enabled": app.enable_api, "service_api_base_url": base, "streaming_only": True}
    body |= {name: f"{base}/{path}" for name, path in _ENDPOINTS.items()}
    return shapes.answer({**body, "api_rpm": 0, "api_rph": 0, "api_key_count": len(app.keys)})


def enable_api(call: Call) -> Response:
    """Switch the service API."""
    app, _ = _found(call)
    console_apps.enable_api(call)
    return _access(call, app)


def log_messages(call: Call) -> Response:
    """List what callers asked in one conversation, newest first; nothing of a conversation that is no caller's."""
    app, _ = _found(call)
    page, limit = (
        call.number("page", 1, model="AgentLogsQuery"),
        call.number("limit", 20, model="AgentLogsQuery", high=100),
    )
    found = app.conversations.get(call.params["conversation_id"])
    messages = [item for item in found.messages if item.end_user] if found is not None and not found.deleted else []
    rows = [record_views.agent_log_row(item) for item in reversed(messages)][limit * (page - 1) : limit * page]
    more = limit * page < len(messages)
    return shapes.answer({"data": rows, "page": page, "limit": limit, "total": len(messages), "has_more": more})


def _of_app(handler: Handler) -> Handler:
    """Return a handler of apps that finds its app by the agent's id."""

    def handle(call: Call) -> Any:
        _found(call)
        return handler(call)

    return handle


def _has_agents(release: Release) -> bool:
    return release.agents


ROUTES = tuple(
    Route(method, path, handler, role=role, when=_has_agents)
    for method, path, handler, role in (
        ("GET", API, list_agents, "any"),
        ("POST", API, create, "editor"),
        ("GET", ONE, show, "any"),
        ("PUT", ONE, update, "editor"),
        ("DELETE", ONE, delete, "editor"),
        ("POST", f"{ONE}/copy", copy, "editor"),
        ("GET", f"{ONE}/composer", composer, "any"),
        ("PUT", f"{ONE}/composer", save, "editor"),
        ("POST", f"{ONE}/composer/validate", validate, "editor"),
        ("POST", f"{ONE}/publish", publish, "editor"),
        ("GET", f"{ONE}/versions", list_versions, "any"),
        ("GET", f"{ONE}/versions/{{version_id:uuid}}", show_version, "any"),
        ("POST", f"{ONE}/versions/{{version_id:uuid}}/restore", restore, "editor"),
        ("GET", f"{ONE}/logs/{{conversation_id:uuid}}/messages", log_messages, "any"),
        ("GET", f"{ONE}/api-access", api_access, "any"),
        ("POST", f"{ONE}/api-enable", enable_api, "admin"),
        ("GET", f"{ONE}/api-keys", _of_app(console_keys.list_app_keys), "any"),
        ("POST", f"{ONE}/api-keys", _of_app(console_keys.create_app_key), "editor"),
        ("DELETE", f"{ONE}/api-keys/{{key_id:uuid}}", _of_app(console_keys.delete_app_key), "admin"),
    )
)
