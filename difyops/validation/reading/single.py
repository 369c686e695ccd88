"""All readings of a text that are one edit away, found in linear time.

A text is read forward until it cannot go on and backward until it cannot; an edit between the two makes a whole if
the state before it and the need behind it agree. Here for one structural token; ``quotes`` does it for one quote.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
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
    first, last = len(codes) + 1 - len(needs), len(states) - 1
    parent = machine.parent
    for at in range(max(0, first - 1), last + 1):
        state = states[at]
        need, behind = needs.get(at), needs.get(at + 1)
        stack = state >> 4
        if need is not None and _is_near(parent, stack, need >> 4):
            found += [inserted(tokens, at, c) for c in insertable(state) if fits(machine.step(state, c), need)]
        if behind is None or at >= len(codes) or codes[at] >= TEXT:
            continue
        if stack == behind >> 4 and fits(state, behind):
            found.append(deleted(tokens, at))
        if _is_near(parent, stack, behind >> 4):
            code = codes[at]
            found += [
                replaced(tokens, at, c) for c in insertable(state) if c != code and fits(machine.step(state, c), behind)
            ]
    found += _joined(tokens, states, needs, machine)
    return found


def _is_near(parent: Sequence[int], stack: int, other: int) -> bool:
    """Return whether one structural token can lead from some open containers to others."""
    return other in (stack, parent[stack]) or parent[other] == stack


def spliced(tokens: Tokens, change: TextChange) -> Tokens:
    """Return the tokens of a text after an edit of one structural token."""
    at = bisect_left(tokens.starts, change.start)
    behind = at + (change.end > change.start)
    shift = len(change.text) - (change.end - change.start)
    middle = [CODES[change.text]] if change.text else []
    starts = [*tokens.starts[:at], *([change.start] if middle else []), *(s + shift for s in tokens.starts[behind:])]
    ends = [*tokens.ends[:at], *([change.start + 1] if middle else []), *(e + shift for e in tokens.ends[behind:])]
    return Tokens(tokens.codes[:at] + bytes(middle) + tokens.codes[behind:], starts, ends)


def _joined(tokens: Tokens, states: list[State], needs: dict[int, Need], machine: Automaton) -> Iterator[TextChange]:
    """Yield the edits that make one text of two, which a line break or a plus parts, in the place of a member."""
    at = tokens.codes.find(_TWO_TEXTS)
    while 0 <= at < len(states):
        if states[at] & 15 == MEMBER and at + 2 in needs and fits(machine.step(states[at], TEXT), needs[at + 2]):
            yield TextChange(tokens.ends[at] - 1, tokens.starts[at + 1] + 1, "", "joined texts")
        at = tokens.codes.find(_TWO_TEXTS, at + 1)
