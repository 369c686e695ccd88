"""OpenAI's chat completions, and all who speak like them: ``choices`` of messages, or one such message."""

from __future__ import annotations

from collections.abc import Iterator

from difyops.validation.reading.envelopes.parts import (
    Content,
    OpenedEnvelope,
    call,
    calls,
    mapping,
    objects,
    text_parts,
)
from difyops.validation.reading.model import Path

_MESSAGE = frozenset({
    "role", "content", "tool_calls", "function_call", "refusal", "annotations", "audio", "reasoning_content", "name",
    "reasoning", "prefix", "reasoning_details", "provider_specific_fields", "images",
})  # fmt: skip
_CALL = frozenset({"type", "function", "id", "index"})


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what the choices, the message or its calls hold."""
    members = mapping(value)
    choices = objects(members.get("choices"))
    if choices and all("message" in choice for choice in choices):
        contents: list[Content] = []
        for number, choice in enumerate(choices):
            if _is_assistant(choice["message"]):
                contents += message(choice["message"], ("choices", number, "message"))
            elif mapping(choice["message"]).get("role") is not None:
                return None
        cut = any(choice.get("finish_reason") in ("length", "max_tokens", "model_length") for choice in choices)
        return OpenedEnvelope(keys=("choices",), contents=tuple(contents), cut=cut)
    if _is_assistant(value) and members.keys() <= _MESSAGE and "content" in members:
        return OpenedEnvelope(keys=("content",), contents=tuple(message(value, ())))
    if members.keys() <= _CALL and "function" in members and call(members["function"]):
        return OpenedEnvelope(
            keys=("function",), contents=tuple((path[1:], inner) for path, inner in calls([value], ()))
        )
    if objects(members.get("tool_calls")) and members.keys() <= _MESSAGE:
        return OpenedEnvelope(keys=("tool_calls",), contents=tuple(calls(members["tool_calls"], ("tool_calls",))))
    return None


def _is_assistant(value: object) -> bool:
    return mapping(value).get("role") == "assistant"


def message(value: object, path: Path) -> Iterator[Content]:
    """Yield what one message holds: its text and its calls."""
    members = mapping(value)
    yield from text_parts(members.get("content"), (*path, "content"))
    yield from calls(members.get("tool_calls"), (*path, "tool_calls"))
    old = call(members.get("function_call"))
    if old is not None:
        yield (*path, "function_call", old[0]), old[1]
