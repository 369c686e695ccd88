"""All readings of a text that are one edit away, found in linear time.

A text is read forward until it cannot go on and backward until it cannot; an edit between the two makes a whole if
the state before it and the need behind it agree. Here for one structural token; ``quotes`` does it for one quote.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from difyops.validation.reading.grammar import (
    AFTER_ELEMENT,
    AFTER_KEY,
    AFTER_MEMBER,
    CLOSE_ARRAY,
    CLOSE_OBJECT,
    CODES,
    COMMA,
    ELEMENT,
    END,
    FIRST_ELEMENT,
    FIRST_KEY,
    KEY,
    MARKS,
    MEMBER,
    OPEN_ARRAY,
    OPEN_OBJECT,
    TEXT,
    Automaton,
    Need,
    State,
    fits,
)
from difyops.validation.reading.tokens import Tokens


class TextChange(NamedTuple):
    """One edit of a text: what stands from ``start`` to ``end`` becomes ``text``."""

    start: int
    end: int
    text: str
    reason: str


_TWO_TEXTS = bytes([TEXT, TEXT])
_INSERTABLE: dict[int, tuple[int, ...]] = {
    AFTER_KEY: (CODES[":"],),
    MEMBER: (OPEN_OBJECT, OPEN_ARRAY),
    AFTER_MEMBER: (COMMA, CLOSE_OBJECT),
    FIRST_KEY: (CLOSE_OBJECT,),
    KEY: (),
    FIRST_ELEMENT: (OPEN_OBJECT, OPEN_ARRAY, CLOSE_ARRAY),
    ELEMENT: (OPEN_OBJECT, OPEN_ARRAY),
    AFTER_ELEMENT: (COMMA, CLOSE_ARRAY),
    END: (),
    0: (OPEN_OBJECT, OPEN_ARRAY),
}
"""For each mode the structural tokens that may come next."""


def insertable(state: State) -> tuple[int, ...]:
    """Return the structural tokens that may come next in a state."""
    return _INSERTABLE[state & 15]


def inserted(tokens: Tokens, at: int, code: int) -> TextChange:
    """Return the edit that puts a structural token before the token ``at``: right behind what it ends."""
    behind = code not in (OPEN_OBJECT, OPEN_ARRAY) and at > 0
    place = tokens.ends[at - 1] if behind else tokens.starts[at] if at < len(tokens.starts) else tokens.ends[-1]
    names = {COMMA: "missing comma", CODES[":"]: "missing colon"}
    return TextChange(place, place, MARKS[code], names.get(code, "missing bracket"))


def deleted(tokens: Tokens, at: int, _: int = -1) -> TextChange:
    """Return the edit that takes a structural token out."""
    code = tokens.codes[at]
    reason = "extra bracket"
    if code == COMMA:
        closes = at + 1 < len(tokens.codes) and tokens.codes[at + 1] in (CLOSE_OBJECT, CLOSE_ARRAY)
        reason = "trailing comma" if closes else "extra comma"
    elif code == CODES[":"]:
        reason = "extra colon"
    return TextChange(tokens.starts[at], tokens.ends[at], "", reason)


def swapped(text: str, change: TextChange) -> TextChange | None:
    """Return the edit that puts a comma or colon behind the quote before it, where one is missing there."""
    at = change.start
    if change.start != change.end or change.text not in (",", ":") or text[at - 2 : at] != change.text + '"':
        return None
    return TextChange(at - 2, at, '"' + change.text, "swapped marks")


def replaced(tokens: Tokens, at: int, code: int) -> TextChange:
    """Return the edit that puts another structural token in the place of one."""
    reason = "wrong comma" if code == COMMA else "wrong colon" if MARKS[code] == ":" else "wrong bracket"
    return TextChange(tokens.starts[at], tokens.ends[at], MARKS[code], reason)


def token_edits(tokens: Tokens, machine: Automaton, states: list[State]) -> list[TextChange]:
    """Return every edit of one structural token that makes a text whole; ``states`` are those before its tokens."""
    codes = tokens.codes
    needs = machine.backward(codes)
    found: list[TextChange] = []
    size, last = len(codes), len(states) - 1
    first = max(0, size - len(needs))
    step, parent, kinds = machine.step, machine.parent, _INSERTABLE
    need = needs.get(first, -1)
    for at in range(first, last + 1):
        state, behind = states[at], needs.get(at + 1, -1)
        stack = state >> 4
        if need >= 0 and ((other := need >> 4) == stack or parent[stack] == other or parent[other] == stack):
            found += [inserted(tokens, at, c) for c in kinds[state & 15] if fits(step(state, c), need)]
        need = behind
        if behind < 0 or (code := codes[at]) >= TEXT:
            continue
        other = behind >> 4
        if stack == other and fits(state, behind):
            found.append(deleted(tokens, at))
        if other == stack or parent[stack] == other or parent[other] == stack:
            found += [replaced(tokens, at, c) for c in kinds[state & 15] if c != code and fits(step(state, c), behind)]
    found += _joined(tokens, states, needs, machine)
    return found


def _joined(tokens: Tokens, states: list[State], needs: dict[int, Need], machine: Automaton) -> Iterator[TextChange]:
    """Yield the edits that make one text of two, which a line break or a plus parts, in the place of a member."""
    at = tokens.codes.find(_TWO_TEXTS)
    while 0 <= at < len(states):
        if states[at] & 15 == MEMBER and at + 2 in needs and fits(machine.step(states[at], TEXT), needs[at + 2]):
            yield TextChange(tokens.ends[at] - 1, tokens.starts[at + 1] + 1, "", "joined texts")
        at = tokens.codes.find(_TWO_TEXTS, at + 1)
