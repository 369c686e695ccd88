"""A schema that says nothing about the answer: copied with its wrapping, or with keywords that nobody knows.

``{}`` and ``true`` accept everything and say so; they are fine. An object none of whose names is a keyword accepts
everything, too, but its writer meant something else.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from difyops.errors import ConfigError

_KEYWORDS = frozenset({
    "$schema", "$id", "id", "$ref", "$defs", "definitions", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef",
    "$recursiveAnchor", "$vocabulary", "$comment", "type", "enum", "const", "properties", "patternProperties",
    "additionalProperties", "unevaluatedProperties", "propertyNames", "required", "minProperties", "maxProperties",
    "dependencies", "dependentRequired", "dependentSchemas", "items", "prefixItems", "additionalItems",
    "unevaluatedItems", "contains", "minContains", "maxContains", "minItems", "maxItems", "uniqueItems", "minLength",
    "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "divisibleBy", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "title", "description", "default",
    "examples", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema",
    "extends", "disallow",
})  # fmt: skip
_ABOUT = frozenset({"name", "strict", "description", "title", "type", "$schema", "enabled", "version"})
_INNER = (
    "schema", "json_schema", "jsonSchema", "parameters", "input_schema", "inputSchema", "function", "structured_output",
    "response_format", "responseSchema", "response_schema", "responseJsonSchema", "text", "format",
)  # fmt: skip
_KINDS = ("json_schema", "function", "structured_output", "json_object")
_MOST_LAYERS = 4


def meant(document: dict[str, Any] | bool) -> tuple[dict[str, Any] | bool, str | None]:
    """Return the schema that is meant, and the members it was taken out of (``json_schema.schema``), if any.

    Raises:
        ConfigError: the schema says nothing.
    """
    path: list[str] = []
    while isinstance(document, dict) and len(path) < _MOST_LAYERS and (inner := _wrapped(document)) is not None:
        path.append(inner)
        document = document[inner]
    if isinstance(document, dict) and document and not _KEYWORDS & document.keys():
        raise _says_nothing(document)
    return document, ".".join(path) or None


def _wrapped(document: Mapping[str, Any]) -> str | None:
    """Return the member that holds the schema, if the object is exactly a known wrapping."""
    inner = [name for name in _INNER if isinstance(document.get(name), dict)]
    if len(inner) != 1 or not document.keys() <= {*_ABOUT, inner[0]}:
        return None
    if "type" in document and document["type"] not in _KINDS:
        return None
    held = document[inner[0]]
    return inner[0] if _KEYWORDS & held.keys() or _wrapped(held) is not None else None


def _says_nothing(document: Mapping[str, Any]) -> ConfigError:
    names = ", ".join(repr(name) for name in list(document)[:5])
    are = "is no keyword" if len(document) == 1 else "are no keywords"
    close = [
        f"{near[0]!r} instead of {name!r}"
        for name in list(document)[:20]
        if (near := difflib.get_close_matches(name, _KEYWORDS, n=1, cutoff=0.75))
    ]
    holders = [name for name, value in document.items() if isinstance(value, dict) and _KEYWORDS & value.keys()]
    if len(holders) == 1:
        hint = f"Did you mean its {holders[0]!r}? Give only that."
    elif holders and len(holders) == len(document):
        hint = 'These look like members: write {"type": "object", "properties": {...}} around them.'
    elif close:
        hint = f"Did you mean {', '.join(close)}?"
    else:
        hint = "Use {} or true for a schema that accepts everything."
    return ConfigError(f"The schema says nothing about an answer: {names} {are} of JSON Schema.", hint=hint)
