"""From the text of one value to its cheapest readings: made strict, then whole, with the fewest edits.

Nothing is chosen here. A text that is cut inside a container is not completed, unless closing it is as cheap as any
other reading; whether that may stand is decided with the schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from difyops.validation.reading import strict, strings
from difyops.validation.reading.effort import Effort, TooMuchEffort
from difyops.validation.reading.grammar import (
    AFTER_ELEMENT,
    AFTER_KEY,
    AFTER_MEMBER,
    COLON,
    COMMA,
    END,
    FIRST_KEY,
    KEY,
    MEMBER,
    SCALAR,
    START,
    TEXT,
    Automaton,
    imbalance,
)
from difyops.validation.reading.lenient import Canon, canonical
from difyops.validation.reading.quotes import positions, quote_edits
from difyops.validation.reading.search import cheapest
from difyops.validation.reading.single import TextChange, swapped, token_edits
from difyops.validation.reading.tokens import UNKNOWN, Tokens, split, token_at

_MOST_EDITS = 60
_LONGEST_SEARCH = 200_000
_MOST_MARKS = 300_000
_BEGINNING = re.compile(r'(?:\[\s*)?\{\s*"[^"\\]+"\s*:\s*(?:"[^"\\]+"|[\w.+-]{2,})')
"""The outermost bracket, its first name, and the value of that."""
_TWO_SCALARS = bytes([SCALAR, SCALAR])
_SCALARS_IN_MEMBER = bytes([COLON, SCALAR, COMMA, SCALAR])


@dataclass(slots=True)
class Mended:
    """What a text can be read as.

    ``base`` is the strict form that the changes of each of ``ways`` apply to. ``unfinished``: as far as it goes it is
    the beginning of some JSON. ``code`` says why there is no way.
    """

    canon: Canon
    base: str = ""
    ways: list[list[TextChange]] = field(default_factory=list)
    unfinished: bool = False
    code: str | None = None


def mend(text: str, words: frozenset[str], effort: Effort, tokens: Tokens | None = None) -> Mended:
    """Return the cheapest readings of a text; ``tokens``: those of a strict text, where known."""
    effort.mends()
    if len(text) > _LONGEST_SEARCH and sum(map(text.count, '{}[]:,"')) > _MOST_MARKS:
        return Mended(Canon(text), text, code="too_complex")
    if tokens is not None:
        return _whole(Mended(Canon(text), text), tokens, effort)
    canon = canonical(text, words, effort)
    if canon.code == "too_complex":
        return Mended(canon, canon.text, code=canon.code)
    if canon.tangled:
        return _untangled(text, words, effort)
    if canon.text == text:
        return _whole(Mended(canon, text), split(text), effort)
    if strict.is_json(canon.text):
        return Mended(canon, canon.text, ways=_unchanged(canon))
    return _whole(Mended(canon, canon.text), split(canon.text), effort)


def _unchanged(canon: Canon) -> list[list[TextChange]]:
    return [[], *([change] for change in canon.doubted())]


def _whole(mended: Mended, tokens: Tokens, effort: Effort) -> Mended:
    if UNKNOWN in tokens.codes or not tokens.codes:
        mended.code = "not_json"
        return mended
    machine = Automaton()
    states = machine.forward(tokens.codes)
    reached = len(states) - 1 == len(tokens.codes)
    state = states[-1]
    if reached and state == END:
        mended.ways = _unchanged(mended.canon)
        return mended
    if reached:
        mended.unfinished = True
        if state & 15 not in (AFTER_MEMBER, AFTER_ELEMENT):
            mended.code = "truncated"
            return mended
    if mended.canon.doubtful or _holds_groups(mended.base, tokens):
        mended.code = "not_json"
        return mended
    if imbalance(tokens.codes) <= 2:
        edits = token_edits(tokens, machine, states)
        edits += [other for change in edits if (other := swapped(mended.base, change)) is not None]
        mended.ways = [[change] for change in edits]
    if not mended.ways and mended.unfinished:
        mended.code = "truncated"  # several containers are open: which of them a member belongs to is not told
    elif not mended.ways:
        _search(mended, tokens, effort)
    return mended


def _search(mended: Mended, tokens: Tokens, effort: Effort) -> None:
    if _misses_value(tokens):
        mended.code = "value_missing"
        return
    if len(mended.base) > _LONGEST_SEARCH:
        mended.code = "too_complex"
        return
    if _begins_again(mended.base):
        mended.code = "not_json"
        return
    try:
        mended.ways = cheapest(tokens, _MOST_EDITS, effort)
    except TooMuchEffort:
        mended.code = "truncated" if mended.unfinished else "too_complex"
        return
    if not mended.ways:
        mended.code = "not_json"


def _begins_again(text: str) -> bool:
    """Return whether a text that needs several edits breaks off and begins once more: its beginning stands in it."""
    begin = _BEGINNING.match(text)
    return begin is not None and text.find(begin[0], 1) > 0


def _holds_groups(text: str, tokens: Tokens) -> bool:
    """Return whether digits stand in groups: ``12 000`` anywhere, ``3,142`` where no list is. One number, or two?"""
    codes = tokens.codes
    if _TWO_SCALARS not in codes and _SCALARS_IN_MEMBER not in codes:
        return False
    for at in range(1, len(codes)):
        if codes[at] != SCALAR or not text[tokens.starts[at]].isdigit():
            continue
        if codes[at - 1] == SCALAR and tokens.ends[at] - tokens.starts[at] == 3:
            return True
        if codes[at - 1] == COMMA and at > 2 and codes[at - 2] == SCALAR and codes[at - 3] == COLON:
            return True
    return False


def _misses_value(tokens: Tokens) -> bool:
    codes = tokens.codes
    return any(codes[at] == 5 and codes[at + 1] in (4, 2, 3) for at in range(len(codes) - 1))


def _untangled(text: str, words: frozenset[str], effort: Effort) -> Mended:
    edits = quote_edits(text)
    if edits:
        mended = Mended(Canon(text), text, [[change] for change in edits])
        if _ends_inside_text(text):
            mended.ways, mended.code = [], "truncated"
        return mended
    escaped = _escape_inner(text)
    if escaped is None:
        return Mended(Canon(text, tangled=True), text, code="not_json" if text[-1:] in "}])" else "truncated")
    canon = canonical(escaped, words, effort)
    if canon.tangled:
        return Mended(canon, escaped, code="not_json")
    marks = [number for number in range(len(escaped)) if escaped[number] == "\\"] if escaped != text else []
    if marks:
        canon.notes.insert(0, (0, text[:80], escaped[:80], "unescaped quote"))
    return _whole(Mended(canon, canon.text), split(canon.text), effort)


def _ends_inside_text(text: str) -> bool:
    """Return whether a text is the beginning of some JSON that ends inside a string."""
    quotes = positions(text)
    if len(quotes) % 2 == 0 or "\n" in text[quotes[-1] :].rstrip():
        return False
    tokens = split(text)
    known = tokens.codes.find(UNKNOWN)
    if known < 0 or tokens.starts[known] != quotes[-1]:
        return False
    states = Automaton().forward(tokens.codes[:known])
    if len(states) <= known or states[-1] & 15 in (AFTER_KEY, AFTER_MEMBER, AFTER_ELEMENT, END):
        return False
    tail = text[quotes[-1] + 1 :]
    if states[-1] & 15 in (FIRST_KEY, KEY):
        return not _closes_more(tail)
    return not _ends_in_closers(tail)


def _closes_more(tail: str) -> bool:
    """Return whether a text closes brackets that it did not open: as a part of a name, hardly ever."""
    opened: list[str] = []
    for mark in tail:
        if mark in "{[":
            opened.append("}" if mark == "{" else "]")
        elif mark in "}]" and (not opened or opened.pop() != mark):
            return True
    return False


def _ends_in_closers(tail: str) -> bool:
    """Return whether what follows the last quote is a text and then brackets that have no partner in that text."""
    closers = len(tail) - len(tail.rstrip("}] \t\r\n"))
    inside = tail[: len(tail) - closers]
    return closers > 0 and inside != "" and not any(mark in inside for mark in "{[")


_PLACES = {START: "member", MEMBER: "member", KEY: "key", FIRST_KEY: "key"}


def _escape_inner(text: str) -> str | None:
    """Return a text with a backslash before each quote that makes sense only inside a text, else ``None``."""
    machine = Automaton()
    state, at = START, 0
    parts: list[str] = []
    while at < len(text):
        if text[at] in " \t\r\n":
            parts.append(text[at])
            at += 1
            continue
        if text[at] != '"':
            token = token_at(text, at)
            if token is None or token[0] == UNKNOWN:
                return None
            code, end = token
            parts.append(text[at:end])
        else:
            found = strings.end_of_quoting(text, at, _PLACES.get(state & 15, "element"))
            if found is None:
                return None
            code, end = TEXT, found[0] + 1
            parts.append(_with_backslashes(text, at, found[0], found[1]))
        state = machine.step(state, code)
        if state < 0:
            return None
        at = end
    return "".join(parts)


def _with_backslashes(text: str, start: int, end: int, marks: list[int]) -> str:
    parts, at = [], start
    for mark in marks:
        parts.append(text[at:mark] + "\\")
        at = mark
    return "".join([*parts, text[at : end + 1]])


def changed(base: str, way: list[TextChange]) -> str:
    """Return a text with the changes of one reading made."""
    parts, at = [], 0
    for change in way:
        parts.append(base[at : change.start])
        parts.append(change.text)
        at = change.end
    parts.append(base[at:])
    return "".join(parts)
