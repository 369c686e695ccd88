"""Which places of a value violate a schema, and how: an explainer that takes a bounded number of steps.

The compiled validator decides whether a value is valid; this only tells why one is not. Where a schema has branches
(``anyOf``, ``oneOf``) the one that was meant is explained: the one whose constants the value bears, else the one with
the fewest faults, the deepest of equals. What it does not know it passes over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs

from difyops.validation.reading.shape import resolve
from difyops.validation.verdict import Path, Violation, pointer_of, shown

Fault = tuple[Path, Violation]
Faults = list[Fault]

_MOST_STEPS = 20_000
_MOST_VIOLATIONS = 100
_DEEPEST = 60
_TYPES: dict[str, Callable[[object], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: not isinstance(v, bool) and (isinstance(v, int) or (isinstance(v, float) and v.is_integer())),
}
_LEAVES = (
    "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
)  # fmt: skip


def explain(document: Mapping[str, Any] | bool, value: object) -> tuple[Fault, ...]:
    """Return what the schema does not allow, with the path of each; at most 100, none when no fault was found."""
    found = _Explainer(document).faults(document, value, ())
    return tuple(found[:_MOST_VIOLATIONS])


class _Explainer:
    def __init__(self, document: object) -> None:
        self.document = document
        self.draft = document.get("$schema") if isinstance(document, dict) else None
        self.steps = 0
        self.known: dict[tuple[int, int], Faults] = {}

    def faults(self, schema: object, value: object, path: Path) -> Faults:
        """Return the faults of a value by one subschema."""
        if schema is False:
            return [_fault(path, value, "false", False, "no value is allowed here")]
        if not isinstance(schema, dict):
            return []
        self.steps += 1
        if self.steps > _MOST_STEPS or len(path) > _DEEPEST:
            return []
        key = (id(schema), id(value))
        known = self.known.get(key)
        if known is None:
            self.known[key] = []  # a reference that leads back to itself adds nothing
            known = [*self._each(schema, value, path)][:_MOST_VIOLATIONS]
            self.known[key] = known
        return known

    def _each(self, schema: Mapping[str, Any], value: object, path: Path) -> Iterator[Fault]:
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            yield from self.faults(resolve(self.document, reference), value, path)
        yield from self._type(schema, value, path)
        yield from self._leaves(schema, value, path)
        if isinstance(value, dict):
            yield from self._members(schema, value, path)
        elif isinstance(value, list):
            yield from self._elements(schema, value, path)
        yield from self._branches(schema, value, path)

    def _type(self, schema: Mapping[str, Any], value: object, path: Path) -> Iterator[Fault]:
        wanted = schema.get("type")
        kinds = wanted if isinstance(wanted, list) else [wanted] if isinstance(wanted, str) else []
        if kinds and not any(_is_of(str(kind), value) for kind in kinds):
            names = " or ".join(f'"{kind}"' for kind in kinds)
            yield _fault(path, value, "type", wanted, f"{_short(value)} is not of type {names}")

    def _leaves(self, schema: Mapping[str, Any], value: object, path: Path) -> Iterator[Fault]:
        for keyword in _LEAVES:
            if keyword not in schema:
                continue
            wanted = schema[keyword]
            part = {keyword: wanted}
            if self.draft:
                part["$schema"] = self.draft
            if self.draft and keyword.endswith("imum") and f"exclusive{keyword[0].upper()}{keyword[1:]}" in schema:
                name = f"exclusive{keyword[0].upper()}{keyword[1:]}"
                part[name] = schema[name]
            elif keyword.startswith("exclusive") and isinstance(wanted, bool):
                continue
            message = _leaf_message(part, value)
            if message is not None:
                yield _fault(path, value, keyword, wanted, message)

    def _members(self, schema: Mapping[str, Any], value: dict[str, Any], path: Path) -> Iterator[Fault]:
        properties = _mapping(schema.get("properties"))
        patterns = _mapping(schema.get("patternProperties"))
        for name in _names(schema.get("required")):
            if name not in value:
                yield _fault(path, value, "required", name, f'"{name}" is a required property')
        for name, item in value.items():
            below = (*path, name)
            matching = [inner for pattern, inner in patterns.items() if _matches(pattern, name)]
            for inner in [*([properties[name]] if name in properties else []), *matching]:
                yield from self.faults(inner, item, below)
            if name not in properties and not matching and "additionalProperties" in schema:
                others = schema["additionalProperties"]
                if others is False:
                    text = f"Additional properties are not allowed ('{name}' was unexpected)"
                    yield _fault(path, value, "additionalProperties", False, text)
                else:
                    yield from self.faults(others, item, below)
            if "propertyNames" in schema:
                yield from self.faults(schema["propertyNames"], name, path)
        for keyword in ("dependentRequired", "dependencies", "dependentSchemas"):
            yield from self._dependents(_mapping(schema.get(keyword)), value, path)

    def _dependents(self, wanted: Mapping[str, Any], value: dict[str, Any], path: Path) -> Iterator[Fault]:
        for name, needs in wanted.items():
            if name not in value:
                continue
            for other in _names(needs):
                if other not in value:
                    yield _fault(path, value, "required", other, f'"{other}" is required beside "{name}"')
            if isinstance(needs, dict | bool):
                yield from self.faults(needs, value, path)

    def _elements(self, schema: Mapping[str, Any], value: list[Any], path: Path) -> Iterator[Fault]:
        items = schema.get("items")
        first = items if isinstance(items, list) else schema.get("prefixItems")
        first = first if isinstance(first, list) else []
        rest = schema.get("additionalItems") if isinstance(items, list) else items
        for number, item in enumerate(value):
            inner = first[number] if number < len(first) else rest
            if inner is not None:
                yield from self.faults(inner, item, (*path, number))
        wanted = schema.get("contains") if schema.get("minContains") != 0 else None
        if wanted is not None and all(self.faults(wanted, item, (*path, n)) for n, item in enumerate(value)):
            yield _fault(path, value, "contains", None, "no item is as the schema wants one")

    def _branches(self, schema: Mapping[str, Any], value: object, path: Path) -> Iterator[Fault]:
        for inner in _list(schema.get("allOf")):
            yield from self.faults(inner, value, path)
        for keyword in ("anyOf", "oneOf"):
            branches = _list(schema.get(keyword))
            if branches:
                yield from self._branch(keyword, branches, value, path)
        if "not" in schema and not self.faults(schema["not"], value, path) and self.steps < _MOST_STEPS:
            yield _fault(path, value, "not", None, f"{_short(value)} is what the schema forbids")
        if "if" in schema:
            branch = "else" if self.faults(schema["if"], value, path) else "then"
            if branch in schema:
                yield from self.faults(schema[branch], value, path)

    def _branch(self, keyword: str, branches: list[Any], value: object, path: Path) -> Iterator[Fault]:
        each = [self.faults(branch, value, path) for branch in branches]
        fitting = [number for number, found in enumerate(each) if not found]
        if fitting:
            if keyword == "oneOf" and len(fitting) > 1 and self.steps < _MOST_STEPS:
                text = f"{_short(value)} is valid under {len(fitting)} of the branches, and may be under one only"
                yield _fault(path, value, "oneOf", None, text)
            return
        number = min(range(len(each)), key=lambda n: (not self._is_meant(branches[n], value), *_weight(each[n], path)))
        yield from each[number]

    def _is_meant(self, branch: object, value: object) -> bool:
        """Return whether a branch says by a constant that it is meant for values like this one."""
        seen = 0
        while isinstance(branch, dict) and isinstance(branch.get("$ref"), str) and seen < 10:
            branch, seen = resolve(self.document, branch["$ref"]), seen + 1
        if not isinstance(branch, dict) or not isinstance(value, dict):
            return False
        listed = False
        for name, inner in _mapping(branch.get("properties")).items():
            constants = [inner["const"]] if isinstance(inner, dict) and "const" in inner else None
            if constants is None and isinstance(inner, dict) and isinstance(inner.get("enum"), list):
                constants = inner["enum"] if len(inner["enum"]) <= 3 else None
            if constants is not None and name in value:
                if value[name] not in constants:
                    return False
                listed = True
        return listed


def _is_of(kind: str, value: object) -> bool:
    test = _TYPES.get(kind)
    return test is None or test(value)


def _weight(found: Faults, path: Path) -> tuple[bool, int, int]:
    """Return what orders branches: a wrong type at the very place is worst, then many faults, then shallow ones."""
    wrong_kind = any(place == path and fault.expected.startswith("type") for place, fault in found)
    return wrong_kind, len(found), -max((len(place) for place, _ in found), default=0)


def _fault(path: Path, value: object, keyword: str, wanted: object, message: str) -> Fault:
    if len(message) > 300:
        message = message[:140] + " … " + message[-140:]
    return path, Violation(
        pointer=pointer_of(path), value=shown(value), expected=_expected(keyword, wanted), message=message
    )


def _expected(keyword: str, wanted: object) -> str:
    """Say what the keyword asks for: ``type: integer``, ``required: name``, ``enum: "a" | "b"``."""
    if keyword == "additionalProperties":
        return "additionalProperties: no others"
    if wanted is None and keyword != "const":
        return keyword
    if isinstance(wanted, list):
        if keyword == "type":
            return "type: " + " | ".join(str(item) for item in wanted)
        return f"{keyword}: " + " | ".join(json.dumps(item, ensure_ascii=False, default=str) for item in wanted[:20])
    if isinstance(wanted, str):
        return f"{keyword}: {wanted}"
    return f"{keyword}: {json.dumps(wanted, ensure_ascii=False, default=str)}"


def _leaf_message(part: dict[str, Any], value: object) -> str | None:
    """Return what the library says of one keyword alone, ``None`` when the value is fine by it."""
    try:
        leaf = _leaf(json.dumps(part, sort_keys=True))
        if leaf is None or leaf.is_valid(value):
            return None
        error = next(iter(leaf.iter_errors(value)))
    except (ValueError, TypeError, StopIteration, RecursionError):
        return None
    return str(error).split("\n", 1)[0]


@lru_cache(maxsize=512)
def _leaf(text: str) -> Any:
    part = json.loads(text)
    for patterns in (
        jsonschema_rs.RegexOptions(size_limit=10_000_000),
        jsonschema_rs.FancyRegexOptions(backtrack_limit=20_000),
    ):
        try:
            return jsonschema_rs.validator_for(part, validate_formats=True, offline=True, pattern_options=patterns)
        except (jsonschema_rs.ValidationError, ValueError):
            continue
    return None


def _matches(pattern: str, name: str) -> bool:
    return _leaf_message({"pattern": pattern}, name) is None


def _short(value: object) -> str:
    text = (
        json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, dict | list) else str(shown(value))
    )
    return text if len(text) <= 80 else text[:79] + "…"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _names(value: object) -> list[str]:
    return [item for item in _list(value) if isinstance(item, str)]
