"""Whether a value is the given schema instead of data."""

from __future__ import annotations

from collections.abc import Mapping

from difyops.validation.reading.model import Judge


def is_plain(value: object, judge: Judge) -> bool:
    """Return whether a value that satisfies the schema is neither the schema nor an envelope; "yes" is certain."""
    if type(value) is dict:
        return judge.openable.isdisjoint(value) and not is_echo(value, judge.document)
    if type(value) is str:
        return not judge.names or value.lstrip()[:1] != "{"
    return type(value) is not list or not value or type(value[0]) is not dict or judge.openable.isdisjoint(value[0])


def is_echo(value: object, document: Mapping[str, object] | bool) -> bool:
    """Return whether a value that satisfies the schema is that schema, or its list of properties.

    Only what resembles the given schema: an answer that is some other schema is data.
    """
    if type(value) is not dict or not value or type(document) is not dict:
        return False
    if value == document:
        return True
    properties = document.get("properties")
    return type(properties) is dict and len(properties) == len(value) and _are_alike(value, properties)


def _are_alike(value: Mapping[str, object], properties: Mapping[str, object]) -> bool:
    return value == properties and all(isinstance(member, dict) for member in value.values())


def is_rewritten(value: object, document: Mapping[str, object] | bool) -> bool:
    """Return whether an invalid value is the schema written in other words: subschemas where data should be."""
    if not isinstance(value, dict) or not isinstance(document, dict):
        return False
    if len(value) == 1 and "schema" in next(iter(value)).lower():
        value = next(iter(value.values()))
        if not isinstance(value, dict):
            return False
    own = document.get("properties")
    declared = own if isinstance(own, dict) else {}
    if not declared:
        return value == document
    inner = value.get("properties")
    if isinstance(inner, dict) and "properties" not in declared and _mostly_subschemas(inner, declared):
        return True
    return _mostly_subschemas(value, declared)


def _mostly_subschemas(value: Mapping[str, object], declared: Mapping[str, object]) -> bool:
    known = [member for name, member in value.items() if name in declared]
    return bool(known) and len(known) * 2 > len(value) and all(_is_subschema(member) for member in known)


def _is_subschema(member: object) -> bool:
    return isinstance(member, dict) and bool({"type", "$ref", "enum", "anyOf", "oneOf", "const"} & member.keys())
