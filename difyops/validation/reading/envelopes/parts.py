"""What all envelopes share: the shape of what one holds, and the calls and parts that several vendors write alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.validation.reading.model import Path

Content = tuple[Path, object]
"""Where something stands in an envelope, and what it is: a text to be read, or a value."""

ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input", "action_input", "kwargs")
_CALL_KEYS = frozenset({
    "name", "tool", "tool_name", "action", "type", "id", "call_id", "index", "recipient_name", "tool_call_id", "status",
    "thought", "log", "caller", *ARGUMENTS,
})  # fmt: skip
_NAMES = ("name", "tool", "tool_name", "action", "recipient_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEnvelope:
    """What an envelope holds. ``keys`` are the members that were opened; ``cut``: its writer ran out of tokens.

    ``vague``: its shape is that of much data, too.
    """

    keys: tuple[str, ...]
    contents: tuple[Content, ...]
    cut: bool = False
    vague: bool = False


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list that holds nothing else, else nothing."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return value
    return []


def call(value: object) -> tuple[str, object] | None:
    """Return what a call of a tool passes and the member it stands in: a name, arguments, and nothing foreign."""
    members = mapping(value)
    if not members.keys() <= _CALL_KEYS or not any(isinstance(members.get(name), str) for name in _NAMES):
        return None
    given = [key for key in ARGUMENTS if isinstance(members.get(key), dict | list | str)]
    return (given[0], members[given[0]]) if len(given) == 1 else None


def calls(items: object, path: Path) -> Iterator[Content]:
    """Yield the arguments of a list of calls, each plain or under ``function``."""
    for number, item in enumerate(objects(items)):
        inner = mapping(item.get("function")) or item
        found = call(inner)
        if found is not None:
            step: Path = ("function", found[0]) if inner is not item else (found[0],)
            yield (*path, number, *step), found[1]


def text_parts(content: object, path: Path) -> Iterator[Content]:
    """Yield the texts of a message: one text, or a list of parts of kind text."""
    if isinstance(content, str):
        yield path, content
    for number, part in enumerate(objects(content)):
        if part.get("type") in ("text", "output_text") and isinstance(part.get("text"), str):
            yield (*path, number, "text"), part["text"]
