"""What the parts of an answer may be, and the one function that checks an answer against it.

A shape is a function from a value to a complaint (`` .tags[2].name: a text was expected, not a number``) or ``None``.
Shapes say what a use *needs*; what an answer holds beyond that is let through, for servers differ. The shapes of the
endpoints stand in ``answers``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from difyops.errors import UnreadableAnswer
from difyops.secret_text import scrub

Shape = Callable[[Any], str | None]
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
_FARTHEST = 1e15  # beyond it no count, time or duration of ours makes sense, and arithmetic stops being exact
_LAST_MOMENT = 2e11  # the year 8307: days can still be added


def fit(answer: Any, shape: Shape, *, doing: str, endpoint: str = "") -> Any:
    """Return ``answer`` when it has the shape that its use needs.

    Raises:
        UnreadableAnswer: it has not; names the endpoint and the field.
    """
    complaint = shape(answer)
    if complaint is None:
        return answer
    place, _, what = complaint.partition(": ")
    where = f"{place.lstrip('.')}: " if place else ""
    raise UnreadableAnswer(
        f"{doing}: the answer cannot be read ({scrub(where)}{what}).",
        details={"endpoint": scrub(endpoint), "field": scrub(place.lstrip("."))},
    )


def number(value: Any) -> float | None:
    """Return a number of an answer as float; ``None`` for anything else, and for what no clock or counter can mean."""
    if type(value) not in (int, float) or abs(value) > _FARTHEST or not math.isfinite(value):
        return None  # the size first: a whole number of 400 digits cannot even be asked whether it is finite
    return float(value)


def moment(value: Any) -> float | None:
    """Return a time of an answer in unix seconds; ``None`` for what is no number, or no time that a calendar has."""
    found = number(value)
    return found if found is not None and 0 <= found <= _LAST_MOMENT else None


def whole(value: Any) -> int | None:
    """Return a count of an answer; ``None`` for anything that is none."""
    found = number(value)
    return None if found is None else int(found)


def anything(_value: Any) -> str | None:
    """Take whatever comes."""
    return None


def text(value: Any) -> str | None:
    """Take a text, empty or not."""
    return None if type(value) is str else _other("a text", value)


def filled(value: Any) -> str | None:
    """Take a text that is not empty: ids, names, modes."""
    if type(value) is not str:
        return _other("a text", value)
    return None if value else ": is empty"


def flag(value: Any) -> str | None:
    """Take true or false."""
    return None if type(value) is bool else _other("true or false", value)


def count(value: Any) -> str | None:
    """Take a whole number that is not negative."""
    if type(value) is not int or not 0 <= value <= _FARTHEST:
        return _other("a count", value)
    return None


def when(value: Any) -> str | None:
    """Take a time in unix seconds."""
    return None if moment(value) is not None else _other("a time", value)


def some_object(value: Any) -> str | None:
    """Take an object, whatever is in it."""
    return None if type(value) is dict else _other("an object", value)


def maybe(inner: Shape) -> Shape:
    """Take ``null`` too."""
    return lambda value: None if value is None else inner(value)


def obj(needed: Mapping[str, Shape], /, **optional: Shape) -> Shape:
    """Take an object with all of ``needed`` and, where they are there and not null, fields like ``optional``."""
    wanted, more = tuple(needed.items()), tuple(optional.items())

    def check(value: Any) -> str | None:
        if type(value) is not dict:
            return _other("an object", value)
        for name, inner in wanted:
            if name not in value:
                return f".{name}: is missing"
            if (complaint := inner(value[name])) is not None:
                return f".{name}{complaint}"
        for name, inner in more:
            if (found := value.get(name)) is not None and (complaint := inner(found)) is not None:
                return f".{name}{complaint}"
        return None

    return check


def rows(inner: Shape = some_object) -> Shape:
    """Take a list whose items all have one shape. An item of another shape makes the whole list unreadable."""

    def check(value: Any) -> str | None:
        if type(value) is not list:
            return _other("a list", value)
        for place, item in enumerate(value):
            if (complaint := inner(item)) is not None:
                return f"[{place}]{complaint}"
        return None

    return check


def each(inner: Shape) -> Shape:
    """Take an object whose values all have one shape, whatever their names."""

    def check(value: Any) -> str | None:
        if type(value) is not dict:
            return _other("an object", value)
        for name, item in value.items():
            if (complaint := inner(item)) is not None:
                return f".{name}{complaint}"
        return None

    return check


def all_of(*shapes: Shape) -> Shape:
    """Take what all of several shapes take."""

    def check(value: Any) -> str | None:
        return next((complaint for shape in shapes if (complaint := shape(value)) is not None), None)

    return check


def _other(wanted: str, value: Any) -> str:
    return f": {wanted} was expected, not {'nothing' if value is None else _KINDS.get(type(value), 'something else')}"
