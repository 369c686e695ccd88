"""The envelopes in which vendors send an answer, one file a vendor. Each is known by its full shape."""

from __future__ import annotations

from difyops.validation.reading.envelopes import (
    anthropic,
    bedrock,
    chat_completions,
    cohere,
    dify,
    gemini,
    generated_text,
    mistral,
    ollama,
    one_member,
    responses,
    tool_call,
)
from difyops.validation.reading.envelopes.parts import ARGUMENTS, OpenedEnvelope

_VENDORS = (
    anthropic, chat_completions, responses, gemini, bedrock, mistral, ollama, cohere, generated_text, dify, tool_call,
    one_member,
)  # fmt: skip

KEYS = frozenset({
    "choices", "content", "function", "tool_calls", "candidates", "parts", "functionCall", "text", "input", "output",
    "outputs", "message", "response", "answer", "data", "thinking",
    "generated_text", "generation", "results", *ARGUMENTS, *one_member.NAMES,
    *(name.capitalize() for name in one_member.NAMES), *(name.upper() for name in one_member.NAMES),
})  # fmt: skip
"""An object, or a list that begins with one, without any of these members is no envelope."""

__all__ = ["KEYS", "OpenedEnvelope", "unwrap"]


def unwrap(value: object, declared: frozenset[str]) -> OpenedEnvelope | None:
    """Return what an envelope holds, ``None`` when the value is none, or the schema declares what would be opened."""
    for vendor in _VENDORS:
        opened: OpenedEnvelope | None = vendor.unwrap(value)
        if opened is not None and declared.isdisjoint(opened.keys):
            return opened
    return None
