"""All cheapest readings of a text that needs more than one edit of structural tokens: best first, with a limit.

A* over places and states. What is left to do is bounded from below by pairs of neighbours that no JSON holds; so slips
that lie apart are mended in linear time, and only what is tangled costs more. Ways that lead to the same state at the
same place are followed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from difyops.validation.reading.effort import Effort, TooMuchEffort
from difyops.validation.reading.grammar import END, START, TEXT, Automaton, State, imbalance, slips_ahead
from difyops.validation.reading.single import TextChange, deleted, insertable, inserted, replaced
from difyops.validation.reading.tokens import Tokens

_MOST_STEPS = 5_000
_MOST_READS = 20_000
MOST_READINGS = 300

Location = tuple[int, State]
_Edit = tuple[Callable[[Tokens, int, int], TextChange], int, int]
"""What makes the change of a text, the number of the token, and the code that is put there."""
_Step = tuple[Location, _Edit | None]


def cheapest(tokens: Tokens, most_edits: int, effort: Effort) -> list[list[TextChange]]:
    """Return the edits of each cheapest reading; nothing when each needs more than ``most_edits``.

    Raises:
        TooMuchEffort: more steps, or more readings, than can be looked at.
    """
    if imbalance(tokens.codes) > 2 * most_edits:
        raise TooMuchEffort
    search = _Search(tokens, effort)
    goal: Location = (len(tokens.codes), END)
    try:
        if not search.run(goal, most_edits):
            return []
    finally:
        effort.edits -= search.steps
        effort.reads -= search.reads
    found: list[list[TextChange]] = []
    for changes in search.ways(goal):
        found.append(changes)
        if len(found) > MOST_READINGS:
            raise TooMuchEffort
    return found


class _Search:
    def __init__(self, tokens: Tokens, effort: Effort) -> None:
        self.tokens = tokens
        self.machine = Automaton()
        self.ahead = slips_ahead(tokens.codes)
        self.cost: dict[Location, int] = {(0, START): 0}
        self.came: dict[Location, list[_Step]] = {(0, START): []}
        self.steps = self.reads = 0
        self.most_steps = min(_MOST_STEPS, effort.edits)
        self.most_reads = min(_MOST_STEPS + min(_MOST_READS, 2 * len(self.ahead)), effort.reads)

    def run(self, goal: Location, most: int) -> bool:
        """Settle everything that is no dearer than the goal; say whether it was reached.

        Each location is left twice: by what stands there at once, by edits only where they can lead to a way that is no
        dearer than the level.
        """
        level = self.ahead[0]
        steps: dict[int, list[Location]] = {level: [(0, START)]}
        edits: dict[int, list[Location]] = {}
        while level <= most:
            todo, later = steps.pop(level, []), edits.pop(level, [])
            edits[level] = later
            done: set[tuple[Location, int]] = set()
            while todo or later:
                if todo:
                    self._read_on(todo.pop(), level, steps, edits)
                else:
                    self._edit(later.pop(), level, todo, steps, done)
                if self.steps > self.most_steps or self.reads >= self.most_reads:
                    raise TooMuchEffort
            if goal in self.cost and self.cost[goal] <= level:
                return True
            level += 1
        return False

    def _read_on(
        self, location: Location, level: int, steps: dict[int, list[Location]], edits: dict[int, list[Location]]
    ) -> None:
        """Follow what stands there as far as it can be read at this level, and note where edits may be tried."""
        codes, ahead, step, costs = self.tokens.codes, self.ahead, self.machine.step, self.cost
        cost, end = costs[location], len(codes)
        while self.reads < self.most_reads:
            self.reads += 1
            at, state = location
            soonest = cost + 1 + ahead[at + 1 if at < end else end]
            edits.setdefault(soonest if soonest > level else level, []).append(location)
            if at == end or (after := step(state, codes[at])) < 0:
                return
            before, location = location, (at + 1, after)
            if not self._reach(before, location, None, cost):
                return
            if cost + ahead[at + 1] > level:
                steps.setdefault(cost + ahead[at + 1], []).append(location)
                return

    def _edit(
        self,
        location: Location,
        level: int,
        todo: list[Location],
        steps: dict[int, list[Location]],
        done: set[tuple[Location, int]],
    ) -> None:
        """Try each edit of a token at a location."""
        cost = self.cost[location]
        if (location, cost) in done:
            return
        done.add((location, cost))
        self.steps += 1
        for after, change in self._edits(location):
            if self._reach(location, after, change, cost + 1):
                bound = max(level, cost + 1 + self.ahead[after[0]])
                (todo if bound == level else steps.setdefault(bound, [])).append(after)

    def _reach(self, location: Location, after: Location, change: _Edit | None, price: int) -> bool:
        known = self.cost.get(after)
        if known is not None and known < price:
            return False
        if known == price:
            step = (location, change)
            if step not in self.came[after]:
                self.came[after].append(step)
            return False
        self.cost[after] = price
        self.came[after] = [(location, change)]
        return True

    def _edits(self, location: Location) -> Iterator[tuple[Location, _Edit]]:
        at, state = location
        codes, step = self.tokens.codes, self.machine.step
        if at < len(codes) and (code := codes[at]) < TEXT:
            yield (at + 1, state), (deleted, at, -1)
            for other in insertable(state):
                if other != code:
                    yield (at + 1, step(state, other)), (replaced, at, other)
        for other in insertable(state):
            yield (at, step(state, other)), (inserted, at, other)

    def ways(self, goal: Location) -> Iterator[list[TextChange]]:
        """Yield the edits of each cheapest way to the goal, in the order of the text."""
        stack: list[tuple[Location, tuple[_Edit, ...]]] = [(goal, ())]
        while stack:
            location, changes = stack.pop()
            while True:
                self.steps += 1
                if self.steps > 20 * _MOST_STEPS:
                    raise TooMuchEffort
                steps = self.came[location]
                if not steps:
                    break
                for before, change in steps[1:]:
                    stack.append((before, (change, *changes) if change else changes))
                location, change = steps[0]
                changes = (change, *changes) if change else changes
            yield [make(self.tokens, at, code) for make, at, code in changes]
