"""Google's Gemini: ``candidates`` with ``parts``, or one call."""

from __future__ import annotations

from difyops.validation.reading.envelopes.parts import Content, OpenedEnvelope, call, mapping, objects
from difyops.validation.reading.model import Path


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return what the parts of the candidates hold; parts that are thoughts are passed over."""
    members = mapping(value)
    candidates = objects(members.get("candidates"))
    if candidates and all("content" in item or "finishReason" in item for item in candidates):
        contents: list[Content] = []
        for number, item in enumerate(candidates):
            content = mapping(item.get("content"))
            if content.get("role", "model") == "model":
                contents += _parts(content.get("parts"), ("candidates", number, "content", "parts"))
        cut = any(item.get("finishReason") == "MAX_TOKENS" for item in candidates)
        return OpenedEnvelope(keys=("candidates",), contents=tuple(contents), cut=cut)
    if members.get("role") == "model" and members.keys() == {"role", "parts"}:
        return OpenedEnvelope(keys=("parts",), contents=tuple(_parts(members["parts"], ("parts",))))
    if members.keys() == {"functionCall"}:
        return OpenedEnvelope(
            keys=("functionCall",), contents=tuple(c for c in ((p[1:], v) for p, v in _parts([value], ())))
        )
    return None


def _parts(parts: object, path: Path) -> list[Content]:
    found: list[Content] = []
    for number, part in enumerate(objects(parts)):
        if part.get("thought"):
            continue
        if isinstance(part.get("text"), str):
            found.append(((*path, number, "text"), part["text"]))
        passed = call(part.get("functionCall"))
        if passed is not None:
            found.append(((*path, number, "functionCall", passed[0]), passed[1]))
    return found
