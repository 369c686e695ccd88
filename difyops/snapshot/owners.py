"""Whose secret it is: addresses that name the tool, field or header a secret belongs to, not its number in a list.

A tool taken out of a list moves the ones behind it; by number, the key of one service would be sent to another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from difyops.dsl.locations import Location, unique
from difyops.dsl.model import as_dict, as_list, text_of

T = TypeVar("T")
_NAMES = ("variable", "name", "key")


def owned(document: Mapping[str, Any], values: Mapping[Location, T]) -> dict[Location, T]:
    """Return ``values``, found in ``document``, under the addresses of their owners."""
    return {owner(document, location): value for location, value in values.items()}


def owner(document: Mapping[str, Any], location: Location) -> Location:
    """Return the location with each number of a named list item replaced by the item's name."""
    start, value = _root(document, location)
    steps = list(location.place[:start])
    for step in location.place[start:]:
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            steps.append(owners(value)[int(step)])
            value = value[int(step)]
        else:
            steps.append(step)
            value = value.get(step) if isinstance(value, dict) else None
    return replace(location, place=tuple(steps))


def owners(items: Sequence[Any]) -> list[str]:
    """Return a name for each item of a list: of its tool, variable or field, else its number."""
    return unique([_name(item) or str(index) for index, item in enumerate(items)])


def _name(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    if item.get("tool_name"):
        return f"={text_of(item.get('provider_id') or item.get('provider_name'))}/{text_of(item['tool_name'])}"
    return next((f"={item[key]}" for key in _NAMES if isinstance(item.get(key), str) and item[key]), "")


def _root(document: Mapping[str, Any], location: Location) -> tuple[int, Any]:
    """Return how many steps of the address lead to where it starts, and what is there."""
    match location.kind:
        case "config":
            return 0, document.get("model_config")
        case "soul":
            return 0, document.get("agent_soul")
        case "feature":
            return 0, document.get("features")
        case "node":
            nodes = [as_dict(node) for node in as_list(as_dict(document.get("graph")).get("nodes"))]
            ids = unique([text_of(node.get("id")) for node in nodes])
            found = {name: node.get("data") for name, node in zip(ids, nodes, strict=True)}
            return 1, found.get(location.place[0])
        case _:
            return len(location.place), None
