"""The schema of a check or action: its keyword-only annotated parameters. Reading values against it.

Types in YAML: text, number, whole number, yes/no, duration (``90s``, ``10m``, ``2h``, ``7d``; seconds inside), list of
texts, mapping, one of several words, and reference (``env:``, ``file:``, ``keyring:``, ``cmd:``: never the secret).
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from difyops.setting_problems import BadSetting, named
from difyops.setting_values import duration_up_to, reference

Duration = Annotated[float, "duration"]
Reference = Annotated[str, "reference"]

_KINDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "yes/no"}
_DURATION = duration_up_to(100 * 365 * 86400.0)
_LARGEST = 1e300
_MISSING = inspect.Parameter.empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter. ``kind``: text, number, whole number, yes/no, duration, list, mapping, reference, choice."""

    name: str
    kind: str
    default: Any = _MISSING
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def required(self) -> bool:
        """Say whether it must be given."""
        return self.default is _MISSING

    @property
    def shown(self) -> str:
        """Return its type for people."""
        return " | ".join(self.choices) if self.choices else self.kind


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the keyword-only parameters of a check or action by name.

    Raises:
        TypeError: one has no annotation, or one that YAML cannot give.
    """
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for item in inspect.signature(function).parameters.values():
        if item.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if item.name not in hints:
            raise TypeError(f"{function.__module__}: the parameter {item.name} has no annotation.")
        found[item.name] = _parameter(item.name, hints[item.name], item.default)
    return found


def read(parameter: Parameter, value: Any) -> Any:
    """Return ``value`` as the check gets it (durations in seconds).

    Raises:
        BadSetting: it is of another type.
    """
    if value is None:
        if parameter.optional:
            return None
        raise BadSetting(f"expected {parameter.shown}, found nothing")
    match parameter.kind:
        case "duration":
            return seconds(value)
        case "number" if _is_number(value):
            return float(value)
        case "whole number" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "yes/no" if isinstance(value, bool):
            return value
        case "text" if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        case "list":
            return _texts(value)
        case "mapping" if isinstance(value, Mapping):
            return dict(value)
        case "reference":
            return None if value == "" and parameter.optional else reference(value)
        case "choice" if value in parameter.choices:
            return value
    raise BadSetting(f"expected {parameter.shown}, found {named(value)}")


def from_text(kind: str, text: str) -> Any:
    """Return what ``--set name=text`` means for an input of that kind.

    Raises:
        BadSetting: the text cannot be read as such.
    """
    try:
        match kind:
            case "number":
                return read(Parameter(name="", kind=kind), float(text))
            case "whole number":
                return int(text)
            case "list":
                return [part.strip() for part in text.split(",") if part.strip()]
            case "yes/no" if text in ("yes", "true", "no", "false"):
                return text in ("yes", "true")
            case "yes/no":
                raise BadSetting(f"expected yes or no, found {text!r}")
    except ValueError as error:
        raise BadSetting(f"expected {kind}, found {text!r}") from error
    return text


def seconds(value: Any) -> float:
    """Return a duration in seconds: a number, or ``500ms``, ``90s``, ``10m``, ``2h``, ``7d``.

    Raises:
        BadSetting: it is neither.
    """
    return float(_DURATION.read(value))


def _is_number(value: Any) -> bool:
    """Say whether a value can be a limit: infinity is never passed, and nothing is above what is not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _texts(value: Any) -> list[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or any(isinstance(item, dict | list | bool) or item is None for item in items):
        raise BadSetting(f"expected a list of texts, found {named(value)}")
    return [str(item) for item in items]


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    bare, optional = _without_none(hint)
    origin = get_origin(bare)
    if origin is Literal:
        return Parameter(name=name, kind="choice", default=default, choices=get_args(bare), optional=optional)
    if origin is Annotated:
        return Parameter(name=name, kind=get_args(bare)[1], default=default, optional=optional)
    kind = "list" if origin is list else "mapping" if origin is dict else _KINDS.get(bare)
    if kind is None:
        raise TypeError(f"The parameter {name} has a type that YAML cannot give: {hint}.")
    return Parameter(name=name, kind=kind, default=default, optional=optional)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [item for item in get_args(hint) if item is not type(None)]
        return (rest[0], True) if len(rest) == 1 else (hint, False)
    return hint, False
