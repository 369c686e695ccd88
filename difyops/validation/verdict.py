"""What validation hands back: the verdict on one answer, its edits, its violations, and the options that steer it.

Plain frozen data, tuples where one is made for every answer; nothing in here parses, judges or formats for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from difyops.validation.faults import AnswerError, fault
from difyops.validation.reading.model import (
    DEFAULTS,
    EXTRACT,
    REPAIR,
    STRICT,
    Edit,
    EnforceOptions,
    Path,
    pointer_of,
    shown,
)

__all__ = [
    "COERCE",
    "DEFAULTS",
    "EXTRACT",
    "FAILED",
    "FALLBACK",
    "REASK",
    "REPAIR",
    "STRICT",
    "Edit",
    "EnforceOptions",
    "Path",
    "Verdict",
    "Violation",
    "pointer_of",
    "shown",
]

COERCE = "coerce"
REASK = "reask"
FALLBACK = "fallback"
FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing the schema does not allow. ``line`` counts from 1 in the answer's text; ``None`` where it has none."""

    pointer: str
    value: object
    expected: str
    message: str
    line: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the violation as JSON data."""
        return {
            "pointer": self.pointer,
            "value": self.value,
            "expected": self.expected,
            "message": self.message,
            "line": self.line,
        }


class Verdict(NamedTuple):
    """The end of the ladder for one answer.

    ``rung`` names the step that gave the value: ``strict``, ``extract``, ``repair``, ``coerce``, ``reask``,
    ``fallback``; ``failed`` when none did. ``value`` is set only when ``ok``. ``error`` is the code of the class of
    failure (see ``faults``), ``message`` its sentence.
    """

    ok: bool
    rung: str
    value: object = None
    edits: tuple[Edit, ...] = ()
    violations: tuple[Violation, ...] = ()
    error: str | None = None
    message: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the verdict as JSON data, in the order the batch output promises."""
        return {
            "ok": self.ok,
            "rung": self.rung,
            "value": self.value,
            "edits": [edit.as_dict() for edit in self.edits],
            "violations": [violation.as_dict() for violation in self.violations],
            "error": self.error,
        }

    def as_error(self) -> AnswerError | None:
        """Return the failure as an exception of its own class (exit code 5), ``None`` when there is none."""
        return None if self.error is None else fault(self.error, self.message)

    def unwrap(self) -> object:
        """Return the value.

        Raises:
            AnswerError: the answer failed; the class says how.
        """
        if (error := self.as_error()) is not None:
            raise error
        return self.value
