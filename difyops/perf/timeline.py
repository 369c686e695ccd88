"""One run's timeline, rebuilt: when each node began and ended, what nobody accounts for, what a change would bring.

The server tells durations in microseconds and times of day in whole seconds. So a node begins when the last of the
nodes that lead to it (and were executed) ended; where its whole second says that it cannot have begun yet, it waited.
Waits and what is left at the end are **unattributed**: queueing, handoff, loading of variables. A wait before a
person's answer is a pause, and is taken out. The final row of a node that was retried contains all its attempts.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops.perf.critical import Span, by_time, critical_path, drag
from difyops.perf.facts import NodeFact, RunFact

_HUMAN = "human-input"
ROOT = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One node execution in the timeline; seconds from the run's beginning. ``wait`` came before ``start``."""

    id: str
    node: str
    title: str
    type: str
    status: str
    start: float
    end: float
    wait: float
    container: str
    round: int | None
    retries: int
    retry_seconds: float
    critical: bool
    drag: float

    @property
    def length(self) -> float:
        """Return how long it took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A run: ``total`` seconds without pauses, its bars, and what no node accounts for."""

    run: str
    version: str
    total: float
    paused: float
    unattributed: float
    bars: tuple[Bar, ...]
    known: bool
    """The graph is known: starts come from its edges, not from the order of the rows."""

    @property
    def top(self) -> tuple[Bar, ...]:
        """Return the bars outside containers."""
        return tuple(bar for bar in self.bars if not bar.container)

    @property
    def path(self) -> tuple[Bar, ...]:
        """Return the critical path in the order of time."""
        return tuple(sorted((bar for bar in self.bars if bar.critical), key=lambda bar: (bar.start, bar.end)))


@dataclass(slots=True)
class _Step:
    row: NodeFact
    before: list[str] = field(default_factory=list)
    wait: float = 0.0
    start: float = 0.0
    length: float = 0.0
    inside: list[_Step] = field(default_factory=list)
    slack: float = 0.0  # of a container: what its children do not account for


@dataclass(slots=True)
class TimelinePlan:
    """The steps of one run as a schedule that can be computed anew with other lengths."""

    run: RunFact
    steps: list[_Step]
    tail: float
    paused: float
    shape: Mapping[str, Any] | None
    retries: dict[str, list[NodeFact]]

    def total(self, factor: Callable[[NodeFact], float] | None = None) -> float:
        """Return the run's length when every row's own time is multiplied by ``factor(row)``."""
        return _schedule(self.steps, factor or _same, self.shape, store=False) + self.tail

    @property
    def actual(self) -> float:
        """Return the run's length as it was, without pauses."""
        return self.total()


def _same(row: NodeFact) -> float:
    return 1.0


def plan(run: RunFact, rows: Sequence[NodeFact], shape: Mapping[str, Any] | None) -> TimelinePlan:
    """Rebuild the schedule of one run from its node rows and the shape of its version's graph (``None``: not known)."""
    retries: dict[str, list[NodeFact]] = defaultdict(list)
    for row in rows:
        if row.attempt:
            retries[row.id.partition(":retry:")[0]].append(row)
    final = [row for row in rows if not row.attempt]
    outside = [row for row in final if not row.container]
    known = {str(node["id"]) for node in (shape or {}).get("nodes", ())}
    graph = shape if shape and any(row.node in known for row in outside) else None
    steps = [_Step(row=row, length=row.elapsed) for row in sorted(outside, key=_order)]
    _lead(steps, graph)
    paused = _place(run, steps, graph)
    for step in steps:
        _fill(step, final, graph)
    end = max((step.start + step.length for step in steps), default=0.0)
    wall = run.elapsed if run.elapsed is not None else end
    if paused and wall > end + paused - 1:
        wall -= paused
    return TimelinePlan(
        run=run, steps=steps, tail=max(0.0, wall - end), paused=paused, shape=graph, retries=dict(retries)
    )


def _order(row: NodeFact) -> tuple[float, int]:
    return (row.started, row.index)  # after a pause the index begins at 1 again


def _lead(steps: Sequence[_Step], graph: Mapping[str, Any] | None) -> None:
    """Say for each step which executed steps lead to it."""
    if graph is None:
        for earlier, later in itertools.pairwise(steps):
            later.before = [earlier.row.id]
        return
    latest: dict[str, str] = {}
    leads: dict[str, list[str]] = defaultdict(list)
    for source, target, _ in graph["edges"]:
        leads[target].append(source)
    for step in steps:
        step.before = [latest[source] for source in leads[step.row.node] if source in latest]
        latest[step.row.node] = step.row.id


def _place(run: RunFact, steps: Sequence[_Step], graph: Mapping[str, Any] | None) -> float:
    """Set where each step begins, and its wait; return how long the run was paused."""
    ends: dict[str, float] = {}
    paused = 0.0
    for number, step in enumerate(steps):
        ready = max((ends[name] for name in step.before if name in ends), default=0.0)
        earliest = step.row.started - run.started - 1 - paused  # both times were cut to whole seconds
        latest = step.row.started - run.started + 1 - paused
        if run.elapsed is not None and not paused:
            latest = min(latest, run.elapsed - step.length)  # it ended with the run at the latest
        if step.row.type == _HUMAN and earliest > ready:
            paused += step.row.started - run.started - paused - ready
            step.wait = 0.0
            start = ready
        elif earliest > ready:
            start, step.wait = earliest, earliest - ready
        elif graph is None and number and latest < ready:
            start, step.before = max(0.0, latest), []  # it ran beside the one before it
            step.wait = start
        else:
            start = ready
        step.start = start
        ends[step.row.id] = start + step.length
    return paused


def _fill(step: _Step, rows: Sequence[NodeFact], graph: Mapping[str, Any] | None) -> None:
    children = sorted(
        (row for row in rows if row.container == step.row.node), key=lambda row: (row.round or 0, row.index)
    )
    if not children:
        return
    step.inside = [_Step(row=row, length=row.elapsed) for row in children]
    for _, group in _rounds(step.inside):
        _lead(group, graph if graph and any(row.node in {e[1] for e in graph["edges"]} for row in children) else None)
    step.slack = max(0.0, step.length - _container(step, _same, graph, store=True))


def _rounds(steps: Sequence[_Step]) -> list[tuple[int, list[_Step]]]:
    groups: dict[int, list[_Step]] = defaultdict(list)
    for step in steps:
        groups[step.row.round or 0].append(step)
    return sorted(groups.items())


def _schedule(
    steps: Sequence[_Step], factor: Callable[[NodeFact], float], shape: Mapping[str, Any] | None, *, store: bool
) -> float:  # fmt: skip
    ends: dict[str, float] = {}
    for step in steps:
        start = max((ends[name] for name in step.before if name in ends), default=0.0) + step.wait
        length = step.length * factor(step.row)
        if step.inside:
            share = factor(step.row)
            length = (_container(step, factor, shape, store=False) + step.slack) * share
        ends[step.row.id] = start + length
    return max(ends.values(), default=0.0)


def _container(
    step: _Step, factor: Callable[[NodeFact], float], shape: Mapping[str, Any] | None, *, store: bool
) -> float:  # fmt: skip
    """Return how long the rounds of a container take: one after the other, or side by side as many as it may."""
    lengths: list[tuple[list[_Step], float]] = []
    for _, group in _rounds(step.inside):
        ends: dict[str, float] = {}
        for child in group:
            start = max((ends[name] for name in child.before if name in ends), default=0.0)
            if store:
                child.start = start
            ends[child.row.id] = start + child.length * factor(child.row)
        lengths.append((group, max(ends.values(), default=0.0)))
    width = _width(step, shape, sum(length for _, length in lengths))
    free = [0.0] * width
    for group, length in lengths:
        at = heapq.heappop(free)
        heapq.heappush(free, at + length)
        if store:
            for child in group:
                child.start += step.start + at
    return max(free)


def _width(step: _Step, shape: Mapping[str, Any] | None, one_by_one: float) -> int:
    node = next((node for node in (shape or {}).get("nodes", ()) if node["id"] == step.row.node), None)
    if node is not None:
        return max(1, int(node.get("parallel_nums") or 10)) if node.get("parallel") else 1
    return 1 if one_by_one <= step.length * 1.02 + 0.05 else 10


def timeline(found: TimelinePlan) -> Timeline:
    """Return the timeline of a plan, with its critical path and the drag of what lies on it."""
    actual = found.actual
    root = Span(ROOT, 0.0, actual)
    steps = {}
    for step in found.steps:
        span = Span(step.row.id, step.start, step.start + step.length)
        span.children = [Span(child.row.id, child.start, child.start + child.length) for child in step.inside]
        root.children.append(span)
        steps[step.row.id] = step
        steps.update((child.row.id, child) for child in step.inside)
    path = critical_path(root, _rule(found, steps))
    on_path = {span.id for span in path}
    drags = drag(root, path) if found.shape is None else {
        name: actual - found.total(_without(steps[name].row)) for name in on_path if name
    }  # fmt: skip
    bars = tuple(_bar(found, step, on_path, drags) for step in steps.values())
    return Timeline(
        run=found.run.id, version=found.run.version, total=actual, paused=found.paused, bars=bars,
        unattributed=max(0.0, actual - _union(root.children)), known=found.shape is not None,
    )  # fmt: skip


def _without(gone: NodeFact) -> Callable[[NodeFact], float]:
    return lambda row: 0.0 if row is gone else 1.0


def _rule(found: TimelinePlan, steps: Mapping[str, _Step]) -> Callable[[Span], Callable[[Span, Span], bool]]:
    """Return "before" from the edges where the graph is known, from the times where it is not."""
    if found.shape is None:
        return by_time
    ancestors: dict[str, set[str]] = {}
    for step in steps.values():
        ancestors[step.row.id] = {up for name in step.before for up in (name, *ancestors.get(name, ()))}

    def rule(parent: Span) -> Callable[[Span, Span], bool]:
        def before(first: Span, later: Span) -> bool:
            one, two = steps[first.id].row, steps[later.id].row
            if one.container and one.round != two.round:
                return first.end <= later.start + 1e-9
            return first.id in ancestors[later.id]

        return before

    return rule


def _bar(found: TimelinePlan, step: _Step, on_path: set[str], drags: Mapping[str, float]) -> Bar:
    row = step.row
    tries = found.retries.get(row.id, [])
    return Bar(
        id=row.id, node=row.node, title=row.title, type=row.type, status=row.status, start=step.start,
        end=step.start + step.length, wait=step.wait, container=row.container, round=row.round, retries=len(tries),
        retry_seconds=min(step.length, sum(item.elapsed for item in tries)), critical=row.id in on_path,
        drag=max(0.0, drags.get(row.id, 0.0)),
    )  # fmt: skip


def _union(spans: Sequence[Span]) -> float:
    covered, upto = 0.0, 0.0
    for span in sorted(spans, key=lambda item: item.start):
        low = max(span.start, upto)
        if span.end > low:
            covered += span.end - low
            upto = span.end
    return covered
