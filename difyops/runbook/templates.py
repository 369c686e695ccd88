"""``${inputs.NAME}`` and ``${steps.ID.values.NAME}`` in parameters. Whole references keep their type; no code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from difyops.runbook.expression import look_up

_PLACE = re.compile(r"\$\{([^{}]*)\}")  # spaces inside are taken off afterwards: skipping them here takes cubic time
_NAME = re.compile(r"inputs\.[a-z]\w*|steps\.[a-z]\w*\.(?:status|values\.\w+)|run\.(?:id|runbook|context)")


def names_in(value: Any) -> Iterator[str]:
    """Yield what stands between ``${`` and ``}`` anywhere in a value."""
    if isinstance(value, str):
        yield from (name.strip() for name in _PLACE.findall(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from names_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from names_in(item)


def steps_in(value: Any) -> frozenset[str]:
    """Return the ids of the steps that a value uses."""
    return frozenset(name.split(".")[1] for name in names_in(value) if is_name(name) and name.startswith("steps."))


def is_name(name: str) -> bool:
    """Say whether a name can be filled in at all."""
    return _NAME.fullmatch(name) is not None


def whole_name(value: Any) -> str | None:
    """Return the name when the value is nothing but one reference."""
    match = _PLACE.fullmatch(value.strip()) if isinstance(value, str) else None
    return match[1].strip() if match else None


def has_names(value: Any) -> bool:
    """Say whether anything is to be filled in."""
    return next(names_in(value), None) is not None


def filled(value: Any, scope: Mapping[str, Any]) -> Any:
    """Return ``value`` with every reference replaced; one that is a whole text keeps its type."""
    if isinstance(value, str):
        name = whole_name(value)
        if name is not None:
            return look_up(tuple(name.split(".")), scope)
        return _PLACE.sub(lambda match: _text(look_up(tuple(match[1].strip().split(".")), scope)), value)
    if isinstance(value, Mapping):
        return {key: filled(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, scope) for item in value]
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
