"""What kind of failure an answer is when nothing in it satisfies the schema: empty, a refusal, the schema itself.

The tests for an echo of the schema run on values that do satisfy it too: a schema without required members accepts
itself, and an echo is never data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_SCHEMA_WORDS = frozenset({"$schema", "$defs", "definitions", "properties", "required", "additionalProperties"})
_REFUSAL = re.compile(
    r"(?i)\b(?:i(?:'|’)?m (?:really |very |so )?sorry|i am sorry|sorry, (?:but )?i|i apologi[sz]e|unfortunately,? i\b"
    r"|i (?:can(?:no|['’])t|am (?:not able|unable)|['’]m (?:not able|unable)|won['’]t|must decline|don['’]t have)"
    r"|as an ai\b|as a (?:large )?language model|unable to (?:assist|help|comply|provide|process|answer)"
    r"|cannot (?:assist|help|comply|provide|fulfil)|against (?:my|our) (?:policy|guidelines))"
    r"|很抱歉|对不起|抱歉，|无法(?:提供|回答|满足|协助)|我不能|申し訳|できません"
    r"|lo siento|no puedo|je suis désolé|je ne peux pas"
    r"|es tut mir leid|ich kann (?:das |dies |ihnen )?(?:leider )?nicht|desculpe|não posso|죄송합니다"
)


def is_echo(value: object, document: Mapping[str, object] | bool) -> bool:
    """Return whether a value is the schema, a part of it, or a rewriting of it, instead of data."""
    if not isinstance(value, dict) or not isinstance(document, dict) or not value:
        return False
    properties = document.get("properties")
    if value in (document, properties):
        return True
    if "properties" not in value and "$schema" not in value:
        return False
    own = properties if isinstance(properties, dict) else {}
    if "$schema" in value and "$schema" not in own:
        return True
    inner = value.get("properties")
    return "properties" not in own and isinstance(inner, dict) and bool(inner) and _describes(value, inner)


def _describes(value: Mapping[str, object], members: Mapping[str, object]) -> bool:
    return value.get("type") == "object" or all(_is_subschema(member) for member in members.values())


def is_echo_of_members(value: object, document: Mapping[str, object] | bool) -> bool:
    """Return whether an invalid value holds subschemas where the schema wants data."""
    if not isinstance(value, dict) or not isinstance(document, dict):
        return False
    if len(value) == 1 and "schema" in next(iter(value)).lower():
        return is_echo(next(iter(value.values())), document)
    own = document.get("properties")
    declared = own if isinstance(own, dict) else {}
    known = [member for name, member in value.items() if name in declared]
    if known and len(known) * 2 > len(value) and all(_is_subschema(member) for member in known):
        return True
    return len(_SCHEMA_WORDS & value.keys() - declared.keys()) >= 2


def _is_subschema(member: object) -> bool:
    return isinstance(member, dict) and bool({"type", "$ref", "enum", "anyOf", "oneOf", "const"} & member.keys())


def is_refusal(text: str) -> bool:
    """Return whether a text without JSON reads like a model declining to answer (its first 600 characters)."""
    return _REFUSAL.search(text[:600]) is not None
