"""Mistral's conversations: ``outputs`` of messages. Its chat completions are like OpenAI's."""

from __future__ import annotations

from difyops.validation.reading.envelopes.parts import Content, OpenedEnvelope, mapping, objects, text_parts


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what the messages and calls of a conversation hold."""
    members = mapping(value)
    items = objects(members.get("outputs"))
    if not items or not all(str(item.get("type", "")).startswith(("message.", "function.", "tool.")) for item in items):
        return None
    contents: list[Content] = []
    for number, item in enumerate(items):
        if item["type"] == "message.output" and item.get("role", "assistant") == "assistant":
            contents += text_parts(item.get("content"), ("outputs", number, "content"))
        elif item["type"] == "function.call":
            contents.append((("outputs", number, "arguments"), item.get("arguments")))
    return OpenedEnvelope(keys=("outputs",), contents=tuple(contents))
