"""One possible reading of an answer, before it is decided whether it stands."""

from __future__ import annotations

import json
from typing import NamedTuple

from difyops.validation.cursor import Note
from difyops.validation.judge import Rules, Schema
from difyops.validation.shape import is_required
from difyops.validation.verdict import EXTRACT, Edit, pointer_of, shown

OUTSIDE = ("text left out", "encoded twice", "unwrapped")
"""Reasons of edits that take a value out of its wrapping and change nothing in it; they are not counted as repairs."""


class Candidate(NamedTuple):
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

    @property
    def is_cut(self) -> bool:
        """Return whether a part of the value was lost with the end of the text."""
        return any(note.reason == "cut off" for note in self.notes)

    def doubted(self, code: str) -> Candidate:
        """Return the candidate with a doubt; the first one stays."""
        return self if self.doubt else self._replace(doubt=code)

    def same_value(self) -> str:
        """Return a text that is equal for equal JSON values; 1, 1.0 and true differ."""
        return json.dumps(self.value, sort_keys=True)

    def edits(self) -> tuple[Edit, ...]:
        """Return the notes as edits."""
        return tuple(
            [
                Edit(pointer_of(path), shown(before), shown(after), reason, invented)
                for path, before, after, reason, invented in self.notes
            ]
        )


Groups = list[list[Candidate]]
"""Everything found in an answer: one group for each place, the readings of that place in it."""


def settle_inventions(candidate: Candidate, rules: Rules) -> Candidate:
    """Put in doubt a candidate that holds made-up values the options do not allow."""
    invented = [note for note in candidate.notes if note.invented]
    if not invented or rules.options.invented == "always" or candidate.doubt:
        return candidate
    if rules.options.invented == "optional" and not any(_is_needed(rules.schema, note) for note in invented):
        return candidate
    return candidate.doubted("truncated" if candidate.is_cut else "value_missing")


def _is_needed(schema: Schema, note: Note) -> bool:
    """Return whether a made-up value stands for a required member, or for a part of one.

    Of an object that was not closed only optional members can be missing: it satisfies the schema as it is.
    """
    if note.reason == "cut off" and note.after == "}":
        return False
    path = note.path
    while path and isinstance(path[-1], int):
        path = path[:-1]
    return is_required(schema.document, path)
