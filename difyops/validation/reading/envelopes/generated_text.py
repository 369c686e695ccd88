"""Text generation without a chat: Hugging Face's ``generated_text``, Titan's ``outputText``, Llama's ``generation``."""

from __future__ import annotations

from difyops.validation.reading.envelopes.parts import OpenedEnvelope, mapping, objects


def unwrap(value: object) -> OpenedEnvelope | None:
    """Return the text that was generated, alone or in a list of one."""
    if isinstance(value, list):
        only = objects(value)
        inner = unwrap(only[0]) if len(only) == 1 else None
        return inner and OpenedEnvelope(
            keys=inner.keys, contents=tuple(((0, *path), text) for path, text in inner.contents), cut=inner.cut
        )
    members = mapping(value)
    if isinstance(members.get("generated_text"), str) and members.keys() <= {"generated_text", "details"}:
        cut = mapping(members.get("details")).get("finish_reason") == "length"
        return _opened("generated_text", members["generated_text"], cut=cut)
    if isinstance(members.get("generation"), str) and "stop_reason" in members:
        return _opened("generation", members["generation"], cut=members["stop_reason"] == "length")
    results = objects(members.get("results"))
    if len(results) == 1 and isinstance(results[0].get("outputText"), str) and "completionReason" in results[0]:
        cut = results[0]["completionReason"] == "LENGTH"
        text = (("results", 0, "outputText"), results[0]["outputText"])
        return OpenedEnvelope(keys=("results",), contents=(text,), cut=cut)
    return None


def _opened(key: str, text: str, *, cut: bool) -> OpenedEnvelope:
    return OpenedEnvelope(keys=(key,), contents=(((key,), text),), cut=cut)
