"""The shape that each use of an endpoint needs: required fields and their kinds, ids that must match, rows that are
objects. What does not fit is ``UnreadableAnswer``; nothing falls through to an empty list.

Shapes as recorded from 1.13.0 to 1.16.1 and as the code of older releases has them (tests/recordings).
"""

from __future__ import annotations

from typing import Any

from difyops.api.shapes import (
    Shape,
    all_of,
    anything,
    count,
    filled,
    flag,
    maybe,
    obj,
    rows,
    some_object,
    text,
    when,
)

CHAT_MODES = frozenset({"chat", "agent-chat", "completion"})
WORKFLOW_MODES = frozenset({"workflow", "advanced-chat"})
AGENT_MODE = "agent"  # the agent apps of 1.15 and newer; older agents are of mode agent-chat

_TAG = obj({"name": text})
_VERSION_OF_APP = obj({"id": filled})


def page_of(row: Shape = some_object, *, within: str = "data") -> Shape:
    """Take one page of a list: ``has_more`` and, where it counts, ``total`` decide whether it came whole."""
    return obj({within: rows(row), "has_more": flag}, total=count)


APP_ROW = obj(
    {"id": filled, "name": text, "mode": filled},
    description=text,
    tags=rows(_TAG),
    workflow=_VERSION_OF_APP,
    model_config=some_object,
)
APPS = page_of(APP_ROW)


def app(app_id: str) -> Shape:
    """Take the detail of exactly this app, with what its mode is made of."""
    common = obj(
        {"id": _exactly(app_id), "name": text, "mode": filled}, description=text, tags=rows(_TAG), deleted_tools=rows()
    )
    return all_of(common, _of_its_mode)


_SWITCHES = {"enable_api": flag, "enable_site": flag, "site": maybe(obj({"title": text}))}
_WORKFLOW_APP = obj({**_SWITCHES, "workflow": maybe(_VERSION_OF_APP)})
_CHAT_APP = obj({**_SWITCHES, "model_config": obj({"model": obj({"name": text, "provider": text})})})


_AGENT_APP = obj({**_SWITCHES, "bound_agent_id": filled})


def _of_its_mode(value: Any) -> str | None:
    if value["mode"] in WORKFLOW_MODES:
        return _WORKFLOW_APP(value)
    if value["mode"] in CHAT_MODES:
        return _CHAT_APP(value)
    if value["mode"] == AGENT_MODE:
        return _AGENT_APP(value)
    return None


_NODE = obj({"id": filled, "data": some_object})
_EDGE = obj({"source": filled, "target": filled})
_GRAPH = obj({"nodes": rows(_NODE), "edges": rows(_EDGE)})
_VARIABLE = obj({"name": filled, "value_type": filled})


def _graph(value: Any) -> str | None:
    return None if value == {} else _GRAPH(value)  # a draft that nobody drew anything in yet


WORKFLOW = obj(
    {
        "id": filled,
        "version": filled,
        "graph": _graph,
        "features": some_object,
        "hash": filled,
        "environment_variables": rows(_VARIABLE),
        "conversation_variables": rows(_VARIABLE),
    },
    marked_name=text,
    marked_comment=text,
    created_by=some_object,
    updated_by=some_object,
)


_TELLING = ("id", "graph", "features", "hash", "created_at", "environment_variables", "conversation_variables")


def published(value: Any) -> str | None:
    """Take the live version; ``null`` and an object of nothing mean that nothing was ever published."""
    if value is None or (
        type(value) is dict and "id" in value and not any(value[key] for key in _TELLING if key in value)
    ):
        return None
    return WORKFLOW(value)


def composer(agent_id: str) -> Shape:
    """Take the draft of exactly this agent, with the id of its active version."""
    agent = obj({"id": _exactly(agent_id), "active_config_snapshot_id": maybe(filled)}, role=text)
    return obj({"agent": agent, "agent_soul": SOUL, "draft": maybe(some_object)}, active_config_is_published=flag)


def agent_version(version_id: str) -> Shape:
    """Take exactly this version of an agent, with its whole content."""
    return obj({"id": _exactly(version_id), "config_snapshot": SOUL, "revisions": rows()}, version_note=text)


# What every soul has, whatever is in it: the server writes it out.
SOUL = obj({"prompt": some_object, "tools": some_object, "env": obj({"variables": rows(), "secret_refs": rows()})})
AGENT_VERSIONS = obj({"data": rows(obj({"id": filled}, version_note=text))})
AGENT_PUBLISHED = obj({"active_config_snapshot_id": filled})
AGENT_CREATED = obj({"id": filled, "app_id": filled})
VERSIONS = obj({"items": rows(WORKFLOW), "has_more": flag}, page=count)
EXPORT = obj({"data": filled})
IMPORT = obj({"id": filled, "status": filled}, app_id=filled)
SYNCED = obj({"hash": filled})
ENVIRONMENT = obj({"items": rows(obj({"name": filled}))})
DEPENDENCIES = obj({"leaked_dependencies": rows(obj({"value": maybe(anything)}))})
TRIGGERS = obj({"data": rows(obj({"id": filled, "trigger_type": filled, "node_id": filled, "status": filled}))})
WEBHOOK = obj({"webhook_id": filled, "webhook_url": filled}, webhook_debug_url=text)

SETUP = obj({"step": filled})
PROFILE = obj({"email": text}, timezone=text, name=text)
WORKSPACE = obj({"id": filled, "name": text}, role=text)
WORKSPACES = obj({"workspaces": rows(obj({"id": filled}))})
TAGS = rows(obj({"id": filled, "name": text}))
TAG = obj({"id": filled})
PLUGINS = obj({"plugins": rows(obj({"plugin_id": filled, "version": text})), "total": count})
NEWEST_PLUGINS = obj({"versions": some_object})
PLUGIN_TASK = obj({}, all_installed=flag, task_id=text)
PLUGIN_TASK_STATE = obj({"task": obj({"status": filled})})
PROVIDERS = obj(
    {
        "data": rows(
            obj({"provider": filled, "custom_configuration": some_object}, provider_credential_schema=some_object)
        )
    }
)
DEFAULT_MODEL = obj({"data": maybe(obj({"model": filled}))})
MODELS = obj({"data": rows(obj({"provider": filled, "models": rows(obj({"model": filled}))}))})
TOOL_PROVIDERS = rows(obj({"name": text, "type": text}))
TOOL_CREDENTIALS = rows(obj({"id": filled, "name": text}))
TOOL_SCHEMA = rows(obj({"name": filled}))
CREDENTIAL = obj({"credentials": maybe(some_object)})
DATASETS = page_of(obj({"id": filled, "name": text}))
DOCUMENTS = page_of(obj({"id": filled, "name": text}))
SEGMENTS = obj({"data": rows(obj({"id": filled}))}, total=count, total_pages=count)
ERROR_DOCUMENTS = obj({"data": rows(obj({"id": filled}))})
HITS = obj({"records": rows(obj({"segment": obj({"content": text}, document=some_object)}))})

KEYS = obj({"data": rows(obj({"id": filled, "token": filled}))})
KEY = obj({"id": filled, "token": filled})

# Lists are read back to a moment: a row without its time would end them there.
_RUN = obj({"id": filled}, status=filled)
WORKFLOW_LOGS = all_of(page_of(obj({"id": filled, "created_at": when}, workflow_run=_RUN)), obj({"total": count}))
RUNS = page_of(obj({"id": filled, "status": filled, "created_at": when}))
CONVERSATIONS = page_of(obj({"id": filled, "created_at": when}, updated_at=when))
MESSAGES = page_of(obj({"id": filled, "created_at": when}))
AGENT_MESSAGES = page_of(obj({"id": filled, "created_at": when}, status=filled))
COMPLETION = obj({"id": filled}, message=obj({"id": filled, "created_at": when}))
NODES = obj({"data": rows(obj({"id": filled, "node_id": filled, "node_type": filled, "status": filled}))})
FORM = obj({"inputs": rows(obj({"output_variable_name": filled})), "user_actions": rows(obj({"id": filled}))})

INFO = obj({"name": text})
RUN_END = obj({"id": filled, "status": filled}, error=anything)
PARAMETERS = obj({"user_input_form": rows(some_object)})
FILE = obj({"id": filled})


def run(run_id: str) -> Shape:
    """Take exactly this run, or this message, with what it came to."""
    return obj({"id": _exactly(run_id)}, status=filled, outputs=anything, answer=anything)


def run_or_none(run_id: str) -> Shape:
    """Take what ``run`` takes, and the object with every field blank that stands for a run that is not there."""
    found, is_object = run(run_id), obj({"id": anything, "status": anything})
    return lambda value: found(value) if is_object(value) or any(item is not None for item in value.values()) else None


def _exactly(wanted: str) -> Shape:
    return lambda value: None if value == wanted else ": is another one than was asked for"
