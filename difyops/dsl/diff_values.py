"""Compares two JSON values field by field. Lists of named things are matched by name, so that an insertion is one.

Knows nothing of nodes or features; ``diff`` gives the differences a place and a kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from difyops.dsl.marks import agree, shown
from difyops.dsl.suspicion import credentials
from difyops.secret_text import STARS

Step = str | int
Difference = tuple[tuple[Step, ...], Any, Any]

MISSING: Final = object()
_IDENTITIES = ("id", "case_id", "variable", "name", "key")


def compare(old: Any, new: Any, path: tuple[Step, ...] = ()) -> Iterator[Difference]:
    """Yield ``(path, before, after)`` for every difference; ``MISSING`` stands for a side that has no such field."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _compare_field(old.get(key, MISSING), new.get(key, MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(old, new, path)
    elif not agree(old, new) or isinstance(old, bool) != isinstance(new, bool):
        yield path, old, new


def without_credentials(value: Any) -> Any:
    """Return ``value`` for display: texts lose what has a credential's format, marks their digits; ``MISSING`` becomes
    ``None``.
    """
    if isinstance(value, str):
        for start, end, _ in reversed(credentials(value)):
            value = value[:start] + STARS + value[end:]
        return shown(value)
    if isinstance(value, dict):
        return {key: without_credentials(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_credentials(item) for item in value]
    return None if value is MISSING else value


def _compare_field(old: Any, new: Any, path: tuple[Step, ...]) -> Iterator[Difference]:
    if old is MISSING or new is MISSING:
        yield path, old, new
    else:
        yield from compare(old, new, path)


def _compare_lists(old: list[Any], new: list[Any], path: tuple[Step, ...]) -> Iterator[Difference]:
    old_names, new_names = _names(old), _names(new)
    if old_names and new_names and not old_names.keys().isdisjoint(new_names):
        yield from _compare_named(old_names, new_names, path)
    elif _is_plain(old) and _is_plain(new):
        if len(old) != len(new) or any(True for pair in zip(old, new, strict=True) for _ in compare(*pair)):
            yield path, old, new
    else:
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else MISSING
            after = new[index] if index < len(new) else MISSING
            yield from _compare_field(before, after, (*path, index))


def _compare_named(old: dict[str, Any], new: dict[str, Any], path: tuple[Step, ...]) -> Iterator[Difference]:
    for name in [*old, *(name for name in new if name not in old)]:
        yield from _compare_field(old.get(name, MISSING), new.get(name, MISSING), (*path, name))
    before = [name for name in old if name in new]
    after = [name for name in new if name in old]
    if before != after:
        yield path, before, after


def _names(items: list[Any]) -> dict[str, Any]:
    """Return the items by the first field that names each of them differently; empty when there is none."""
    if not all(isinstance(item, dict) for item in items):
        return {}
    for identity in _IDENTITIES:
        named = {item[identity]: item for item in items if isinstance(item.get(identity), str)}
        if len(named) == len(items):
            return named
    return {}


def _is_plain(items: list[Any]) -> bool:
    return not any(isinstance(item, (dict, list)) for item in items)
