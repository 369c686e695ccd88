"""JSON in an answer: the whole text, its one fenced block, or a workflow's outputs. Strict; nothing is repaired."""

from __future__ import annotations

import json
import re
from typing import Any

from difyops.broadcast.answer import AgentAnswer

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)
_LONGEST = 4 * 1024 * 1024


def json_of(answer: AgentAnswer) -> tuple[bool, Any]:
    """Return whether the answer is JSON, and its value. Several outputs of a workflow are one object."""
    text = answer.text.strip()
    if len(text) <= _LONGEST:
        blocks = _FENCE.findall(text)
        for candidate in (text, *(blocks if len(blocks) == 1 else ())):
            try:
                return True, json.loads(candidate, parse_constant=_refuse)
            except (ValueError, RecursionError):
                continue
    if len(answer.outputs) > 1:
        return True, dict(answer.outputs)
    return False, None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
