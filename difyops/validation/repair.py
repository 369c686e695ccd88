"""All readings of the JSON that starts at one place: strictly, else by the tolerant reader, in every manner.

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
from difyops.validation.judge import Rules, Schema
from difyops.validation.reader import Reader
from difyops.validation.shape import declared, nodes_at
from difyops.validation.verdict import EXTRACT, REPAIR, EnforceOptions, Path

_MAY_BE_STRICT = re.compile(r'\{[ \t\r\n]*["}]|\[[ \t\r\n]*["\[{\]\dtfnNI-]')
_ALLOWED_BY_OPTION = {"duplicate_keys": "duplicates", "not_finite": "not_finite"}


def readings_at(text: str, start: int, rules: Rules, budget: Budget) -> list[Candidate]:
    """Return every reading of the value that starts exactly at ``start``; none when it cannot be read."""
    doubt = None
    try:
        if not _MAY_BE_STRICT.match(text, start):
            raise ValueError
        value, end = strict.scan_inside(text, start, rules.options)
    except AnswerError as error:
        doubt = error.code
        if doubt == "too_deep":
            return [Candidate(value=None, start=start, end=len(text), doubt=doubt)]
    except ValueError as error:
        budget.left -= 50 + getattr(error, "pos", 0) // 8
        if not rules.options.repair:
            return []
    else:
        return [Candidate(value=value, start=start, end=end, rung=EXTRACT)]
    if len(text) > rules.options.max_repair_chars:
        return [Candidate(value=None, start=start, end=len(text), doubt=doubt or "too_large")]
    found = list(_tolerant(text, start, rules, budget))
    if doubt and not _allowed(doubt, rules.options):
        return [candidate.doubted(doubt) for candidate in found]
    return found


def _allowed(code: str, options: EnforceOptions) -> bool:
    name = _ALLOWED_BY_OPTION.get(code)
    return name is not None and options.repair and getattr(options, name) != "refuse"


def _tolerant(text: str, start: int, rules: Rules, budget: Budget) -> Iterator[Candidate]:
    forks: set[str] = set()
    seen: list[tuple[object, int]] = []
    strange = False
    for manner in _manners(rules.schema.names):
        if manner is not NEAR and not _concerns(manner, forks, strange):
            continue
        if budget.left < 0:
            return
        reader = Reader(text, manner, options=rules.options, budget=budget)
        try:
            value, end = reader.read(start)
        except Unreadable:
            strange = True
            if reader.refused:
                yield Candidate(value=None, start=start, end=len(text), doubt=reader.refused)
                return
            continue
        finally:
            forks |= reader.forks
            if reader.wrong_escapes and reader.path_escapes:
                forks.add("escape")
        strange = strange or (bool(forks) and not _names(value) <= rules.schema.names)
        candidate = _candidate(reader, value, (start, end), rules.schema)
        if (value, end) not in seen:
            seen.append((value, end))
            yield candidate
        if not forks:
            return


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


def _names(value: object) -> set[str]:
    """Return the names of all members at any level."""
    names: set[str] = set()
    todo = [value]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            names.update(node)
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return names


def _concerns(manner: Manner, forks: set[str], strange: bool) -> bool:
    """Return whether the manner makes a difference: at one of the choices met, or to a name the schema lacks."""
    if manner.known and not strange:
        return False
    if manner.swap:
        return "bracket" in forks
    if manner.literal:
        return "escape" in forks
    if manner.words:
        return "number" in forks
    return "closing" in forks


def _candidate(reader: Reader, value: object, span: tuple[int, int], schema: Schema) -> Candidate:
    notes = (*reader.notes, *_what_may_be_lost(reader, value, schema))
    candidate = Candidate(
        value=value,
        start=span[0],
        end=span[1],
        notes=notes,
        rung=REPAIR if notes else EXTRACT,
        absorbed=reader.absorbed,
    )
    doubt = reader.refused or ("not_json" if reader.swallowed else None)
    if strict.may_hold_half(reader.text, *span) and strict.holds_half(value):
        doubt = "lone_surrogate"
    return candidate.doubted(doubt) if doubt else candidate


def _what_may_be_lost(reader: Reader, value: object, schema: Schema) -> list[Note]:
    """Return a note for each unclosed container that may have gone on.

    An object whose declared members are all there has lost nothing that the schema knows of, unless the text ends where
    a further one was begun; a list may always go on.
    """
    lost = []
    for path in reader.unclosed:
        container = _at(value, path)
        if not isinstance(container, dict):
            lost.append(Note(path, "", "]", "cut off", True))
            continue
        names = declared(nodes_at(schema.document, path))
        if reader.cut or not names or not names <= container.keys():
            lost.append(Note(path, "", "}", "cut off", True))
    return lost


def _at(value: object, path: Path) -> object:
    for step in path:
        try:
            value = value[step]  # type: ignore[index]  # containers all the way, as the path was made from them
        except (KeyError, IndexError, TypeError):
            return None
    return value
