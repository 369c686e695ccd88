"""What a schema says about one place: which members it declares and requires there, which subschemas apply.

Pure reading of the schema document; local references are followed, nothing is judged. The answers are used to decide
whether something may be missing after a cut, and what a value may be coerced to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from difyops.validation.reading.model import Path

Node = Mapping[str, Any]

_MOST_NODES = 300  # a schema whose branches multiply is not followed for ever
_BRANCHES = ("allOf", "anyOf", "oneOf")
_SINGLE = ("then", "else")
_MEMBER_KEYWORDS = frozenset(
    ("properties", "required", "additionalProperties", "patternProperties", "items", "prefixItems", "contains")
)


def nodes_at(document: object, path: Path) -> tuple[Node, ...]:
    """Return the subschemas that speak about the value at ``path``; several when branches or references meet."""
    nodes = expand(document, (document,))
    for step in path:
        nodes = expand(document, (child for node in nodes for child in _children(node, step)))
    return nodes


def expand(document: object, start: Iterable[object]) -> tuple[Node, ...]:
    """Return ``start`` with everything that applies to the same value through references and branches."""
    seen: dict[int, Node] = {}
    todo = list(start)
    while todo and len(seen) < _MOST_NODES:
        node = todo.pop()
        if not isinstance(node, dict) or id(node) in seen:
            continue
        seen[id(node)] = node
        todo.extend(_same_value(document, node))
    return tuple(seen.values())


def declared(nodes: Iterable[Node]) -> frozenset[str]:
    """Return the names of the members that any of the subschemas declares."""
    return frozenset(name for node in nodes for name in _mapping(node.get("properties")))


def takes_any_name(document: object) -> bool:
    """Return whether the schema speaks about members of the whole answer whatever their names are: a map."""
    return any(
        "patternProperties" in node or isinstance(node.get("additionalProperties"), dict)
        for node in nodes_at(document, ())
    )


def is_required(document: object, path: Path) -> bool:
    """Return whether any subschema of the parent requires the member at ``path``; elements count as required."""
    if not path or not isinstance(path[-1], str):
        return True
    return any(path[-1] in _list(node.get("required")) for node in nodes_at(document, path[:-1]))


def types(nodes: Iterable[Node]) -> frozenset[str]:
    """Return the types that any of the subschemas names."""
    found: set[str] = set()
    for node in nodes:
        wanted = node.get("type")
        found.update([wanted] if isinstance(wanted, str) else _list(wanted))
    return frozenset(found)


def holds_members(document: object) -> bool:
    """Return whether the schema wants an object or a list: only then a text that holds JSON may stand for its value."""
    nodes = nodes_at(document, ())
    wanted = types(nodes)
    return bool(wanted & {"object", "array"}) or (
        not wanted and any(not _MEMBER_KEYWORDS.isdisjoint(node) for node in nodes)
    )


def speaks_of_members(document: object) -> bool:
    """Return whether the schema says anything of the members or elements of the whole answer."""
    return any(node.get(word, True) not in (True, {}) for node in nodes_at(document, ()) for word in _MEMBER_KEYWORDS)


def choices(nodes: Iterable[Node]) -> list[Any]:
    """Return the values that ``enum`` and ``const`` list."""
    found: list[Any] = []
    for node in nodes:
        found.extend(_list(node.get("enum")))
        if "const" in node:
            found.append(node["const"])
    return found


def _same_value(document: object, node: Node) -> Iterator[object]:
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield resolve(document, reference)
    for keyword in _BRANCHES:
        yield from _list(node.get(keyword))
    for keyword in _SINGLE:
        yield node.get(keyword)


def _children(node: Node, step: str | int) -> Iterator[object]:
    if isinstance(step, str):
        properties = _mapping(node.get("properties"))
        if step in properties:
            yield properties[step]
        else:
            yield node.get("additionalProperties")
        return
    items = node.get("items")
    first = items if isinstance(items, list) else _list(node.get("prefixItems"))
    if step < len(first):
        yield first[step]
    elif isinstance(items, list):
        yield node.get("additionalItems")
    else:
        yield items


def resolve(document: object, reference: str) -> object:
    """Return what a reference inside the document (``#/$defs/NAME``) leads to, ``None`` when it leads nowhere."""
    node: object = document
    for step in unquote(reference.removeprefix("#")).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(name)
        elif isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
