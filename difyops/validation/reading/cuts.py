"""Whether a text that ends inside of containers may be taken for whole.

It may when nothing can be missing: each container that is closed at the end holds every member that the schema declares
there and may hold no other, or is an array that is full. One thing speaks for it, too: a value that is written over
lines, and a line break where a comma would stand if more followed.
"""

from __future__ import annotations

import re

from difyops.validation.reading.model import Path
from difyops.validation.reading.shape import Node, nodes_at

_LINED = re.compile(r"\A\s*[{\[][ \t]*\r?\n")
_INDENTED = re.compile(r"\A\s*[{\[][ \t]*\r?\n[ \t]+\S")
_LAST_BRACKET = re.compile(r"\n[}\]]\s*\Z")
_LINE_END = re.compile(r"[^\s,:{\[][ \t]*\r?\n[ \t]*\Z")


def may_be_whole(document: object, value: object, paths: list[Path], text: str, *, closed_by_line: bool) -> bool:
    """Return whether nothing can be missing in the containers at ``paths``, which the text leaves open.

    ``closed_by_line``: only the outermost is open, so that a line break at the end of the text shows that it ended.
    """
    if closed_by_line and paths == [()] and _LINED.match(text) and _LINE_END.search(text[-400:]):
        return True
    if _last_may_lack(text):
        return False
    return all(_is_full(document, value, path) for path in paths)


def _last_may_lack(text: str) -> bool:
    """Return whether the text ends in something that may go on: digits, a word."""
    last = text.rstrip()[-1:]
    return last not in '"}]'


def ends_by_layout(text: str) -> bool:
    """Return whether a value that is written over lines ends as the outermost one does: a bracket alone on a line."""
    return _INDENTED.match(text) is not None and _LAST_BRACKET.search(text[-400:]) is not None


def declares_more(document: object, value: object) -> bool:
    """Return whether the schema declares members of the whole answer that are not there."""
    return isinstance(value, dict) and any(set(_properties(node)) - value.keys() for node in nodes_at(document, ()))


def _is_full(document: object, root: object, path: Path) -> bool:
    value = root
    for step in path:
        value = value[step]  # type: ignore[index]  # the path comes from the value
    nodes = nodes_at(document, path)
    if isinstance(value, dict):
        declaring = [node for node in nodes if "properties" in node or "additionalProperties" in node]
        return bool(declaring) and all(
            _is_closed(node) and set(_properties(node)) <= value.keys() for node in declaring
        )
    if isinstance(value, list):
        return any(len(value) >= limit for node in nodes if isinstance(limit := node.get("maxItems"), int))
    return True


def _is_closed(node: Node) -> bool:
    return (
        node.get("additionalProperties") is False or node.get("unevaluatedProperties") is False
    ) and "patternProperties" not in node


def _properties(node: Node) -> dict[str, object]:
    found = node.get("properties")
    return found if isinstance(found, dict) else {}
