"""One byte form for equal values, and one reduced form for documents that mean the same.

``canonical`` is what snapshots store and hash: nothing is dropped and order in lists is kept. ``normalized`` drops what
does not change what an app does (layout, order of nodes and edges, fields that only newer servers write out); it is for
comparing and is not a document any more. Secrets are not looked for here: redact first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from difyops.dsl.locations import unique
from difyops.dsl.marks import MARKER, is_sealed
from difyops.dsl.model import NOTE_TYPE, JsonObject, as_dict, as_list, text_of, word_set

_LAYOUT = word_set(
    "position positionAbsolute width height selected dragging zIndex sourcePosition targetPosition style extent type"
    " measured resizing draggable selectable deletable connectable className"
)
_MIRRORS = word_set(
    "selected isIterationStart isLoopStart isInIteration isInLoop tool_label provider_name provider_icon"
    " provider_show_name agent_strategy_label webhook_url webhook_debug_url"
)
_SKIPPED_BY_TYPE = {
    "iteration": _MIRRORS | {"width", "height"},
    "loop": _MIRRORS | {"width", "height"},
    "trigger-schedule": _MIRRORS | {"config"},
}
_STAMPS = word_set("id app_id created_by created_at updated_by updated_at fileUploadConfig")
_EDGE_ENDS = ("source", "sourceHandle", "target", "targetHandle")

# What newer servers write out although it is what older ones meant by leaving it away. Only at the top of node data.
_NODE_DEFAULTS: Mapping[str, tuple[object, ...]] = {
    "vision": ({"enabled": False},),
    "context": ({"enabled": False},),
    "retry_config": (
        {"retry_enabled": False},
        {"retry_enabled": False, "max_retries": 1, "retry_interval": 1000},
        {"retry_enabled": False, "max_retries": 3, "retry_interval": 1000},
        {"retry_enabled": False, "max_retries": 3, "retry_interval": 100},
    ),
    "structured_output_enabled": (False,),
    "is_parallel": (False,),
    "is_array_file": (False,),
    "ssl_verify": (True,),
    "error_strategy": ("none",),
}


_FAST = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def canonical(value: Any) -> bytes:
    """Return deterministic JSON: keys sorted, indented by 2, UTF-8, a newline at the end; lists keep their order.

    What the fast writer cannot hold (integers over 64 bits, a lone surrogate) takes the slow one; text that UTF-8
    cannot hold makes the whole value come out as ASCII with escapes.
    """
    try:
        return orjson.dumps(value, option=_FAST)
    except TypeError:
        pass
    try:
        return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def normalized(document: Mapping[str, Any]) -> JsonObject:
    """Return what decides how the app behaves, in one fixed order; for comparing only.

    Dropped: layout, sticky notes, order of nodes, edges and variables, redundant labels, webhook addresses, stamps,
    empty values and known defaults. Values of secret variables become a mark where they are none yet. Nodes are
    keyed by id, variables by name, edges are ``[source, sourceHandle, target, targetHandle]``.
    """
    reduced = {part: reduce(document.get(part)) for part, reduce in _REDUCERS.items()}
    return {part: value for part, value in reduced.items() if value}


def same_meaning(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Return whether two documents make the same app, whatever they look like on the canvas."""
    return canonical(normalized(first)) == canonical(normalized(second))


def node_settings(node: Mapping[str, Any]) -> JsonObject:
    """Return a node's data without cosmetics, mirrors and defaults.

    What stands beside ``data`` gets the prefix ``node.``.
    """
    outer = {f"node.{key}": value for key, value in node.items() if key not in _LAYOUT and key not in ("id", "data")}
    data = as_dict(node.get("data"))
    skipped = _SKIPPED_BY_TYPE.get(text_of(data.get("type")), _MIRRORS)
    kept = {key: value for key, value in data.items() if key not in skipped and not key.startswith("_")}
    pruned = as_dict(_pruned({**outer, **kept}))
    return {key: value for key, value in pruned.items() if value not in _NODE_DEFAULTS.get(key, ())}


def _graph(value: object) -> JsonObject:
    graph = as_dict(value)
    raw = [node for node in as_list(graph.get("nodes")) if isinstance(node, dict) and node.get("type") != NOTE_TYPE]
    names = unique([text_of(node.get("id")) for node in raw])
    edges = {tuple(_end(edge, end) for end in _EDGE_ENDS) for edge in as_list(graph.get("edges")) if edge}
    parts = {key: _pruned(inner) for key, inner in graph.items() if key not in ("nodes", "edges", "viewport")}
    parts["nodes"] = {name: node_settings(node) for name, node in zip(names, raw, strict=True)}
    parts["edges"] = [list(edge) for edge in sorted(edges)]
    return {key: inner for key, inner in parts.items() if not _is_empty(inner)}


def _end(edge: object, end: str) -> str:
    value = as_dict(edge).get(end)
    if value is None:
        return {"sourceHandle": "source", "targetHandle": "target"}.get(end, "")
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _variables(value: object) -> JsonObject:
    items = [item for item in as_list(value) if isinstance(item, dict)]
    names = unique([text_of(item.get("name")) for item in items])
    return {name: _variable(item) for name, item in zip(names, items, strict=True)}


def _variable(item: JsonObject) -> JsonObject:
    kept = as_dict(_pruned({key: inner for key, inner in item.items() if key not in ("id", "name", "selector")}))
    if kept.get("value_type") in ("integer", "float"):  # how an export spells the API's number
        kept["value_type"] = "number"
    if kept.get("value_type") == "secret" and not is_sealed(text_of(kept.get("value"))):
        kept["value"] = MARKER
    return kept


def _settings(value: object) -> JsonObject:
    kept = {key: inner for key, inner in as_dict(value).items() if key not in _STAMPS}
    pruned = as_dict(_pruned(kept))
    return {key: inner for key, inner in pruned.items() if inner != {"enabled": False}}


def _dependencies(value: object) -> list[Any]:
    reduced = [
        _pruned({key: inner for key, inner in as_dict(item).items() if key != "current_identifier"})
        for item in as_list(value)
    ]
    return sorted(reduced, key=canonical)


_REDUCERS: Mapping[str, Callable[[object], Any]] = {
    "graph": _graph,
    "features": _settings,
    "environment_variables": _variables,
    "conversation_variables": _variables,
    "rag_pipeline_variables": _variables,
    "model_config": _settings,
    "agent_soul": _settings,
    "dependencies": _dependencies,
}


def _pruned(value: Any) -> Any:
    """Return ``value`` without empty members at any depth, and whole floats as integers (1.0 means 1)."""
    if isinstance(value, dict):
        members = ((key, _pruned(inner)) for key, inner in value.items())
        return {key: inner for key, inner in members if not _is_empty(inner)}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_empty(value: object) -> bool:
    return value is None or value == "" or value == [] or value == {}
