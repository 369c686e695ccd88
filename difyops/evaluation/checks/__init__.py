"""Checks of an answer: one file is one check. Its name is the file's, its docstring the help.

``check`` takes what was answered and its own parameters (keyword-only, annotated, checked when the case is read) and
returns what it found. ``wrong(parameters)`` may say what is wrong with parameters of the right types. Others add theirs
under the entry points ``difyops.evaluations``.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from difyops.errors import UsageError
from difyops.plugins import Registry
from difyops.setting_problems import BadSetting

PASS, FAIL, NOT_JUDGED = "pass", "fail", "not judged"
_TYPES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}
_MOST_SHOWN = 80

Ask = Callable[[str, str], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFound:
    """What a check found: pass, fail or not judged, why, and how good it was from 0 to 1 where that can be told."""

    word: str
    why: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInput:
    """What is looked at. ``value``: the answer's outputs, its text, or what ``at`` points at; ``text``: the same as
    text. ``ask`` asks another app and returns its answer, and raises ``DifyopsError``.
    """

    value: Any
    text: str
    query: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""
    ask: Ask


def passed(why: str = "") -> CheckFound:
    """Return a pass."""
    return CheckFound(word=PASS, why=why, score=1.0)


def failed(why: str) -> CheckFound:
    """Return a failure."""
    return CheckFound(word=FAIL, why=why, score=0.0)


def shown(value: object) -> str:
    """Return a value as it is quoted in a sentence, shortened."""
    text = value if isinstance(value, str) else as_text(value)
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")


def as_text(value: object) -> str:
    """Return a value as text: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def fit(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a check by name; the key ``""`` stands for the first one.

    Raises:
        BadSetting: there is no such check, or a parameter is missing, unknown, of another type, or makes no sense.
    """
    try:
        module: Any = CHECKS.get(name).module
    except UsageError as error:
        raise BadSetting(error.message, error.hint) from None
    known = {key: item for key, item in inspect.signature(module.check).parameters.items() if item.kind is _NAMED}
    first = next(iter(known), "")
    found = {key or first: value for key, value in given.items()}
    for key in found:
        if key not in known:
            raise BadSetting(f"{name} has no parameter {key!r} (it has: {', '.join(known)})")
    for key, item in known.items():
        if key not in found and item.default is item.empty:
            raise BadSetting(f"{name} wants {key}")
    types = get_type_hints(module.check)
    for key, value in found.items():
        if wanted := _other_type(value, types[key]):
            raise BadSetting(f"{key} must be {wanted}")
    said = module.wrong(found) if hasattr(module, "wrong") else None
    if said:
        raise BadSetting(said)
    return found


def _other_type(value: object, kind: Any) -> str | None:
    """Return what a parameter must be, ``None`` when the value is that."""
    if kind is float:
        ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    elif kind is int:
        ok = isinstance(value, int) and not isinstance(value, bool)
    else:
        ok = kind not in _TYPES or isinstance(value, kind)
    return None if ok else _TYPES[kind]


_NAMED = inspect.Parameter.KEYWORD_ONLY
CHECKS = Registry(package=__name__, group="difyops.evaluations", member="check", word="evaluation check")
