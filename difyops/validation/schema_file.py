"""Schemas as people keep them: JSON or YAML text. An error is told with its line.

Files are read by the caller; this module only sees text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from difyops.errors import ConfigError
from difyops.validation.faults import fault
from difyops.validation.judge import Schema, compile_schema
from difyops.validation.reading import strict
from difyops.validation.reading.model import RefusedText
from difyops.validation.reading.places import starts
from difyops.validation.verdict import EnforceOptions, Path

_LIMITS = EnforceOptions(max_chars=5_000_000, max_depth=100)


def read_schema(content: bytes | str, *, what: str = "the schema") -> Schema:
    """Return the compiled schema that a JSON or YAML text holds. ``what`` names it in messages (a file name).

    Raises:
        ConfigError: not UTF-8, neither JSON nor YAML, a repeated key, not a schema, or a reference that leaves the
            document; the message says what, line and place.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} is not UTF-8 text (byte {error.start}).") from None
    if not text.strip():
        raise ConfigError(f"{what} is empty.")
    document, line_at = _parsed(text, what)
    try:
        return compile_schema(document)
    except ConfigError as error:
        pointer = error.details.get("path")
        place = f":{line_at(pointer)}" if isinstance(pointer, tuple) else ""
        raise ConfigError(f"{what}{place}: {error.message}", hint=error.hint, details=_public(error)) from None


def _parsed(text: str, what: str) -> tuple[Any, Callable[[Path], int]]:
    """Return the document and the way from a path in it to its line."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return strict.loads(text, _LIMITS), lambda path: _line_of(text, path)
        except RefusedText as error:
            sentence = error.message or fault(error.code).message
            sentence = sentence.replace("The answer", "The schema").replace("in the answer", "in the schema")
            raise ConfigError(f"{what}: {sentence}") from None
        except json.JSONDecodeError as error:
            broken = f"{what}:{error.lineno}: this is not JSON: {error.msg} (column {error.colno})."
        except ValueError as error:
            broken = f"{what}: this is not JSON: {error}."
        return _yaml(text, what, otherwise=broken)
    return _yaml(text, what)


def _yaml(text: str, what: str, otherwise: str | None = None) -> tuple[Any, Callable[[Path], int]]:
    from difyops.dsl.load import load_yaml_with_lines
    from difyops.dsl.model import DslError

    try:
        document, lines = load_yaml_with_lines(text, what=what)
    except DslError as error:
        raise ConfigError(otherwise or error.message) from None
    return document, lines.at


def _public(error: ConfigError) -> dict[str, object]:
    return {key: value for key, value in error.details.items() if key != "path"}


def _line_of(text: str, path: Path) -> int:
    """Return the 1-based line of a place in a JSON text, of the nearest place above when it is not there."""
    places = starts(text)
    while path and path not in places:
        path = path[:-1]
    return text.count("\n", 0, places.get(path, 0)) + 1
