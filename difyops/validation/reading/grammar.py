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
_SETS = (
    (END,), (FIRST_KEY, KEY), (START,), (MEMBER,), (FIRST_ELEMENT, ELEMENT), (AFTER_MEMBER,), (AFTER_ELEMENT,),
    (AFTER_KEY,), (AFTER_MEMBER, FIRST_KEY), (AFTER_ELEMENT, FIRST_ELEMENT),
)  # fmt: skip
"""The sets of modes in which the rest of a text can be read."""
(_NO_MORE, _NAME, _ANYTHING, _VALUE_OF_MEMBER, _SOME_ELEMENT, _MEMBER_ENDED, _ELEMENT_ENDED, _COLON, _OBJECT_ENDS,
 _ARRAY_ENDS) = range(10)  # fmt: skip
_MODES = tuple(sum(1 << mode for mode in modes) for modes in _SETS)
_BEFORE = (_ANYTHING, _VALUE_OF_MEMBER, _SOME_ELEMENT)
_PUSHES = {CLOSE_OBJECT: _PUSH_OBJECT, CLOSE_ARRAY: _PUSH_ARRAY}
_BACK_MOVES: dict[int, dict[int, int]] = {
    _NO_MORE: {**_PUSHES, TEXT: _ANYTHING, SCALAR: _ANYTHING},
    _NAME: {COMMA: _MEMBER_ENDED, OPEN_OBJECT: _POP},
    _ANYTHING: {},
    _VALUE_OF_MEMBER: {COLON: _COLON},
    _SOME_ELEMENT: {COMMA: _ELEMENT_ENDED, OPEN_ARRAY: _POP},
    _MEMBER_ENDED: {**_PUSHES, TEXT: _VALUE_OF_MEMBER, SCALAR: _VALUE_OF_MEMBER},
    _ELEMENT_ENDED: {**_PUSHES, TEXT: _SOME_ELEMENT, SCALAR: _SOME_ELEMENT},
    _COLON: {TEXT: _NAME},
    _OBJECT_ENDS: {**_PUSHES, TEXT: _VALUE_OF_MEMBER, SCALAR: _VALUE_OF_MEMBER, OPEN_OBJECT: _POP},
    _ARRAY_ENDS: {**_PUSHES, TEXT: _SOME_ELEMENT, SCALAR: _SOME_ELEMENT, OPEN_ARRAY: _POP},
}
_BACK = tuple(tuple(_BACK_MOVES[modes].get(code, ERROR) for code in range(8)) for modes in range(10))
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
Need = int
"""Open containers times sixteen plus the number of a set of modes in which the rest can be read."""


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

    def back(self, need: Need, code: int) -> Need:
        """Return what is needed before a token that stands before ``need``, ``ERROR`` when it cannot stand there."""
        to = _BACK[need & 15][code]
        if to < 16:
            return to if to < 0 else (need & ~15) | to
        if to == _POP:
            above = self.parent[need >> 4]
            return above << 4 | _BEFORE[self.kind[above]]
        if to == _PUSH_OBJECT:
            return self._push(need >> 4, OBJECT) << 4 | _OBJECT_ENDS
        return self._push(need >> 4, ARRAY) << 4 | _ARRAY_ENDS

    def forward(self, codes: Sequence[int], state: State = START) -> list[State]:
        """Return the state before each token up to the first that cannot stand there, and the one at the end."""
        states = [state]
        for code in codes:
            to = _TABLE[state & 15][code]
            state = (state & ~15) | to if 0 <= to < 16 else self.step(state, code)
            if state < 0:
                break
            states.append(state)
        return states

    def backward(self, codes: Sequence[int]) -> dict[int, Need]:
        """Return what is needed before each token, from the end to the first that cannot be read backward."""
        need: Need = _NO_MORE
        needs: dict[int, Need] = {len(codes): need}
        for at in range(len(codes) - 1, -1, -1):
            code = codes[at]
            to = _BACK[need & 15][code]
            need = (need & ~15) | to if 0 <= to < 16 else self.back(need, code)
            if need < 0:
                break
            needs[at] = need
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
    return state >= 0 and state >> 4 == need >> 4 and _MODES[need & 15] >> (state & 15) & 1 == 1


def imbalance(codes: bytes) -> int:
    """Return how many more containers are opened than closed, or closed than opened.

    An edit changes it by one, and by two where it puts a mark that closes for one that opens.
    """
    opened = codes.count(OPEN_OBJECT) + codes.count(OPEN_ARRAY)
    return abs(opened - codes.count(CLOSE_OBJECT) - codes.count(CLOSE_ARRAY))


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
