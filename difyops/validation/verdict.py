"""What validation hands back: the verdict on one answer, its edits, its violations, and the options that steer it.

Plain frozen data, tuples where one is made for every answer; nothing in here parses, judges or formats for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from difyops.validation.faults import AnswerError, fault

STRICT = "strict"
EXTRACT = "extract"
REPAIR = "repair"
COERCE = "coerce"
REASK = "reask"
FALLBACK = "fallback"
FAILED = "failed"

Path = tuple[str | int, ...]


class Edit(NamedTuple):
    """One change that was made to the text or the data.

    ``pointer`` is the JSON Pointer of the place in the value ("" is the whole answer); ``before`` and ``after`` are the
    text or value there, cut at 80 characters; ``reason`` is one of a small set of phrases ("trailing comma"), fit to be
    counted; ``invented`` says that ``after`` is not in the answer: something was lost and had to be made up.
    """

    pointer: str
    before: object
    after: object
    reason: str
    invented: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return the edit as JSON data."""
        return {
            "pointer": self.pointer,
            "before": self.before,
            "after": self.after,
            "reason": self.reason,
            "invented": self.invented,
        }


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforceOptions:
    """How far the ladder may go.

    ``invented``: whether a value that was made up because the text was cut off or holds none may stand: ``never``,
    only where the schema does not require the member (``optional``), or ``always``. ``duplicates`` and ``not_finite``:
    what becomes of a repeated key and of NaN or Infinity. ``max_edits`` counts changes inside the JSON, not the prose
    left out around it. ``max_chars`` bounds what is parsed at all, ``max_repair_chars`` what is repaired, ``max_depth``
    the levels of nesting.
    """

    repair: bool = True
    coerce: bool = False
    pick: Literal["first", "last"] | None = None
    max_edits: int | None = None
    invented: Literal["never", "optional", "always"] = "never"
    duplicates: Literal["refuse", "first", "last"] = "refuse"
    not_finite: Literal["refuse", "null"] = "refuse"
    max_chars: int = 20_000_000
    max_repair_chars: int = 1_000_000
    max_depth: int = 200


DEFAULTS = EnforceOptions()


@lru_cache(maxsize=1024)
def pointer_of(path: Path) -> str:
    """Return the JSON Pointer (RFC 6901) of a path of keys and indexes."""
    if not path:
        return ""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def shown(value: object, limit: int = 80) -> object:
    """Return a value small enough for a message: scalars stay, long text is cut, containers are described."""
    if isinstance(value, str):
        if len(value) <= limit and value.isascii():
            return value
        text = value if len(value) <= limit else value[: limit - 1] + "…"
        return text if text.isascii() else text.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return f"object of {len(value)}"
    if isinstance(value, list):
        return f"array of {len(value)}"
    return value
