"""The edits of one reading, each with its place in the value, and the way from a place to its line in the answer."""

from __future__ import annotations

from collections.abc import Callable

from difyops.validation.reading.mend import Mended
from difyops.validation.reading.model import Edit, Path, pointer_of, shown
from difyops.validation.reading.places import paths_at, starts
from difyops.validation.reading.single import TextChange

Locate = Callable[[Path], "int | None"]
_made = tuple.__new__
"""Makes an edit in a third of the time that its constructor takes."""
_LONGEST_LINES = 2_000_000


def edits_of(found: Mended, way: list[TextChange], final: str, repeated: list[str]) -> tuple[Edit, ...]:
    """Return what was changed, with the place of each change in the value."""
    marks: list[tuple[int, object, object, str]] = []
    shift = number = 0
    for change in way:
        while number < len(found.canon.notes) and found.canon.notes[number][0] <= change.start:
            at, before, after, reason = found.canon.notes[number]
            marks.append((at + shift, before, after, reason))
            number += 1
        marks.append((change.start + shift, found.base[change.start : change.end], change.text, change.reason))
        shift += len(change.text) - (change.end - change.start)
    for at, before, after, reason in found.canon.notes[number:]:
        marks.append((at + shift, before, after, reason))
    paths = paths_at(final, [mark[0] for mark in marks])
    edits = [
        _made(Edit, (pointer_of(path), shown(before), shown(after), reason, False))
        for path, (_, before, after, reason) in zip(paths, marks, strict=True)
    ]
    edits += [Edit("", shown(name), "", "repeated key") for name in repeated]
    return tuple(edits)


def locator(text: str, start: int, found: Mended | None) -> Locate:
    """Return the way from a path in a value to the line of the answer it stands on."""
    places: dict[Path, int] | None = None

    def locate(path: Path) -> int | None:
        nonlocal places
        if len(text) > _LONGEST_LINES:
            return None
        if places is None:
            places = starts(text[start:] if found is None else found.base)
        while path and path not in places:
            path = path[:-1]
        at = places.get(path, 0)
        return text.count("\n", 0, start + (at if found is None else found.canon.origin(at))) + 1

    return locate


def said_of_words(found: Mended) -> str | None:
    """Return the sentence about words without quotes and numbers with marks, if there are any."""
    if not found.canon.coerced:
        return None
    return f"{found.canon.coerced[0][2][:80]!r} stands without quotes or with marks: only --coerce reads it."


def _closes(change: TextChange, base: str, end: int) -> bool:
    """Return whether a change puts a closing bracket behind a text, or in the place of a comma at its end."""
    if change.text not in ("}", "]"):
        return False
    return change.start >= end or (change.end == end and base[change.start : change.end] == ",")


def closing(ways: list[list[TextChange]], base: str) -> list[tuple[list[TextChange], int]]:
    """Return the ways that close containers where the text ends, with how many each closes."""
    end = len(base.rstrip())
    counted = [(way, sum(_closes(one, base, end) for one in way)) for way in ways]
    return [(way, count) for way, count in counted if count]
