"""What stands around and between the values of an answer: what is left out, and values that make a list in a row."""

from __future__ import annotations

import re
from itertools import pairwise

from difyops.validation.reading.found import Option
from difyops.validation.reading.model import REPAIR, Edit, EnforceOptions, Judge, shown
from difyops.validation.reading.outline import Outline, Piece

_BETWEEN = re.compile(r"\s*,?\s*")


def in_a_row(text: str, pieces: list[Piece], judge: Judge, options: EnforceOptions) -> Option | None:
    """Return the list that whole values one after the other make, where the schema wants one."""
    if any(piece.broken for piece in pieces) or not options.repair:
        return None
    gaps = [text[one.end : other.start] for one, other in pairwise(pieces)]
    around = text[: pieces[0].start].strip().removeprefix("```json").removeprefix("```")
    if not all(_BETWEEN.fullmatch(gap) for gap in gaps) or text[pieces[-1].end :].strip(" \t\r\n`") or "\n" in around:
        return None
    value = [piece.value for piece in pieces]
    if not judge.accepts(value):
        return None
    return Option(value, (Edit("", shown(text), shown(value), "items in a row"),), REPAIR)


def talk_around(text: str, found: Outline, pieces: list[Piece]) -> list[Edit]:
    """Return the edits that tell what was left out around the values that were kept."""
    kept = pieces[0].start if pieces else 0
    others = [(piece.start, piece.end) for piece in found.pieces if piece.start != kept]
    spans = [(text[a : min(b, a + 400)].strip(), "text left out") for a, b in sorted([*found.talk, *others])]
    return [Edit("", shown(span[:80].strip()), "", reason) for span, reason in spans if span][:50]
