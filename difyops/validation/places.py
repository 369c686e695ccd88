"""From a place in a value to the line of the answer it stands on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from difyops.validation.cursor import Unreadable
from difyops.validation.reader import Reader
from difyops.validation.verdict import EnforceOptions, Path, Violation

_LONGEST = 2_000_000


def with_lines(
    found: Iterable[tuple[Path, Violation]], text: str, start: int, options: EnforceOptions
) -> tuple[Violation, ...]:
    """Return the violations with the line each stands on; texts above two million characters get none."""
    violations = tuple(found)
    if not violations or len(text) > _LONGEST:
        return tuple(violation for _, violation in violations)
    places: dict[Path, int] = {}
    reader = Reader(text, options=options, places=places)
    try:
        reader.read(start)
    except Unreadable:
        pass  # what was read before the stop is still right
    return tuple(replace(violation, line=_line(text, _nearest(places, path))) for path, violation in violations)


def _nearest(places: dict[Path, int], path: Path) -> int | None:
    while path and path not in places:
        path = path[:-1]
    return places.get(path)


def _line(text: str, index: int | None) -> int | None:
    return None if index is None else text.count("\n", 0, index) + 1
