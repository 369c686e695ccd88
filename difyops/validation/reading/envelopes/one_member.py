"""An object with one member whose name says that the answer is in it: ``result``, ``data``, ``output``."""

from __future__ import annotations

from difyops.validation.reading.envelopes.parts import OpenedEnvelope, mapping

NAMES = frozenset({
    "result", "results", "data", "output", "outputs", "answer", "response", "json", "content", "structured_output",
    "final_answer", "value", "object", "payload", "arguments", "parameters", "input", "args",
})  # fmt: skip


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return the only member."""
    members = mapping(value)
    if len(members) != 1:
        return None
    name, inner = next(iter(members.items()))
    if name.lower() not in NAMES or not isinstance(inner, dict | list | str):
        return None
    return OpenedEnvelope(keys=(name,), contents=(((name,), inner),), vague=True)
