"""From a place in a value to the line of the answer it stands on."""

from __future__ import annotations

import contextlib
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
    with contextlib.suppress(Unreadable):  # what was read before the stop is still right
        reader.read(reader.skip(start))
    return tuple(replace(violation, line=_line(text, _nearest(places, path))) for path, violation in violations)


def line_of(text: str, path: Path) -> int:
    """Return the 1-based line of a place in a JSON text, of the nearest place above when it is not there."""
    places: dict[Path, int] = {}
    with contextlib.suppress(Unreadable):
        Reader(text, places=places).read(len(text) - len(text.lstrip()))
    return _line(text, _nearest(places, path)) or 1


def _nearest(places: dict[Path, int], path: Path) -> int | None:
    while path and path not in places:
        path = path[:-1]
    return places.get(path)


def _line(text: str, index: int | None) -> int | None:
    return None if index is None else text.count("\n", 0, index) + 1
