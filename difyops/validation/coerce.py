"""Schema-guided coercion, only when asked for: a value of the wrong type that can be the right one without loss.

    "7", "7.5"          to a number where the schema wants one          7, true      to text where it wants text
    "yes", "TRUE"       to true or false                                "Red "       to the listed "red"
    "null", ""          to null where the schema wants null             5            to [5] where it wants a list
    "{...}", "[...]"    to the object or list it spells                 7.0          to 7

Each change is an edit, and the result stands only if the whole value satisfies the schema afterwards.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator

from difyops.validation.judge import JudgeRules
from difyops.validation.reading import strict
from difyops.validation.reading.model import RefusedText
from difyops.validation.reading.shape import choices, nodes_at, types
from difyops.validation.verdict import EnforceOptions, Path

_INTEGER = re.compile(r"\s*[+-]?\d{1,400}\s*")
_NUMBER = re.compile(r"\s*[+-]?(?:\d{1,300}\.?\d{0,300}|\.\d{1,300})(?:[eE][+-]?\d{1,2})?\s*")
_YES, _NO = frozenset({"true", "yes", "y", "on", "1"}), frozenset({"false", "no", "n", "off", "0"})
_MOST_ROUNDS = 4
Note = tuple[Path, object, object]
"""Where a value was changed, before and after."""


def coerced(value: object, rules: JudgeRules) -> tuple[object, tuple[Note, ...]] | None:
    """Return the value made to satisfy the schema and what was changed, ``None`` when it cannot be."""
    notes: list[Note] = []
    current = copy.deepcopy(value)
    for _ in range(_MOST_ROUNDS):
        places = {path for path, _ in rules.schema.violations(current)}
        if not places:
            return current, tuple(notes)
        changed = False
        for path in sorted(places, key=len):
            done = _change(current, path, rules)
            if done is not None:
                current, note = done
                notes.append(note)
                changed = True
        if not changed:
            return None
    return (current, tuple(notes)) if rules.schema.accepts(current) else None


def _change(root: object, path: Path, rules: JudgeRules) -> tuple[object, Note] | None:
    before = _get(root, path)
    nodes = nodes_at(rules.schema.document, path)
    for after in _alternatives(before, types(nodes), choices(nodes), rules.options):
        changed = _put(root, path, after)
        if not any(place == path for place, _ in rules.schema.violations(changed)):
            return changed, (path, copy.deepcopy(before), copy.deepcopy(after))
        _put(changed, path, before)
    return None


def _alternatives(
    value: object, wanted: frozenset[str], listed: list[object], options: EnforceOptions
) -> Iterator[object]:
    if isinstance(value, str):
        yield from _same_but_for_case(value, listed)
    for kind, change in _CHANGES.items():
        if kind in wanted:
            yield from change(value)
    if isinstance(value, str) and wanted & {"object", "array"}:
        yield from _spelled(value, options)
    if "array" in wanted and not isinstance(value, list) and value is not None:
        yield [value]


def _same_but_for_case(text: str, listed: list[object]) -> Iterator[object]:
    same = {choice for choice in listed if isinstance(choice, str) and _plain(choice) == _plain(text)}
    if len(same) == 1:
        yield same.pop()


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-]+", " ", text.strip()).casefold()


def _to_integer(value: object) -> Iterator[object]:
    spelled = isinstance(value, str) and _INTEGER.fullmatch(value)
    if isinstance(value, str | float) and (spelled or (isinstance(value, float) and value.is_integer())):
        yield int(value)


def _to_number(value: object) -> Iterator[object]:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        yield int(value)
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
        if number - number == 0.0:
            yield number


def _to_boolean(value: object) -> Iterator[object]:
    word = str(value).strip().casefold() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if word in _YES or word in _NO:
        yield word in _YES


def _to_null(value: object) -> Iterator[object]:
    if isinstance(value, str) and value.strip().casefold() in ("null", "none", ""):
        yield None


def _to_text(value: object) -> Iterator[object]:
    if isinstance(value, bool | int | float):
        yield json.dumps(value)


_CHANGES: dict[str, Callable[[object], Iterator[object]]] = {
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "null": _to_null,
    "string": _to_text,
}


def _spelled(text: str, options: EnforceOptions) -> Iterator[object]:
    try:
        value = strict.loads(text, options)
    except (RefusedText, ValueError):
        return
    if isinstance(value, dict | list):
        yield value


def _get(root: object, path: Path) -> object:
    for step in path:
        root = root[step]  # type: ignore[index]  # the path comes from the value itself
    return root


def _put(root: object, path: Path, value: object) -> object:
    if not path:
        return value
    parent = _get(root, path[:-1])
    parent[path[-1]] = value  # type: ignore[index]
    return root
