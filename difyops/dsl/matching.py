"""Finds the same nodes in two graphs that share no node id: one app built or imported in two environments.

Works on the reduced form of ``canonical.normalized`` only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from difyops.dsl.model import JsonObject, as_dict, as_list, text_of, word_set

_REFERENCE = re.compile(r"\{\{#([^.#{}]+)\.")
_NODE_FIELDS = word_set("iteration_id loop_id start_node_id parentId node.parentId")


def aligned_ids(old: JsonObject, new: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Return both documents, the ids of ``new`` replaced by those of ``old`` where no id is shared.

    Nodes match when type and title are the same and occur once on each side.
    """
    old_nodes, new_nodes = _nodes(old), _nodes(new)
    if not old_nodes or not new_nodes or not old_nodes.keys().isdisjoint(new_nodes):
        return old, new
    known = _once(old_nodes)
    mapping = {key: known[trait] for trait, key in _once(new_nodes).items() if trait in known}
    return old, {**new, "graph": _renamed_graph(new["graph"], mapping)}


def _nodes(document: JsonObject) -> JsonObject:
    return as_dict(as_dict(document.get("graph")).get("nodes"))


def _once(nodes: JsonObject) -> dict[tuple[str, str], str]:
    traits = {key: (text_of(node.get("type")), text_of(node.get("title"))) for key, node in nodes.items()}
    counts = Counter(traits.values())
    return {trait: key for key, trait in traits.items() if counts[trait] == 1}


def _renamed_graph(graph: JsonObject, mapping: Mapping[str, str]) -> JsonObject:
    nodes = {mapping.get(key, key): _renamed(node, mapping) for key, node in graph["nodes"].items()}
    edges = [
        [mapping.get(source, source), handle, mapping.get(target, target), target_handle]
        for source, handle, target, target_handle in as_list(graph.get("edges"))
    ]
    return {**graph, "nodes": nodes, "edges": sorted(edges)}


def _renamed(value: Any, mapping: Mapping[str, str]) -> Any:
    """Replace node ids where values refer to nodes: selectors (lists), parent fields, ``{{#id.name#}}`` in texts."""
    if isinstance(value, dict):
        return {
            key: mapping.get(inner, inner)
            if key in _NODE_FIELDS and isinstance(inner, str)
            else _renamed(inner, mapping)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        first = [mapping.get(item, item) if isinstance(item, str) else item for item in value[:1]]
        return [_renamed(item, mapping) for item in (*first, *value[1:])]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: "{{#" + mapping.get(found[1], found[1]) + ".", value)
    return value
