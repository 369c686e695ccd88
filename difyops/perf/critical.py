"""Critical path and drag of a tree of spans, as Uber's CRISP finds them.

The path begins with the child that ends last and goes back to the one that ended last before it began, again and again,
and into each of them. Drag is how much shorter the whole would be without a span: at most its own length, and no more
than the distance to the end of the sibling that would then end last. Without a graph, "before" is told from the times,
with an overlap of 1 % of the parent allowed for clocks that differ (CRISP's rule); with one, its edges tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_OVERLAP = 0.01


@dataclass(slots=True)
class Span:
    """A stretch of work from ``start`` to ``end`` with the work inside it."""

    id: str
    start: float
    end: float
    children: list[Span] = field(default_factory=list)

    @property
    def length(self) -> float:
        """Return how long it took."""
        return self.end - self.start


Before = Callable[[Span, Span], bool]
Rule = Callable[[Span], Before]


def critical_path(root: Span, rule: Rule | None = None) -> list[Span]:
    """Return the spans on the critical path, the root first, later ones before earlier ones."""
    path = [root]
    if not root.children:
        return path
    before = (rule or by_time)(root)
    ordered = sorted(root.children, key=lambda span: span.end)[::-1]
    last = ordered[0]
    path += critical_path(last, rule)
    for span in ordered[1:]:
        if before(span, last):
            path += critical_path(span, rule)
            last = span
    return path


def by_time(parent: Span) -> Before:
    """Return CRISP's rule for the children of ``parent``."""

    def before(first: Span, later: Span) -> bool:
        if first.end < later.start:
            return True
        if not (first.end < later.end and first.start < later.start):
            return False
        if parent.length <= 0 or (first.end - later.start) / parent.length >= _OVERLAP:
            return False
        return _events(parent.children, later.start, first.end) == 2  # no other child begins or ends in there

    return before


def _events(spans: Sequence[Span], low: float, high: float) -> int:
    return sum((low <= span.start <= high) + (low <= span.end <= high) for span in spans)


def drag(root: Span, path: Sequence[Span]) -> dict[str, float]:
    """Return the drag of every span on the path."""
    parents: dict[str, Span] = {}
    stack = [root]
    while stack:
        span = stack.pop()
        parents.update((child.id, span) for child in span.children)
        stack += span.children
    return {span.id: _drag(span, parents.get(span.id)) for span in path}


def _drag(span: Span, parent: Span | None) -> float:
    if parent is None or len(parent.children) == 1:
        return span.length
    ordered = sorted(parent.children, key=lambda sibling: sibling.end)[::-1]
    place = next(number for number, sibling in enumerate(ordered) if sibling is span)
    if place == len(ordered) - 1:
        return span.length
    return max(0.0, min(span.length, span.end - ordered[place + 1].end))
