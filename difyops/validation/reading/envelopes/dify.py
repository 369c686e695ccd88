"""Dify's runs: a chat answer or a workflow's outputs, whole (blocking) or as events (streaming)."""

from __future__ import annotations

import json
import re

from difyops.validation.reading.envelopes.parts import Content, OpenedEnvelope, mapping
from difyops.validation.reading.model import Path

EVENT = re.compile(r"^data:[ ]?(\{.*\})[ \t\r]*$", re.MULTILINE)
LINES = re.compile(r"(?:[ \t\r]*|data:.*|event:.*|id:.*|:.*|retry:.*)")
_ANSWERS = ("message", "agent_message", "text_chunk")
_ENDS = ("message_end", "workflow_finished")


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what a blocking run answered."""
    members = mapping(value)
    if isinstance(members.get("answer"), str) and ("message_id" in members or "conversation_id" in members):
        return OpenedEnvelope(keys=("answer",), contents=((("answer",), members["answer"]),))
    data = mapping(members.get("data"))
    if "workflow_run_id" in members and isinstance(data.get("outputs"), dict):
        failed = data.get("status") not in (None, "succeeded", "partial-succeeded")
        path: Path = ("data", "outputs")
        return OpenedEnvelope(keys=("data",), contents=() if failed else _outputs(data["outputs"], path))
    return None


def _outputs(outputs: dict[str, object], path: Path) -> tuple[Content, ...]:
    if len(outputs) == 1:
        name, only = next(iter(outputs.items()))
        return (path, outputs), ((*path, name), only)
    return ((path, outputs), *(((*path, name), value) for name, value in outputs.items() if name in _NAMED))


_NAMED = ("structured_output", "text", "answer", "result", "output")


def text_of_events(text: str) -> tuple[object, bool] | None:
    """Return what a stream of events answered and whether it broke off, ``None`` when the text is no such stream."""
    if not text.lstrip().startswith(("data:", "event:")):
        return None
    if any(not LINES.fullmatch(line) for line in text.splitlines()):
        return None
    answer: list[str] = []
    outputs: object = None
    ended = False
    for found in EVENT.finditer(text):
        try:
            event = mapping(json.loads(found[1]))
        except (ValueError, RecursionError):
            return None
        kind = event.get("event")
        if kind in _ANSWERS:
            piece = event.get("answer", mapping(event.get("data")).get("text"))
            answer.append(piece if isinstance(piece, str) else "")
        elif kind == "message_replace":
            answer = [str(event.get("answer", ""))]
        elif kind == "workflow_finished":
            outputs = mapping(event.get("data")).get("outputs")
        ended = ended or kind in _ENDS
    if answer:
        return "".join(answer), not ended
    return (outputs, False) if isinstance(outputs, dict) else None
