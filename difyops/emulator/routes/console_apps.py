"""Apps in the console: list, detail, create, change, copy, delete, switches, model config, site, tracing."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from difyops.emulator import agents, publishing, shapes, views
from difyops.emulator.instance import Instance
from difyops.emulator.providers import OPENAI
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import AGENT_MODE, CHAT_MODES, App

API = "/console/api/apps"
ONE = f"{API}/{{app_id:uuid}}"
_MODES = ("completion", "chat", "advanced-chat", "workflow", "agent-chat", "channel", "all")


def list_apps(call: Call) -> Response:
    """List apps, newest first: ``page``, ``limit`` <= 100, ``mode``, ``name`` (part), tags, ``is_created_by_me``."""
    page = call.number("page", 1, model="AppListQuery", high=99999)
    limit = call.number("limit", 20, model="AppListQuery", high=100)
    found = _filtered(call)
    start = (page - 1) * limit
    rows = [views.app_row(call.instance, app) for app in found[start : start + limit]]
    head = {"page": page, "limit": limit, "total": len(found), "has_more": start + limit < len(found)}
    return shapes.raw(b"".join((shapes.dumps(head)[:-1], b',"data":[', b",".join(rows), b"]}")))


def _filtered(call: Call) -> list[App]:
    mode, name, tags = call.query("mode"), call.query("name"), _tag_filter(call)
    known = (*_MODES, AGENT_MODE) if call.instance.release.bound_agent else _MODES
    if mode and mode not in known:
        quoted = [f"'{item}'" for item in known]
        text = f"Input should be {', '.join(quoted[:-1])} or {quoted[-1]}"
        raise shapes.validation("AppListQuery", "mode", text, "literal_error", mode)
    found = call.instance.apps_newest_first()
    if mode and mode != "all":
        found = [app for app in found if app.mode == mode]
    else:
        found = [app for app in found if app.mode != AGENT_MODE]  # only asked for by name
    if name:
        found = [app for app in found if name.lower() in app.name.lower()]
    if tags is not None:
        found = [app for app in found if tags <= {tag.id for tag in app.tags}]
    creators = [value for key, value in call.request.query_params.items() if key.startswith("creator_ids[0")]
    if call.flag("is_created_by_me") or creators:
        wanted = creators[0] if creators else call.actor.id
        found = [app for app in found if app.created_by.id == wanted]
    return found


def _tag_filter(call: Call) -> set[str] | None:
    if call.instance.release.repeated_tag_ids:
        given = call.request.query_params.getlist("tag_ids")
        if any("," in item for item in given):
            raise shapes.validation("AppListQuery", "tag_ids", "Invalid UUID format in tag_ids.", "value_error", given)
        return set(given) or None
    if not call.instance.release.indexed_tag_ids:
        text = call.query("tag_ids")
        return set(text.split(",")) if text else None
    if call.query("tag_ids"):
        text = "Value error, Unsupported tag_ids type."
        raise shapes.validation("AppListQuery", "tag_ids", text, "value_error", call.query("tag_ids"))
    indexed = {
        value for key, value in call.request.query_params.items() if key.startswith("tag_ids[") and key[8:-1].isdigit()
    }
    return indexed or None


def show(call: Call) -> Response:
    """Return one app with its site."""
    return shapes.raw(views.app_detail(call.instance, call.app))


def create(call: Call) -> Response:
    """Create an app without a draft."""
    payload = call.json()
    name = str(call.require(payload, "name", "CreateAppPayload"))
    mode = str(call.require(payload, "mode", "CreateAppPayload"))
    if mode == AGENT_MODE:
        text = "Input should be 'chat', 'agent-chat', 'advanced-chat', 'workflow' or 'completion'"
        raise shapes.validation("CreateAppPayload", "mode", text, "literal_error", mode)
    more = {key: payload.get(key) for key in ("description", "icon", "icon_type", "icon_background")}
    app = publishing.new_app(call.instance, call.actor, name=name, mode=mode, **more)
    if mode in CHAT_MODES:
        app.model_config = _default_config(mode)
        app.config_times = (app.created_at, app.created_at)
    view = views.app_detail if call.instance.release.permission_keys else views.app_brief
    return shapes.raw(view(call.instance, app), 201)


def _default_config(mode: str) -> JsonDict:
    model = {"provider": OPENAI, "name": "gpt-4o-mini", "mode": "chat", "completion_params": {}}
    strategy = "function_call" if mode == "agent-chat" else None
    return {"model": model, "pre_prompt": "", "user_input_form": [], "agent_mode": {"strategy": strategy, "tools": []}}


def update(call: Call) -> Response:
    """Change name, description, icon and ``max_active_requests``; the name is required."""
    payload = call.json()
    app = call.app
    app.name = str(call.require(payload, "name", "UpdateAppPayload"))
    app.description = payload.get("description") or ""
    for name in ("icon_type", "icon", "icon_background"):
        setattr(app, name, payload.get(name) or getattr(app, name))
    app.use_icon_as_answer_icon = bool(payload.get("use_icon_as_answer_icon"))
    if "max_active_requests" in payload or call.instance.release.permission_keys:  # 1.16: left out means none
        app.max_active_requests = payload.get("max_active_requests", 0)
    return _touched(call, views.app_detail)


def rename(call: Call) -> Response:
    """Change the name."""
    call.app.name = str(call.require(call.json(), "name", "AppNamePayload"))
    return _touched(call, views.app_brief)


def enable_api(call: Call) -> Response:
    """Switch the service API of the app."""
    call.app.enable_api = bool(call.require(call.json(), "enable_api", "AppApiStatusPayload"))
    return _touched(call, views.app_brief)


def enable_site(call: Call) -> Response:
    """Switch the web site of the app."""
    call.app.enable_site = bool(call.require(call.json(), "enable_site", "AppSiteStatusPayload"))
    return _touched(call, views.app_brief)


def _touched(call: Call, view: Callable[[Instance, App], bytes]) -> Response:
    call.app.updated_at = call.instance.now()
    call.app.changed()
    return shapes.raw(view(call.instance, call.app))


def copy(call: Call) -> Response:
    """Copy an app, secrets included; the copy is not published and has no keys."""
    source, payload = call.app, call.json_or_empty()
    if source.agent is not None:
        copied = agents.copied(call.instance, call.actor, source, name=payload.get("name"), **_given(payload))
        return shapes.raw(views.app_detail(call.instance, copied), 201)
    more = {"description": source.description, "icon": source.icon, "icon_background": source.icon_background}
    name = payload.get("name") or source.name
    app = publishing.new_app(call.instance, call.actor, name=name, mode=source.mode, **{**more, **_given(payload)})
    if source.draft is not None:
        publishing.restore(call.instance, app, call.actor, source.draft)
    if source.model_config is not None:
        app.model_config = dict(source.model_config)
        app.config_times = (app.created_at, app.created_at)
    return shapes.raw(views.app_detail(call.instance, app), 201)


def _given(payload: JsonDict) -> JsonDict:
    names = ("description", "icon_type", "icon", "icon_background")
    return {name: payload[name] for name in names if payload.get(name)}


def delete(call: Call) -> Response:
    """Delete an app; its keys answer 403 from then on."""
    app = call.instance.apps.pop(call.app.id)
    app.deleted = True
    for key in app.keys:
        call.instance.keys.pop(key.token, None)
        call.instance.gone_apps[key.token] = app.id
    return shapes.empty()


def set_model_config(call: Call) -> Response:
    """Replace the configuration of a chat, agent or completion app: live at once, without a version."""
    if call.app.agent is not None:
        text = "App mode is not in the supported list: {'chat', 'completion', 'agent-chat'}."
        raise shapes.not_found_with_help(call.path, text, "app_not_found")
    payload = call.json()
    model = payload.get("model")
    if not model:
        raise shapes.invalid_param("model is required")
    if not isinstance(model, dict) or model.get("provider") != OPENAI:
        raise shapes.invalid_param(f"model.provider is required and must be in ['{OPENAI}']")
    app = call.app
    app.model_config = {**(app.model_config or {}), **payload}
    app.config_times = (app.config_times[0] or app.created_at, call.instance.now())
    app.updated_at = call.instance.now()
    app.changed()
    return shapes.success()


def set_site(call: Call) -> Response:
    """Change the web site's settings."""
    payload = call.json()
    call.app.site.update({name: value for name, value in payload.items() if name in call.app.site})
    call.app.changed()
    return shapes.answer(views.site_body(call.app))


def reset_site_token(call: Call) -> Response:
    """Give the web site a new address."""
    token = call.instance.new_token(16)
    call.app.site.update(access_token=token, code=token)
    call.app.changed()
    return shapes.answer(views.site_body(call.app))


def trace(call: Call) -> Response:
    """Return whether tracing is on."""
    return shapes.answer(call.app.tracing or {"enabled": False, "tracing_provider": None})


def set_trace(call: Call) -> Response:
    """Switch tracing; nothing checks that a provider is configured."""
    payload = call.json()
    call.app.tracing = {"enabled": payload.get("enabled"), "tracing_provider": payload.get("tracing_provider")}
    call.app.changed()
    return shapes.success()


def trace_config(call: Call) -> Response:
    """Say that nothing is configured."""
    if not call.query("tracing_provider"):
        raise shapes.missing_field("TraceProviderQuery", "tracing_provider", {})
    return shapes.answer({"has_not_configured": True})


def set_trace_config(call: Call) -> Response:
    """Refuse: the emulator reaches no tracing host."""
    call.json()
    raise shapes.problem("bad_request", "LangFuse API check failed: [Errno 111] Connection refused", 400)


def list_annotations(call: Call) -> Response:
    """List the annotations."""
    rows = call.app.annotations
    return shapes.answer({"data": rows, "has_more": False, "limit": 20, "total": len(rows), "page": 1})


def annotate(call: Call) -> Response:
    """Add an annotation."""
    payload, instance = call.json(), call.instance
    row = {
        "id": instance.new_id(), "question": payload.get("question"), "answer": payload.get("answer"),
        "hit_count": 0, "created_at": instance.now(),
    }  # fmt: skip
    call.app.annotations.append(row)
    return shapes.answer(row, 201 if instance.release.bound_agent else 200)


ROUTES = (
    Route("GET", API, list_apps),
    Route("POST", API, create, role="editor"),
    Route("GET", ONE, show),
    Route("PUT", ONE, update, role="editor"),
    Route("DELETE", ONE, delete, role="editor"),
    Route("POST", f"{ONE}/name", rename, role="editor"),
    Route("POST", f"{ONE}/copy", copy, role="editor"),
    Route("POST", f"{ONE}/api-enable", enable_api, role="admin"),
    Route("POST", f"{ONE}/site-enable", enable_site, role="admin"),
    Route("POST", f"{ONE}/model-config", set_model_config, role="editor"),
    Route("POST", f"{ONE}/site", set_site, role="editor"),
    Route("POST", f"{ONE}/site/access-token-reset", reset_site_token, role="admin"),
    Route("GET", f"{ONE}/trace", trace),
    Route("POST", f"{ONE}/trace", set_trace, role="editor"),
    Route("GET", f"{ONE}/trace-config", trace_config),
    Route("POST", f"{ONE}/trace-config", set_trace_config, role="editor"),
    Route("GET", f"{ONE}/annotations", list_annotations, role="editor"),
    Route("POST", f"{ONE}/annotations", annotate, role="editor"),
)
