"""What reading hands back, and the options that steer it. Plain frozen data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

STRICT = "strict"
EXTRACT = "extract"
REPAIR = "repair"

Path = tuple[str | int, ...]


class RefusedText(Exception):
    """A rule forbids the value. ``code`` names it; the sentence belongs to the caller."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message


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


OUTSIDE = ("text left out", "encoded twice", "unwrapped", "reasoning left out")
"""Reasons of edits that take a value out of its wrapping and change nothing in it; they are not counted as repairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforceOptions:
    """How far reading may go.

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


class Judge(Protocol):
    """What reading asks a schema."""

    @property
    def document(self) -> Mapping[str, Any] | bool:
        """Return the schema as JSON."""
        ...

    @property
    def accepts(self) -> Any:
        """Return the function that says whether a value satisfies the schema."""
        ...

    @property
    def words(self) -> frozenset[str]:
        """Return the texts that the schema lists (``enum``, ``const``)."""
        ...

    @property
    def names(self) -> frozenset[str]:
        """Return the names that the schema declares for the members of the whole answer."""
        ...

    @property
    def openable(self) -> frozenset[str]:
        """Return the members of envelopes that the schema does not declare; none if it says nothing of members."""
        ...


class Failing(NamedTuple):
    """A value that violates the schema: how it was read, and the way from a path in it to its line in the text."""

    value: object
    edits: tuple[Edit, ...] = ()
    locate: Callable[[Path], int | None] | None = None


class Reading(NamedTuple):
    """The end of reading one text.

    ``ok``: ``value`` satisfies the schema and is the only cheapest reading; ``rung`` is how far it went (``strict``,
    ``extract``, ``repair``). Else ``code`` is the class of the failure, ``message`` its sentence where there is more
    to say than the class does, ``failing`` are the values whose violations are to be told, and ``rivals`` those between
    which the text does not decide.
    """

    ok: bool
    value: object = None
    edits: tuple[Edit, ...] = ()
    rung: str = STRICT
    code: str | None = None
    message: str | None = None
    failing: tuple[Failing, ...] = ()
    rivals: tuple[object, ...] = ()

    @property
    def repairs(self) -> int:
        """Count the changes made inside the JSON."""
        return sum(edit.reason not in OUTSIDE for edit in self.edits)


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
