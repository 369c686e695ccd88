"""``perf nodes`` and ``perf bottlenecks``: each node's times, its share of the critical path, its drag, its tail."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from difyops.history.apps import TIMED
from difyops.history.store import History
from difyops.perf.facts import ReadFacts, Scope, sampled, shapes
from difyops.perf.quick import timings
from difyops.perf.quick_sql import Timing
from difyops.perf.success import SuccessRate
from difyops.perf.timeline import Bar, Timeline, plan, timeline
from difyops.statistics import Interval, Quantile, weighted_ratio

_MOST_LINES = 400  # the mean drag of a usual node is known to a tenth from so many, and its interval is told


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProfile:
    """One node of an app. Times in seconds; from a sample, so every figure is weighted by one over the chance:
    ``retries`` is what all runs come to, not only those that were read, ``retry_seconds`` what they take in a run.

    ``path_share`` is its part of the critical paths, ``drag`` by how much a run would be shorter without it (mean),
    both with the interval that so many timelines allow; ``tail`` p99 over p50, ``variance_share`` its part of what
    makes runs differ.
    """

    node: str
    title: str
    type: str
    n: int
    runs: int
    percentiles: tuple[Quantile, ...]
    failures: SuccessRate
    retries: int
    retries_interval: Interval | None
    retry_seconds: float
    retry_seconds_interval: Interval | None
    path_share: float
    path_interval: Interval | None
    drag: float
    drag_interval: Interval | None
    tail: float | None
    variance_share: float
    variance_interval: Interval | None
    tokens: float
    tokens_interval: Interval | None

    def at(self, share: float) -> Quantile:
        """Return the percentile at ``share``."""
        return next(item for item in self.percentiles if item.share == share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """All nodes of an app, largest drag first. ``lines`` timelines stand behind path and drag."""

    app: str
    name: str
    read: int
    lines: int
    nodes: tuple[NodeProfile, ...]
    unattributed_share: float
    unattributed_interval: Interval | None
    average: float | None


@dataclass(slots=True)
class _Sum:
    """What the timelines say of one node, by run: its time, its drag, its own time on the critical path."""

    bars: list[tuple[Bar, float]] = field(default_factory=list)
    by_run: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    drags: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    retries: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    retry_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    paths: dict[str, float] = field(default_factory=lambda: defaultdict(float))


@dataclass(slots=True)
class _All:
    """What the timelines say of all nodes together."""

    nodes: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    weights: dict[str, float] = field(default_factory=dict)
    total: float = 0.0
    loose: dict[str, float] = field(default_factory=dict)
    paths: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    totals: dict[str, float] = field(default_factory=dict)

    def add(self, line: Timeline, one: float) -> None:
        """Add a timeline that stands for ``one`` runs."""
        self.weights[line.run] = one
        self.total += one * line.total
        self.loose[line.run] = line.unattributed
        self.totals[line.run] = line.total
        inside: dict[str, float] = defaultdict(float)
        for bar in line.bars:
            if bar.critical and bar.container:
                inside[bar.container] += bar.length
        for bar in line.bars:
            found = self.nodes[bar.node]
            found.bars.append((bar, one))
            found.by_run[line.run] += bar.length
            found.drags[line.run] += bar.drag
            found.retries[line.run] += bar.retries
            found.retry_seconds[line.run] += bar.retry_seconds
            if bar.critical:  # a container's own time is what its children on the path do not take
                own = max(0.0, bar.length - inside.get(bar.node, 0.0))
                found.paths[line.run] += own
                self.paths[line.run] += own

    def each(self, own: Mapping[str, float]) -> tuple[float, Interval | None]:
        """Return the mean of a figure over all runs; one that does not have it counts as nothing."""
        return self._ratio(own, dict.fromkeys(self.weights, 1.0))

    def of_paths(self, own: Mapping[str, float]) -> tuple[float, Interval | None]:
        """Return the part of all critical paths that a figure is."""
        return self._ratio(own, self.paths)

    def of_runs(self, own: Mapping[str, float]) -> tuple[float, Interval | None]:
        """Return the part of the time of all runs that a figure is."""
        return self._ratio(own, self.totals)

    def _ratio(self, own: Mapping[str, float], size: Mapping[str, float]) -> tuple[float, Interval | None]:
        rows = [(own.get(run, 0.0), size.get(run, 0.0), one) for run, one in self.weights.items()]
        return weighted_ratio(rows)

    def shared(self, own: Mapping[str, float]) -> tuple[float, Interval | None]:
        """Return the part of the variance of the totals that goes with a node's time; below 0 where it runs against."""
        mean = math.fsum(self.totals[run] * one for run, one in self.weights.items()) / math.fsum(self.weights.values())
        rows = [
            (own.get(run, 0.0) * (total - mean), (total - mean) ** 2, self.weights[run])
            for run, total in self.totals.items()
        ]
        return weighted_ratio(rows, least=-math.inf)


def lines_of(history: History, scope: Scope, *, most: int = _MOST_LINES) -> list[tuple[ReadFacts, Timeline]]:
    """Return the timelines of the sampled runs of a scope."""
    graphs = shapes(history, scope)
    return [
        (read, timeline(plan(read.run, read.nodes, graphs.get(read.run.version))))
        for read in sampled(history, scope, most=most)
        if read.nodes and read.run.status in TIMED
    ]


def profile(history: History, scope: Scope, lines: Sequence[tuple[ReadFacts, Timeline]] | None = None) -> Profile:
    """Profile the nodes of a scope; ``lines``: its timelines, where they are at hand.

    A node that none of the timelines holds, but a run that was read, has its times; its path and drag are 0.
    """
    lines = lines_of(history, scope) if lines is None else lines
    found = _All()
    for read, line in lines:
        found.add(line, 1 / read.chance)
    unattributed, between = found.of_runs(found.loose)
    times = timings(history, scope)
    nodes = [_profile(node, found, times.get(node)) for node in found.nodes]
    nodes += [_untimed(timing) for node, timing in times.items() if node not in found.nodes]
    return Profile(
        app=scope.app, name=scope.name, read=len(lines), lines=len(lines),
        nodes=tuple(sorted(nodes, key=lambda node: (-node.drag, -node.path_share, node.node))),
        unattributed_share=unattributed, unattributed_interval=between,
        average=found.total / weight if (weight := math.fsum(found.weights.values())) else None,
    )  # fmt: skip


def bottlenecks(found: Profile, *, most: int = 3) -> tuple[NodeProfile, ...]:
    """Return the nodes that would bring most: leaves whose drag is above a hundredth of the average run."""
    limit = (found.average or 0) / 100
    inner = {node.node for node in found.nodes if node.type not in ("iteration", "loop")}
    return tuple(node for node in found.nodes if node.node in inner and node.drag > limit)[:most]


def _profile(node: str, everything: _All, timing: Timing | None) -> NodeProfile:
    found, weight = everything.nodes[node], math.fsum(everything.weights.values())
    retries, more = everything.each(found.retries)
    retry_seconds, longer = everything.each(found.retry_seconds)
    path_share, path_interval = everything.of_paths(found.paths)
    drag, drag_interval = everything.each(found.drags)
    variance_share, variance_interval = everything.shared(found.by_run)
    bars = found.bars
    names = Counter(bar.title for bar, _ in bars)
    return NodeProfile(
        node=node, title=names.most_common(1)[0][0], type=bars[0][0].type, n=timing.n if timing else len(bars),
        runs=len(found.by_run), percentiles=timing.percentiles if timing else (),
        failures=timing.failures if timing else SuccessRate.of(0, 0),
        retries=round(weight * retries),
        retries_interval=more and Interval(low=weight * more.low, high=weight * more.high),
        retry_seconds=retry_seconds, retry_seconds_interval=longer,
        path_share=path_share, path_interval=path_interval, drag=drag, drag_interval=drag_interval,
        tail=_tail(timing), variance_share=variance_share, variance_interval=variance_interval,
        tokens=timing.tokens if timing else 0.0, tokens_interval=timing.tokens_interval if timing else None,
    )  # fmt: skip


def _untimed(timing: Timing) -> NodeProfile:
    return NodeProfile(
        node=timing.node, title=timing.title, type=timing.type, n=timing.n, runs=0, percentiles=timing.percentiles,
        failures=timing.failures, retries=0, retries_interval=None, retry_seconds=0.0, retry_seconds_interval=None,
        path_share=0.0, path_interval=None,
        drag=0.0, drag_interval=None, tail=_tail(timing), variance_share=0.0, variance_interval=None,
        tokens=timing.tokens, tokens_interval=timing.tokens_interval,
    )  # fmt: skip


def _tail(timing: Timing | None) -> float | None:
    percentiles = timing.percentiles if timing else ()
    middle, last = (next((p.value for p in percentiles if p.share == s), None) for s in (0.5, 0.99))
    return last / middle if middle and last else None
