"""Anthropic's messages: ``content`` is a list of blocks of text, thinking and the use of tools."""

from __future__ import annotations

from difyops.validation.reading.envelopes.parts import Content, OpenedEnvelope, mapping, objects
from difyops.validation.reading.model import Path

_BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use")


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what the blocks of a message, or a bare list of blocks, hold."""
    members = mapping(value)
    if members:
        if members.get("role") != "assistant" or not _are_blocks(members.get("content")):
            return _one_block(members)
        cut = members.get("stop_reason") in ("max_tokens", "model_context_window_exceeded")
        return OpenedEnvelope(keys=("content",), contents=tuple(_contents(members["content"], ("content",))), cut=cut)
    if _are_blocks(value):
        return OpenedEnvelope(keys=("text", "input"), contents=tuple(_contents(value, ())))
    return None


def _one_block(members: object) -> OpenedEnvelope | None:
    if _are_blocks([members]) and mapping(members).get("type") in ("text", "tool_use"):
        contents = tuple((path[1:], inner) for path, inner in _contents([members], ()))
        return OpenedEnvelope(keys=("text", "input"), contents=contents)
    return None


def _are_blocks(value: object) -> bool:
    return bool(objects(value)) and all(_is_block(item) for item in objects(value))


def _is_block(item: object) -> bool:
    members = mapping(item)
    kind = members.get("type")
    if kind == "text":
        return isinstance(members.get("text"), str) and members.keys() <= {"type", "text", "citations", "cache_control"}
    if kind in ("tool_use", "server_tool_use"):
        return "input" in members and isinstance(members.get("name"), str)
    return kind in _BLOCKS


def _contents(blocks: object, path: Path) -> list[Content]:
    found: list[Content] = []
    for number, block in enumerate(objects(blocks)):
        if block.get("type") == "text":
            found.append(((*path, number, "text"), block.get("text")))
        elif block.get("type") == "tool_use":
            found.append(((*path, number, "input"), block.get("input")))
    return found
