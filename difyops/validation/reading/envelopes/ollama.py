"""Ollama's chat and generate: one ``message`` or ``response``, and ``done``."""

from __future__ import annotations

from difyops.validation.reading.envelopes.chat_completions import message
from difyops.validation.reading.envelopes.parts import OpenedEnvelope, mapping


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what the message or the response holds."""
    members = mapping(value)
    if not isinstance(members.get("model"), str) or not isinstance(members.get("done"), bool):
        return None
    cut = members.get("done_reason") == "length" or members["done"] is False
    if mapping(members.get("message")).get("role") == "assistant":
        return OpenedEnvelope(keys=("message",), contents=tuple(message(members["message"], ("message",))), cut=cut)
    if isinstance(members.get("response"), str):
        return OpenedEnvelope(keys=("response",), contents=((("response",), members["response"]),), cut=cut)
    return None
