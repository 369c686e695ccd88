"""All readings of the JSON that starts at one place: strict if it is JSON, else by the tolerant reader, in every manner.

Bounded: each manner reads the text once, and the manners are tried only where the first one met a choice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from difyops.validation import strict
from difyops.validation.candidate import Candidate
from difyops.validation.cursor import NEAR, Budget, Manner, Note, Unreadable
from difyops.validation.faults import AnswerError
from difyops.validation.judge import Schema
from difyops.validation.reader import Reader
from difyops.validation.shape import declared, nodes_at
from difyops.validation.verdict import EXTRACT, REPAIR, EnforceOptions, Path

_MAY_BE_STRICT = re.compile(r'\{[ \t\r\n]*["}]|\[[ \t\r\n]*["\[{\]\dtfnNI-]')
_ALLOWED_BY_OPTION = {"duplicate_keys": "duplicates", "not_finite": "not_finite"}


def readings_at(
    text: str, start: int, schema: Schema, options: EnforceOptions, budget: Budget
) -> list[Candidate]:
    """Return every reading of the value that starts exactly at ``start``; none when it cannot be read."""
    doubt = None
    try:
        if not _MAY_BE_STRICT.match(text, start):
            raise ValueError
        value, end = strict.scan(text, start, options)
    except AnswerError as error:
        doubt = error.code
        if doubt == "too_deep":
            return [Candidate(value=None, start=start, end=len(text), doubt=doubt)]
    except ValueError as error:
        budget.left -= 50 + (getattr(error, "pos", start) - start) // 8 + len(text) // 2_000
        if not options.repair:
            return []
    else:
        return [Candidate(value=value, start=start, end=end, rung=EXTRACT)]
    if len(text) > options.max_repair_chars:
        return [Candidate(value=None, start=start, end=len(text), doubt=doubt or "too_large")]
    found = list(_tolerant(text, start, schema, options, budget))
    if doubt and not _allowed(doubt, options):
        return [candidate.doubted(doubt) for candidate in found]
    return found


def _allowed(code: str, options: EnforceOptions) -> bool:
    name = _ALLOWED_BY_OPTION.get(code)
    return name is not None and options.repair and getattr(options, name) != "refuse"


def _tolerant(
    text: str, start: int, schema: Schema, options: EnforceOptions, budget: Budget
) -> Iterator[Candidate]:
    forks = set()
    seen = set()
    for manner in _manners(schema.names):
        if manner is not NEAR and not _concerns(manner, forks):
            continue
        if budget.left < 0:
            return
        reader = Reader(text, manner, options=options, budget=budget)
        try:
            value, end = reader.read(start)
        except Unreadable:
            if reader.refused:
                yield Candidate(value=None, start=start, end=len(text), doubt=reader.refused)
                return
            continue
        finally:
            forks |= reader.forks
            if reader.wrong_escapes and reader.path_escapes:
                forks.add("escape")
        candidate = _candidate(reader, value, (start, end), schema)
        if (key := (candidate.same_value(), end)) not in seen:
            seen.add(key)
            yield candidate


@lru_cache(maxsize=64)
def _manners(names: frozenset[str]) -> tuple[Manner, ...]:
    return (
        NEAR,
        Manner(closing="first"),
        Manner(closing="even"),
        *((Manner(known=names), Manner(closing="even", known=names)) if names else ()),
        Manner(swap=True),
        Manner(literal=True),
        Manner(words=True),
    )


def _concerns(manner: Manner, forks: set[str]) -> bool:
    """Return whether the manner makes a difference at one of the choices met."""
    if manner.swap:
        return "bracket" in forks
    if manner.literal:
        return "escape" in forks
    if manner.words:
        return "number" in forks
    return "closing" in forks


def _candidate(reader: Reader, value: object, span: tuple[int, int], schema: Schema) -> Candidate:
    lost = _what_may_be_lost(reader, value, schema)
    notes = (*reader.notes, *(Note(path, "", "", "cut off", True) for path in lost))
    candidate = Candidate(
        value=value, start=span[0], end=span[1], notes=notes, rung=REPAIR if notes else EXTRACT, absorbed=reader.absorbed
    )
    doubt = reader.refused or ("not_json" if reader.swallowed else None)
    return candidate.doubted(doubt) if doubt else candidate


def _what_may_be_lost(reader: Reader, value: object, schema: Schema) -> list[Path]:
    """Return the unclosed containers that may have gone on.

    An object whose declared members are all there has lost nothing that the schema knows of; a list may always go on.
    """
    if reader.cut:
        return [()]
    lost = []
    for path in reader.unclosed:
        container = _at(value, path)
        names = declared(nodes_at(schema.document, path))
        if not isinstance(container, dict) or not names or not names <= container.keys():
            lost.append(path)
    return lost


def _at(value: object, path: Path) -> object:
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
