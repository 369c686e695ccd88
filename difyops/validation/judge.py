"""The judge: does a value satisfy a schema? The only home of jsonschema-rs.

A schema is compiled once and asked often. Draft 4 to 2020-12 (``$schema`` chooses, 2020-12 when absent), ``format``
is asserted, ``$ref`` stays inside the document, nothing is ever fetched. ``pattern`` runs on a linear-time engine; one
that this engine lacks (look-around, back-references) runs on a backtracking one, with at most 20,000 steps back, and
only for values of at most 20,000 characters of text in all; beyond either the value counts as a violation. So no answer
can make a pattern hang.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jsonschema_rs

from difyops.errors import ConfigError
from difyops.validation.explain import explain
from difyops.validation.reading.envelopes import KEYS
from difyops.validation.reading.shape import declared, nodes_at, speaks_of_members
from difyops.validation.schema_wrapper import meant
from difyops.validation.verdict import EnforceOptions, Path, Violation, pointer_of, shown

_LINEAR = jsonschema_rs.RegexOptions(size_limit=10_000_000)
_BACKTRACKING = jsonschema_rs.FancyRegexOptions(backtrack_limit=20_000, size_limit=10_000_000)
_MOST_TEXT = 20_000
_DRAFTS = re.compile(r"https?://json-schema\.org/(?:draft-0[467]/schema|draft/20(?:19-09|20-12)/schema)#?")


@dataclass(frozen=True, slots=True)
class Schema:
    """A compiled schema. ``document`` is its JSON; ``unwrapped`` tells what it was taken out of, if it was."""

    document: Mapping[str, Any] | bool
    words: frozenset[str] = field(repr=False)
    """The texts that ``enum`` and ``const`` list, at any level."""
    names: frozenset[str] = field(repr=False)
    """The names that it declares for the members of the whole answer."""
    openable: frozenset[str] = field(repr=False)
    """The members of envelopes that it does not declare; none if it says nothing of members."""
    accepts: Any = field(repr=False, compare=False)
    """``accepts(value) -> bool``. The value must hold no lone surrogate."""
    _validator: Any = field(repr=False, compare=False)
    _backtracks: bool = field(default=False, repr=False, compare=False)
    unwrapped: str | None = None

    def violations(self, value: object) -> tuple[tuple[Path, Violation], ...]:
        """Return what the schema does not allow, with the path of each; at most 100."""
        if self._backtracks and _holds_too_much_text(value):
            return (((), _TOO_MUCH_TEXT),)
        return explain(self.document, value) or (() if self.accepts(value) else (((), _UNTOLD),))


@dataclass(frozen=True, slots=True)
class JudgeRules:
    """What an answer is judged by: the schema, and how far the ladder may go."""

    schema: Schema
    options: EnforceOptions


def compile_schema(document: dict[str, Any] | bool) -> Schema:
    """Return the compiled schema.

    Raises:
        ConfigError: it is not a schema; the message says where. Or a ``$ref`` leaves the document.
    """
    if not isinstance(document, dict | bool):
        raise ConfigError(f"A schema is an object (or true or false), not {type(document).__name__}.")
    document, unwrapped = meant(document)
    draft = document.get("$schema", "") if isinstance(document, dict) else ""
    if draft and not (isinstance(draft, str) and _DRAFTS.fullmatch(draft)):
        raise ConfigError(
            f"The schema is written for {shown(draft)}, which is not a known meta-schema.",
            hint="Use Draft 4, 6, 7, 2019-09 or 2020-12 (leave $schema out for 2020-12).",
        )
    try:
        validator, backtracks = _validator(document)
    except jsonschema_rs.ValidationError as error:
        raise _schema_error(error, document) from None
    except (jsonschema_rs.ReferencingError, ValueError, RecursionError) as error:
        raise ConfigError(f"The schema cannot be used: {_first_line(error)}") from None
    accepts = _bounded(validator.is_valid) if backtracks else validator.is_valid
    words, names = frozenset(_listed(document)), declared(nodes_at(document, ()))
    openable = KEYS - names if speaks_of_members(document) else frozenset()
    return Schema(document, words, names, openable, accepts, validator, backtracks, unwrapped)


def _bounded(is_valid: Callable[[object], bool]) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        return not _holds_too_much_text(value) and is_valid(value)

    return accepts


def _holds_too_much_text(value: object) -> bool:
    size = 0
    todo = [value]
    while todo:
        node = todo.pop()
        if isinstance(node, str):
            size += len(node)
            if size > _MOST_TEXT:
                return True
        elif isinstance(node, dict):
            todo.extend(node)
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return False


_UNTOLD = Violation(
    pointer="", value=None, expected="the schema", message="The value does not satisfy the schema as a whole."
)
_TOO_MUCH_TEXT = Violation(
    pointer="",
    value=None,
    expected=f"pattern: at most {_MOST_TEXT:,} characters",
    message="There is too much text for a pattern with look-around or back-references.",
)


def compiled(schema: Schema | Mapping[str, Any] | bool) -> Schema:
    """Return a compiled schema as it is, and compile a document, remembering the last few."""
    if isinstance(schema, Schema):
        return schema
    try:
        return _remembered(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"The schema is not JSON: {_first_line(error)}") from None


@lru_cache(maxsize=32)
def _remembered(text: str) -> Schema:
    return compile_schema(json.loads(text))


def _validator(document: dict[str, Any] | bool) -> tuple[Any, bool]:
    """Return the validator, and whether it needs the backtracking engine."""
    try:
        return _built(document, _LINEAR), False
    except jsonschema_rs.ValidationError as error:
        if error.kind.name != "format":
            raise
        return _built(document, _BACKTRACKING), True


def _built(document: dict[str, Any] | bool, patterns: Any) -> Any:
    return jsonschema_rs.validator_for(document, validate_formats=True, offline=True, pattern_options=patterns)


def _schema_error(error: jsonschema_rs.ValidationError, document: dict[str, Any] | bool) -> ConfigError:
    """Turn a refusal of the schema itself into one sentence with its place."""
    message = _first_line(error)
    if "not present in a registry" in message or "etrieval" in message:
        outside = _reference_outside(document)
        return ConfigError(
            f"The schema refers to something outside itself{f' at {pointer_of(outside)}' if outside else ''}: "
            f"{message.split(' is not present')[0].removeprefix('Resource ')}",
            hint="Copy the definition under $defs and refer to it as #/$defs/NAME; nothing is fetched.",
            details={"pointer": pointer_of(outside), "path": outside} if outside else {},
        )
    path = tuple(error.instance_path)
    return ConfigError(
        f"The schema is wrong at {pointer_of(path) or '/'}: {message}",
        details={"pointer": pointer_of(path), "path": path},
    )


def _reference_outside(document: object) -> Path:
    """Return the path of the first reference that does not begin with ``#``; empty when there is none."""
    todo: list[tuple[Path, object]] = [((), document)]
    while todo:
        path, node = todo.pop(0)
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("$ref", "$dynamicRef") and isinstance(value, str) and not value.startswith("#"):
                    return (*path, key)
                todo.append(((*path, key), value))
        elif isinstance(node, list):
            todo.extend(((*path, index), item) for index, item in enumerate(node))
    return ()


def _listed(node: object) -> set[str]:
    """Collect the texts that ``enum`` and ``const`` list, at any level."""
    words: set[str] = set()
    todo = [node]
    while todo:
        current = todo.pop()
        if isinstance(current, dict):
            listed = current.get("enum")
            words.update(item for item in (listed if isinstance(listed, list) else []) if isinstance(item, str))
            if isinstance(current.get("const"), str):
                words.add(current["const"])
            todo.extend(current.values())
        elif isinstance(current, list):
            todo.extend(current)
    return words


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
