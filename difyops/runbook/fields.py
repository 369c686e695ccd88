"""Reading fields of a runbook's YAML one by one, collecting problems with their place instead of stopping."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.dsl.load import SourceLines
from difyops.runbook.parameters import Mismatch, named, reference, seconds
from difyops.settings import unknown_field

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: file, line (from 1), field (``steps[2].with.app``) and what it is."""

    file: str
    line: int
    field: str
    text: str

    @property
    def text_with_place(self) -> str:
        """Return ``file:line: field: text``."""
        end = "" if self.text.endswith("?") else "."
        return f"{self.file}:{self.line}: {self.field + ': ' if self.field else ''}{self.text}{end}"


@dataclass(slots=True, kw_only=True)
class FieldReader:
    """Reads fields and remembers what was wrong. A field that is wrong reads as if it were not there."""

    file: str
    lines: SourceLines
    problems: list[Problem] = field(default_factory=list)

    @property
    def sorted(self) -> list[Problem]:
        """Return the problems by line."""
        return sorted(self.problems, key=lambda item: (item.line, item.field, item.text))

    def line(self, place: Place) -> int:
        """Return the line of a field."""
        return self.lines.at(place)

    def add(self, place: Place, text: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(file=self.file, line=self.line(place), field=dotted(place), text=text))

    def known(self, place: Place, body: Mapping[str, Any], names: Collection[str]) -> None:
        """Note every field that is not one of ``names``."""
        for key in body:
            if key not in names:
                self.add((*place, key), unknown_field(key, names))

    def text(self, place: Place, body: Mapping[str, Any], key: str, *, required: bool = False) -> str:
        """Return a text, blank when it is not there."""
        value = body.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is None or value == "":
            if required:
                self.add((*place, key), "this field is required")
            return ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        self.add((*place, key), f"expected text, found {named(value)}")
        return ""

    def texts(self, place: Place, body: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Return a list of texts; one text is a list of one."""
        value = body.get(key)
        if value is None:
            return ()
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or any(not isinstance(item, str) for item in items):
            self.add((*place, key), f"expected a list of texts, found {named(value)}")
            return ()
        return tuple(item.strip() for item in items)

    def whole(self, place: Place, body: Mapping[str, Any], key: str, default: int, *, low: int, high: int) -> int:
        """Return a whole number between ``low`` and ``high``."""
        value = body.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.add((*place, key), f"expected a whole number from {low} to {high}, found {named(value)}")
        return default

    def duration(self, place: Place, body: Mapping[str, Any], key: str, default: float) -> float:
        """Return a duration in seconds, above zero."""
        value = self._tried(place, body, key, seconds, default)
        if value <= 0:
            self.add((*place, key), "a duration must be above zero")
            return default
        return float(value)

    def reference(self, place: Place, body: Mapping[str, Any], key: str) -> str | None:
        """Return a reference to a secret."""
        found: str | None = self._tried(place, body, key, reference, None)
        return found

    def _tried(self, place: Place, body: Mapping[str, Any], key: str, read: Callable[[Any], Any], default: Any) -> Any:
        if body.get(key) is None:
            return default
        try:
            return read(body[key])
        except Mismatch as error:
            self.add((*place, key), str(error))
            return default


def dotted(place: Place) -> str:
    """Return ``steps[2].with.app``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
