"""How apps and workflows look on the wire. Serialised once and kept until the thing changes."""

from __future__ import annotations

from difyops.emulator.instance import Instance
from difyops.emulator.shapes import JsonDict, dumps
from difyops.emulator.store import STARS, App, Tag, Workflow

_CONFIG_KEYS = (
    "opening_statement", "suggested_questions", "suggested_questions_after_answer", "speech_to_text", "text_to_speech",
    "retriever_resource", "annotation_reply", "more_like_this", "sensitive_word_avoidance", "external_data_tools",
    "model", "user_input_form", "dataset_query_variable", "pre_prompt", "agent_mode", "prompt_type",
    "chat_prompt_config", "completion_prompt_config", "dataset_configs", "file_upload",
)  # fmt: skip
_OFF = {"enabled": False}
_NO_CONFIG: JsonDict = {
    **dict.fromkeys(_CONFIG_KEYS, _OFF), "opening_statement": None, "suggested_questions": [],
    "sensitive_word_avoidance": {**_OFF, "type": "", "config": {}}, "external_data_tools": [], "model": {},
    "user_input_form": [], "dataset_query_variable": None, "pre_prompt": None, "prompt_type": "simple",
    "agent_mode": {**_OFF, "strategy": None, "tools": [], "prompt": None}, "chat_prompt_config": {},
    "completion_prompt_config": {}, "dataset_configs": {"retrieval_model": "multiple"},
    "file_upload": {
        "image": {**_OFF, "number_limits": 3, "detail": "high", "transfer_methods": ["remote_url", "local_file"]},
    },
}  # fmt: skip
_PERMISSIONS = (
    "app.acl.preview", "app.acl.view_layout", "app.acl.test_and_run", "app.acl.edit", "app.acl.import_export_dsl",
    "app.acl.delete", "app.acl.release_and_version", "app.acl.monitor", "app.acl.access_config",
    "app.acl.tracing_config", "app.acl.log_and_annotation",
)  # fmt: skip
EMPTY_WORKFLOW: JsonDict = {
    "id": None, "graph": None, "features": None, "hash": None, "version": None, "marked_name": None,
    "marked_comment": None, "created_by": {"id": None, "name": None, "email": None}, "created_at": None,
    "updated_by": None, "updated_at": None, "tool_published": None, "environment_variables": None,
    "conversation_variables": None, "rag_pipeline_variables": None,
}  # fmt: skip


def app_row(instance: Instance, app: App) -> bytes:
    """Return the app as a row of the list."""
    if "row" not in app.cache:
        app.cache["row"] = dumps(_row(instance, app))
    return app.cache["row"]


def app_brief(instance: Instance, app: App) -> bytes:
    """Return the app as answered by create, rename, enable and disable."""
    return dumps(_brief(instance, app))


def app_detail(instance: Instance, app: App) -> bytes:
    """Return the app with its site, as answered by GET, PUT and copy."""
    if "detail" not in app.cache:
        app.cache["detail"] = dumps(_detail(instance, app))
    return app.cache["detail"]


def workflow_body(workflow: Workflow) -> bytes:
    """Return a draft or a version with its whole graph; secrets as twenty stars."""
    if "body" not in workflow.cache:
        workflow.cache["body"] = _workflow_bytes(workflow)
    return workflow.cache["body"]


def model_config(app: App) -> JsonDict | None:
    """Return the configuration of a chat, agent or completion app, as in the app's detail; nothing of agent apps."""
    if app.agent is not None:
        return {**_NO_CONFIG, **_times(app, app.created_at, app.updated_at)}
    if app.model_config is None:
        return None
    config: JsonDict = {key: app.model_config.get(key) for key in _CONFIG_KEYS}
    return {**config, **_times(app, *app.config_times)}


def site_body(app: App) -> JsonDict:
    """Return the site as answered by its own two calls."""
    site = app.site
    keys = (
        "access_token", "code", "title", "icon", "icon_background", "description", "default_language",
        "customize_domain", "copyright", "privacy_policy", "custom_disclaimer", "customize_token_strategy",
        "prompt_public", "show_workflow_steps", "use_icon_as_answer_icon",
    )  # fmt: skip
    return {"app_id": app.id, **{key: site[key] for key in keys}}


def new_site(instance: Instance, app: App) -> JsonDict:
    """Return the web site settings of a new app."""
    token = instance.new_token(16)
    return {
        "access_token": token, "code": token, "title": app.name, "icon_type": app.icon_type, "icon": app.icon,
        "icon_background": app.icon_background, "description": None, "default_language": "en-US",
        "chat_color_theme": None, "chat_color_theme_inverted": False, "customize_domain": None, "copyright": None,
        "privacy_policy": None, "custom_disclaimer": "", "customize_token_strategy": "not_allow",
        "prompt_public": False, "app_base_url": instance.base_url, "show_workflow_steps": True,
        "use_icon_as_answer_icon": False, **_times(app, app.created_at, app.updated_at), "icon_url": None,
    }  # fmt: skip


def tag_rows(tags: list[Tag]) -> list[JsonDict]:
    """Return tags as nested in apps."""
    return [{"id": tag.id, "name": tag.name, "type": tag.type} for tag in tags]


def variables_shown(items: list[JsonDict]) -> list[JsonDict]:
    """Return environment variables for reading: secrets as stars, numbers all called ``number``."""
    return [
        {
            "id": item["id"],
            "name": item["name"],
            "value": STARS if item["value_type"] == "secret" else item["value"],
            "value_type": exposed_type(item["value_type"]),
            "description": item.get("description", ""),
        }
        for item in items
    ]


def exposed_type(value_type: str) -> str:
    """Return the type as the API names it; exports say ``integer`` or ``float``."""
    return "number" if value_type in ("integer", "float") else value_type


def conversation_variables_shown(items: list[JsonDict]) -> list[JsonDict]:
    """Return the definitions of conversation variables for reading."""
    return [
        {
            "id": item["id"],
            "name": item["name"],
            "value_type": exposed_type(item["value_type"]),
            "value": item["value"],
            "description": item.get("description", ""),
        }
        for item in items
    ]


def _times(app: App, created: int, updated: int) -> JsonDict:
    person = app.created_by.id
    return {"created_by": person, "created_at": created, "updated_by": person, "updated_at": updated}


def _published(app: App) -> JsonDict | None:
    live = app.live
    if live is None:
        return None
    updated_by = live.updated_by.id if live.updated_by else None
    return {
        "id": live.id,
        "created_by": live.created_by.id,
        "created_at": live.created_at,
        "updated_by": updated_by,
        "updated_at": live.updated_at,
    }


def _row(instance: Instance, app: App) -> JsonDict:
    config = None
    if app.agent is not None:
        config = {"model": {}, "pre_prompt": None, **_times(app, app.created_at, app.updated_at)}
    if app.model_config is not None:
        config = {
            "model": app.model_config.get("model"),
            "pre_prompt": app.model_config.get("pre_prompt"),
            **_times(app, *app.config_times),
        }
    row: JsonDict = {
        "id": app.id, "name": app.name, "max_active_requests": app.max_active_requests,
        "description": app.description, "mode": app.mode, "icon_type": app.icon_type, "icon": app.icon,
        "icon_background": app.icon_background, "model_config": config, "workflow": _published(app),
        "use_icon_as_answer_icon": app.use_icon_as_answer_icon, **_times(app, app.created_at, app.updated_at),
        "tags": tag_rows(app.tags), "access_mode": None, "create_user_name": None,
        "author_name": app.created_by.name,
    }  # fmt: skip
    if instance.release.triggers:
        row["has_draft_trigger"] = bool(app.draft and '"trigger-' in app.draft.graph_text)
    if instance.release.permission_keys:
        row |= {**_sixteen(app), "is_starred": False, "bound_agent_id": app.agent.id if app.agent else None}
    row["icon_url"] = None
    return row


def _brief(instance: Instance, app: App) -> JsonDict:
    tracing = None if app.tracing is None else dumps(app.tracing).decode()
    return {
        "id": app.id, "name": app.name, "description": app.description, "mode": app.mode, "icon": app.icon,
        "icon_background": app.icon_background, "enable_site": app.enable_site, "enable_api": app.enable_api,
        "model_config": model_config(app), "workflow": _published(app), "tracing": tracing,
        "use_icon_as_answer_icon": app.use_icon_as_answer_icon, **_times(app, app.created_at, app.updated_at),
        "access_mode": None, "tags": tag_rows(app.tags), **(_rights(app) if instance.release.permission_keys else {}),
        **({"permission_keys": []} if app.agent is not None else {}),
    }  # fmt: skip


def _rights(app: App) -> JsonDict:
    return {"permission_keys": list(_PERMISSIONS), "maintainer": app.created_by.id}


def _sixteen(app: App) -> JsonDict:
    return {**_rights(app), "app_id": None}


def _detail(instance: Instance, app: App) -> JsonDict:
    more: JsonDict = {
        "icon_type": app.icon_type, "api_base_url": f"{instance.base_url}/v1",
        "max_active_requests": app.max_active_requests, "deleted_tools": [], "site": app.site, "icon_url": None,
    }  # fmt: skip
    if instance.release.permission_keys:
        more |= {**_sixteen(app), "site": {**app.site, "input_placeholder": None}}
    bound = {"bound_agent_id": app.agent.id if app.agent else None} if instance.release.bound_agent else {}
    return {**_brief(instance, app), **more, **bound}


def _workflow_bytes(workflow: Workflow) -> bytes:
    head = dumps({"id": workflow.id})[:-1]
    tail = dumps(
        {
            "hash": workflow.hash,
            "version": workflow.version,
            "marked_name": workflow.marked_name,
            "marked_comment": workflow.marked_comment,
            "created_by": workflow.created_by.brief(),
            "created_at": workflow.created_at,
            "updated_by": workflow.updated_by.brief() if workflow.updated_by else None,
            "updated_at": workflow.updated_at,
            "tool_published": False,
            "environment_variables": variables_shown(workflow.env_list),
            "conversation_variables": conversation_variables_shown(workflow.conversation_list),
            "rag_pipeline_variables": [],
        }
    )[1:]
    graph, features = workflow.graph_text.encode(), workflow.features_text.encode()
    return b"".join((head, b',"graph":', graph, b',"features":', features, b",", tail))
