"""OpenAI's Responses: ``output`` is a list of messages, calls and reasoning."""

from __future__ import annotations

from difyops.validation.reading.envelopes.parts import Content, OpenedEnvelope, mapping, objects, text_parts

_KINDS = ("message", "function_call", "reasoning", "web_search_call", "file_search_call", "custom_tool_call")


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what the assistant's messages and calls hold."""
    members = mapping(value)
    items = objects(members.get("output"))
    if not items or not (members.get("object") == "response" or all(item.get("type") in _KINDS for item in items)):
        return None
    contents: list[Content] = []
    for number, item in enumerate(items):
        if item.get("type") == "message" and item.get("role") == "assistant":
            contents += text_parts(item.get("content"), ("output", number, "content"))
        elif item.get("type") == "function_call" and isinstance(item.get("arguments"), dict | str):
            contents.append((("output", number, "arguments"), item["arguments"]))
    cut = members.get("status") == "incomplete" or any(item.get("status") == "incomplete" for item in items)
    return OpenedEnvelope(keys=("output",), contents=tuple(contents), cut=cut)
