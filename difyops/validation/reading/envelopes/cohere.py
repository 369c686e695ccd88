"""Cohere's chat: a ``message`` and a ``finish_reason`` in capitals (v2), or a ``text`` with the id of a generation."""

from __future__ import annotations

from difyops.validation.reading.envelopes.chat_completions import message
from difyops.validation.reading.envelopes.parts import OpenedEnvelope, mapping

_REASONS = ("COMPLETE", "STOP_SEQUENCE", "MAX_TOKENS", "TOOL_CALL", "ERROR", "TIMEOUT")


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what the message holds."""
    members = mapping(value)
    if members.get("finish_reason") not in _REASONS:
        return None
    cut = members["finish_reason"] == "MAX_TOKENS"
    if mapping(members.get("message")).get("role") == "assistant":
        return OpenedEnvelope(keys=("message",), contents=tuple(message(members["message"], ("message",))), cut=cut)
    if isinstance(members.get("text"), str) and "generation_id" in members:
        return OpenedEnvelope(keys=("text",), contents=((("text",), members["text"]),), cut=cut)
    return None
