"""Durations and sizes as people write them: one reader for the command line, runbooks and configuration. Pure.

duration  500ms  90s  10m  2h  7d  1.5h   (a bare number is seconds)
size      512    64KB  10MB  1.5GB        (binary: 1 KB is 1024 bytes)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[KMGT]B)?", re.IGNORECASE)


class BadSetting(ValueError):
    """A value is not what a setting takes; the text says what it should be."""


def duration(value: object, *, zero: bool = True, longest: float = math.inf) -> float:
    """Return a duration in seconds. ``zero``: nothing at all is a duration, too, where "at once" has a meaning.

    Raises:
        BadSetting: it is neither a number of seconds nor a number with a unit, or outside its limits.
    """
    found = _number(value, _DURATION, _SECONDS, "s")
    if found is None or not (found > 0 or (zero and found == 0)):
        raise BadSetting("expected a duration such as 90s, 10m, 2h or 7d")
    if found > longest:
        raise BadSetting(f"expected a duration of at most {longest / 86400:g} days")
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
