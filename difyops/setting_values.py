"""The kinds of values that settings have beside plain ones: durations, sizes, references, limits. Pure.

duration  500ms  90s  10m  2h  7d  1.5h   (a bare number is seconds)
size      512    64KB  10MB  1.5GB        (binary: 1 KB is 1024 bytes)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

from difyops.setting_problems import BadSetting, named
from difyops.settings import SettingType
from difyops.trust import is_reference

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_YEAR = 365 * 86400.0
_BYTES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[KMGT]B)?", re.IGNORECASE)
_REFERENCE = r"^(keyring|env|file|cmd):."


def duration(value: object, *, zero: bool = True, longest: float = math.inf) -> float:
    """Return a duration in seconds. ``zero``: nothing at all is a duration, too, where "at once" has a meaning.

    Raises:
        BadSetting: it is neither a number of seconds nor a number with a unit, or outside its limits.
    """
    found = _number(value, _DURATION, _SECONDS, "s")
    if found is None or not (found > 0 or (zero and found == 0)):
        raise BadSetting("expected a duration such as 90s, 10m, 2h or 7d")
    if found > longest:
        most = f"{longest / 86400:g} days" if longest < _YEAR else f"{longest / _YEAR:g} years"
        raise BadSetting(f"expected a duration of at most {most}")
    return found


def size(value: object) -> int:
    """Return a size in bytes.

    Raises:
        BadSetting: it is neither a number of bytes nor a number with a unit.
    """
    found = _number(value, _SIZE, _BYTES, "B")
    if found is None:
        raise BadSetting("expected a size such as 64KB, 10MB or 1.5GB")
    return int(found)


def duration_up_to(longest: float = math.inf, *, zero: bool = True) -> SettingType:
    """Return durations up to ``longest`` seconds."""
    return SettingType(_and_found(partial(duration, zero=zero, longest=longest)), {"type": ["string", "number"]})


def whole(least: int, most: int) -> SettingType:
    """Return whole numbers within limits."""

    def limited(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise BadSetting(f"expected a whole number from {least} to {most}, found {named(value)}")

    return SettingType(limited, {"type": "integer", "minimum": least, "maximum": most})


def one_of(*known: str) -> SettingType:
    """Return texts of which there are a few."""

    def chosen(value: Any) -> str:
        if isinstance(value, str) and value in known:
            return value
        raise BadSetting(f"{named(value)} is none of {', '.join(known)}")

    return SettingType(chosen, {"enum": list(known)})


def text_like(pattern: re.Pattern[str], said: str) -> SettingType:
    """Return texts that a pattern fits as a whole; ``said`` is what such a text is."""

    def fitting(value: Any) -> str:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        raise BadSetting(f"expected {said}, found {named(value)}")

    return SettingType(fitting, {"type": "string", "pattern": f"^(?:{pattern.pattern})$"})


def reference(value: Any) -> str:
    """Return a reference to a secret.

    Raises:
        BadSetting: it is none; it is not repeated, for it may be the secret itself.
    """
    if isinstance(value, str) and is_reference(value):
        return value
    raise BadSetting(
        "expected a reference (keyring:SERVICE/NAME, env:NAME, file:PATH or cmd:COMMAND), never the secret itself"
    )


def _name(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise BadSetting(f"expected text, found {named(value) if value else 'none'}")


def _text(value: Any) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
        return value.strip() if isinstance(value, str) else str(value)
    raise BadSetting(f"expected text, found {named(value)}")


def _and_found(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a reader that says what it found instead, too."""

    def reading(value: Any) -> Any:
        try:
            return read(value)
        except BadSetting as error:
            raise BadSetting(f"{error}, found {named(value)}", error.hint) from None

    return reading


def _number(value: object, pattern: re.Pattern[str], units: Mapping[str, float], bare: str) -> float | None:
    if isinstance(value, str):
        match = pattern.fullmatch(value.strip())
        if match is None:
            return None
        unit = match[2] or bare
        value = float(match[1]) * units[unit if unit in units else unit.upper()]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    found = float(value) if abs(value) < 1e300 else math.inf
    return found if 0 <= found < math.inf else None


Name = Annotated[str, SettingType(_name, {"type": "string", "minLength": 1})]  # stripped, never blank
Text = Annotated[str, SettingType(_text, {"type": ["string", "number"]})]  # as Name; a number is text, too
Reference = Annotated[str, SettingType(reference, {"type": "string", "pattern": _REFERENCE})]
Duration = Annotated[float, duration_up_to()]
Size = Annotated[int, SettingType(_and_found(size), {"type": ["string", "integer"]})]
