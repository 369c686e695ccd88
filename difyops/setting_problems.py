"""What is said of a setting that is wrong: file, line, field, what was expected, and which field may be meant. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from difyops.errors import ConfigError, UsageError

T = TypeVar("T")
Path = tuple[str | int, ...]  # of a field: its names and numbers
MOST_TOLD = 5  # things that are wrong with one file; the others are in the details of the error


class BadSetting(ValueError):
    """A value is not what a setting takes; the text says what it should be. ``hint``: what helps."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.hint = hint


class FieldLines(Protocol):
    """Where each field of a text stands."""

    def at(self, path: Path, /) -> int:
        """Return the 1-based line of a field, or of the nearest one around it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a value stands, for messages: ``file`` is blank where it stands in none. ``error`` is what is raised."""

    file: str = ""
    lines: FieldLines | None = None
    error: type[UsageError] = ConfigError
    hint: str | None = None

    def line(self, path: Path) -> int:
        """Return the line of a field, from 1."""
        return self.lines.at(path) if self.lines else 1

    def problem(self, path: Path, text: str) -> Problem:
        """Return a problem of the field at ``path``."""
        return Problem(file=self.file, line=self.line(path), field=dotted(path), text=text)

    def raised(self, path: Path, text: str, hint: str | None = None) -> UsageError:
        """Return the error that says one thing of the field at ``path``."""
        return self.error(self.problem(path, text).text_with_place, hint=hint or self.hint)


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
        end = "" if self.text.endswith(("?", ".")) else "."
        place = f"{self.file}:{self.line}: " if self.file else ""
        return f"{place}{self.field + ': ' if self.field else ''}{self.text}{end}"


NOWHERE = Source()


class Sections(dict[str, Any]):
    """Sections of the configuration, each with its source."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[str, Source] = {}


def source_of(sections: Mapping[str, Any], name: str) -> Source:
    """Return where a section stands, for messages."""
    return sections.sources.get(name, NOWHERE) if isinstance(sections, Sections) else NOWHERE


def told(where: str, read_value: Callable[[Any], T], value: object) -> T:
    """Return what a value means that stands in no file; ``where`` is what messages call its place.

    Raises:
        ConfigError: it means nothing.
    """
    try:
        return read_value(value)
    except BadSetting as error:
        raise ConfigError(f"{where}: {error}.", hint=error.hint) from None


def unknown_field(key: object, known: Collection[str]) -> str:
    """Return what is said of a field that nobody knows: which one may be meant, and which ones there are."""
    close = difflib.get_close_matches(str(key), list(known), n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown field {key!r} ({meant}known: {', '.join(sorted(known))})"


def dotted(place: Path) -> str:
    """Return ``steps[2].with.app``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def named(value: Any) -> str:
    """Return a value for a message: its type, and short plain values themselves."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return f"the number {value}"
        case str():
            return repr(value) if len(value) <= 40 else "a longer text"
    return "a list" if isinstance(value, list) else "a mapping"
