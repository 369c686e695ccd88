"""Amazon Bedrock's Converse: ``output.message`` with blocks named by their member."""

from __future__ import annotations

from difyops.validation.reading.envelopes.parts import Content, OpenedEnvelope, mapping, objects
from difyops.validation.reading.model import Path


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what the blocks of the message hold."""
    members = mapping(value)
    message = mapping(mapping(members.get("output")).get("message"))
    if message.get("role") != "assistant" or not objects(message.get("content")):
        return None
    path: Path = ("output", "message", "content")
    contents: list[Content] = []
    for number, block in enumerate(objects(message["content"])):
        if isinstance(block.get("text"), str):
            contents.append(((*path, number, "text"), block["text"]))
        use = mapping(block.get("toolUse"))
        if "input" in use:
            contents.append(((*path, number, "toolUse", "input"), use["input"]))
    return OpenedEnvelope(keys=("output",), contents=tuple(contents), cut=members.get("stopReason") == "max_tokens")
