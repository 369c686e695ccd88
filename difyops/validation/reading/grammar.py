"""The grammar of JSON as a pushdown automaton that runs in both directions over token codes.

Forward, a state says what may come next and which containers are open. Backward, a need says in which states the rest
of a text can be read to its end. Both name the open containers by one number, so that a state and a need are compared
at once: that is what makes the search over single edits linear.
"""

from __future__ import annotations

from collections.abc import Sequence

OPEN_OBJECT, OPEN_ARRAY, CLOSE_OBJECT, CLOSE_ARRAY, COMMA, COLON, TEXT, SCALAR = range(8)
MARKS = "{[}],:"
"""The structural tokens; the index of each is its code."""
CODES = {mark: code for code, mark in enumerate(MARKS)}

(START, END, FIRST_KEY, KEY, AFTER_KEY, MEMBER, AFTER_MEMBER, FIRST_ELEMENT, ELEMENT, AFTER_ELEMENT) = range(10)
ROOT, OBJECT, ARRAY = range(3)
ERROR = -1
_PUSH_OBJECT, _PUSH_ARRAY, _POP = 16, 17, 18

_VALUE = {OPEN_OBJECT: _PUSH_OBJECT, OPEN_ARRAY: _PUSH_ARRAY}
_MOVES: dict[int, dict[int, int]] = {
    START: {**_VALUE, TEXT: END, SCALAR: END},
    END: {},
    FIRST_KEY: {TEXT: AFTER_KEY, CLOSE_OBJECT: _POP},
    KEY: {TEXT: AFTER_KEY},
    AFTER_KEY: {COLON: MEMBER},
    MEMBER: {**_VALUE, TEXT: AFTER_MEMBER, SCALAR: AFTER_MEMBER},
    AFTER_MEMBER: {COMMA: KEY, CLOSE_OBJECT: _POP},
    FIRST_ELEMENT: {**_VALUE, TEXT: AFTER_ELEMENT, SCALAR: AFTER_ELEMENT, CLOSE_ARRAY: _POP},
    ELEMENT: {**_VALUE, TEXT: AFTER_ELEMENT, SCALAR: AFTER_ELEMENT},
    AFTER_ELEMENT: {COMMA: ELEMENT, CLOSE_ARRAY: _POP},
}
_TABLE = tuple(tuple(_MOVES[mode].get(code, ERROR) for code in range(8)) for mode in range(10))
_AFTER = (END, AFTER_MEMBER, AFTER_ELEMENT)
_BEFORE = (1 << START, 1 << MEMBER, 1 << FIRST_ELEMENT | 1 << ELEMENT)
_MAY_FOLLOW = {
    OPEN_OBJECT: (TEXT, CLOSE_OBJECT),
    OPEN_ARRAY: (OPEN_OBJECT, OPEN_ARRAY, TEXT, SCALAR, CLOSE_ARRAY),
    CLOSE_OBJECT: (COMMA, CLOSE_OBJECT, CLOSE_ARRAY),
    CLOSE_ARRAY: (COMMA, CLOSE_OBJECT, CLOSE_ARRAY),
    COMMA: (OPEN_OBJECT, OPEN_ARRAY, TEXT, SCALAR),
    COLON: (OPEN_OBJECT, OPEN_ARRAY, TEXT, SCALAR),
    TEXT: (COLON, COMMA, CLOSE_OBJECT, CLOSE_ARRAY),
    SCALAR: (COMMA, CLOSE_OBJECT, CLOSE_ARRAY),
}

State = int
"""Open containers times sixteen plus a mode."""
Need = tuple[int, int]
"""Open containers, and the set of modes (as bits) in which the rest can be read."""


class Automaton:
    """The states of one search. Open containers are numbered as they are met: 0 is none."""

    __slots__ = ("_children", "kind", "parent")

    def __init__(self) -> None:
        self.parent = [0]
        self.kind = [ROOT]
        self._children: dict[int, int] = {}

    def step(self, state: State, code: int) -> State:
        """Return the state after a token, ``ERROR`` when it cannot stand there."""
        to = _TABLE[state & 15][code]
        if to < 16:
            return to if to < 0 else (state & ~15) | to
        if to == _POP:
            above = self.parent[state >> 4]
            return above << 4 | _AFTER[self.kind[above]]
        if to == _PUSH_OBJECT:
            return self._push(state >> 4, OBJECT) << 4 | FIRST_KEY
        return self._push(state >> 4, ARRAY) << 4 | FIRST_ELEMENT

    def back(self, need: Need, code: int) -> Need | None:
        """Return what is needed before a token that stands before ``need``, ``None`` when it cannot stand there."""
        stack, modes = need
        kind = self.kind[stack]
        ends_value = modes >> _AFTER[kind] & 1
        if code == TEXT and modes >> AFTER_KEY & 1:
            return stack, 1 << FIRST_KEY | 1 << KEY
        if code >= TEXT:
            return (stack, _BEFORE[kind]) if ends_value else None
        if code == COMMA:
            if kind == OBJECT:
                return (stack, 1 << AFTER_MEMBER) if modes >> KEY & 1 else None
            return (stack, 1 << AFTER_ELEMENT) if modes >> ELEMENT & 1 else None
        if code == COLON:
            return (stack, 1 << AFTER_KEY) if modes >> MEMBER & 1 else None
        if code == CLOSE_OBJECT:
            return (self._push(stack, OBJECT), 1 << AFTER_MEMBER | 1 << FIRST_KEY) if ends_value else None
        if code == CLOSE_ARRAY:
            return (self._push(stack, ARRAY), 1 << AFTER_ELEMENT | 1 << FIRST_ELEMENT) if ends_value else None
        opened = FIRST_KEY if code == OPEN_OBJECT else FIRST_ELEMENT
        if stack == 0 or not modes >> opened & 1:
            return None
        above = self.parent[stack]
        return above, _BEFORE[self.kind[above]]

    def forward(self, codes: Sequence[int], state: State = START) -> list[State]:
        """Return the state before each token up to the first that cannot stand there, and the one at the end."""
        states = [state]
        for code in codes:
            state = self.step(state, code)
            if state < 0:
                break
            states.append(state)
        return states

    def backward(self, codes: Sequence[int]) -> dict[int, Need]:
        """Return what is needed before each token, from the end to the first that cannot be read backward."""
        need: Need | None = (0, 1 << END)
        at = len(codes)
        needs: dict[int, Need] = {}
        while need is not None:
            needs[at] = need
            at -= 1
            need = self.back(need, codes[at]) if at >= 0 else None
        return needs

    def open_kinds(self, state: State) -> list[int]:
        """Return the kinds of the containers that are open, the innermost first."""
        found = []
        stack = state >> 4
        while stack:
            found.append(self.kind[stack])
            stack = self.parent[stack]
        return found

    def _push(self, stack: int, kind: int) -> int:
        key = stack * 4 + kind
        known = self._children.get(key)
        if known is None:
            known = self._children[key] = len(self.parent)
            self.parent.append(stack)
            self.kind.append(kind)
        return known


def fits(state: State, need: Need) -> bool:
    """Return whether a text read up to ``state`` can go on with the rest that has this need."""
    return state >= 0 and state >> 4 == need[0] and need[1] >> (state & 15) & 1 == 1


def imbalance(codes: Sequence[int]) -> int:
    """Return how many more containers are opened than closed, or closed than opened.

    An edit changes it by one, and by two where it puts a mark that closes for one that opens.
    """
    marks = bytes(codes)
    opened = marks.count(OPEN_OBJECT) + marks.count(OPEN_ARRAY)
    return abs(opened - marks.count(CLOSE_OBJECT) - marks.count(CLOSE_ARRAY))


def slips_ahead(codes: Sequence[int]) -> list[int]:
    """Return for each place how many edits the rest needs at least: pairs of neighbours that no JSON holds.

    Pairs that share a token count once, since one edit can mend both.
    """
    count = [0] * (len(codes) + 1)
    at = len(codes) - 1
    found = 0
    while at >= 1:
        count[at] = found
        if codes[at] not in _MAY_FOLLOW[codes[at - 1]]:
            found += 1
            count[at - 1] = found
            at -= 1
        at -= 1
    if at == 0:
        count[0] = found
    return count
