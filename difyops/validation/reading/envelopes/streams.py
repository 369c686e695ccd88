"""Streams of events: Dify's, the chunks of chat completions, and the deltas of Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from difyops.validation.reading.envelopes.dify import EVENT, LINES, text_of_events
from difyops.validation.reading.envelopes.parts import mapping, objects

_CUT = ("length", "max_tokens")


def text_of_stream(text: str) -> tuple[object, bool] | None:
    """Return what a stream of events answered and whether it broke off, ``None`` when the text is no such stream."""
    if not text.lstrip().startswith(("data:", "event:")):
        return None
    return text_of_events(text) or _text_of_deltas(text)


def _text_of_deltas(text: str) -> tuple[object, bool] | None:
    if any(not LINES.fullmatch(line) for line in text.splitlines()):
        return None
    said: list[str] = []
    passed: list[str] = []
    reason: object = None
    for found in EVENT.finditer(text):
        try:
            event = mapping(json.loads(found[1]))
        except (ValueError, RecursionError):
            return None
        choices = objects(event.get("choices"))
        if len(choices) > 1:
            return None
        delta = mapping(choices[0].get("delta")) if choices else mapping(event.get("delta"))
        said += _texts(delta, "content", "text")
        passed += _texts(delta, "partial_json")
        for call in objects(delta.get("tool_calls")):
            passed += _texts(mapping(call.get("function")), "arguments")
        reason = (choices[0].get("finish_reason") if choices else delta.get("stop_reason")) or reason
    answer = "".join(said) if "".join(said).strip() else "".join(passed)
    ended = reason is not None or "[DONE]" in text[-40:]
    return (answer, reason in _CUT or not ended) if answer else None


def _texts(delta: Mapping[str, Any], *names: str) -> list[str]:
    return [delta[name] for name in names if isinstance(delta.get(name), str)]
