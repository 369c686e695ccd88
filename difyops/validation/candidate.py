"""One possible reading of an answer, before it is decided whether it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from difyops.validation.cursor import Note
from difyops.validation.judge import Schema
from difyops.validation.shape import is_required
from difyops.validation.verdict import EXTRACT, Edit, EnforceOptions, Path, pointer_of, shown

OUTSIDE = ("text left out", "encoded twice", "unwrapped")
"""Reasons of edits that take a value out of its wrapping and change nothing in it; they are not counted as repairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A value and how it was read.

    ``start`` and ``end`` are indexes into the answer; ``inner`` says that the value came out of a text inside the
    answer, so that lines mean nothing. ``absorbed`` counts the quotes that were taken into texts unescaped: a reading
    with such quotes is daring. ``doubt`` is the code of what speaks against it ("truncated" when a part of it
    may be lost, "not_json" when its surroundings do not fit, the code of a rule that forbids it); a candidate in doubt
    never stands, unless the doubt is about something invented and the options allow that.
    """

    value: object
    start: int = 0
    end: int = 0
    notes: tuple[Note, ...] = ()
    rung: str = EXTRACT
    doubt: str | None = None
    inner: bool = False
    absorbed: int = 0

    @property
    def repairs(self) -> int:
        """Count the changes made inside the JSON."""
        return sum(note.reason not in OUTSIDE for note in self.notes)

    def doubted(self, code: str) -> Candidate:
        """Return the candidate with a doubt; the first one stays."""
        return self if self.doubt else replace(self, doubt=code)

    def same_value(self) -> str:
        """Return a text that is equal for equal JSON values; 1, 1.0 and true differ."""
        return json.dumps(self.value, sort_keys=True)

    def edits(self) -> tuple[Edit, ...]:
        """Return the notes as edits."""
        return tuple(
            Edit(
                pointer=pointer_of(note.path),
                before=shown(note.before),
                after=shown(note.after),
                reason=note.reason,
                invented=note.invented,
            )
            for note in self.notes
        )


def settle_inventions(candidate: Candidate, schema: Schema, options: EnforceOptions) -> Candidate:
    """Put in doubt a candidate that holds made-up values the options do not allow."""
    invented = [note for note in candidate.notes if note.invented]
    if not invented or options.invented == "always" or candidate.doubt:
        return candidate
    if options.invented == "optional" and not any(_is_needed(schema, note.path) for note in invented):
        return candidate
    cut = any(note.reason == "cut off" for note in invented)
    return candidate.doubted("truncated" if cut else "value_missing")


def _is_needed(schema: Schema, path: Path) -> bool:
    return is_required(schema.document, path)
