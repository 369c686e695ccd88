"""``perf nodes`` and ``perf bottlenecks``: each node's times, its share of the critical path, its drag, its tail."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from difyops.history.apps import TIMED
from difyops.history.store import History
from difyops.perf.facts import ReadFacts, Scope, sampled, shapes
from difyops.perf.quick import Timing, timings
from difyops.perf.summary import SuccessRate
from difyops.perf.timeline import Bar, Timeline, plan, timeline
from difyops.statistics import Quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProfile:
    """One node of an app. Times in seconds; from a sample, so every percentile is weighted by one over the chance.

    ``path_share`` is its part of the critical paths, ``drag`` by how much a run would be shorter without it (mean),
    ``tail`` p99 over p50, ``variance_share`` its part of what makes runs differ.
    """

    node: str
    title: str
    type: str
    n: int
    runs: int
    percentiles: tuple[Quantile, ...]
    failures: SuccessRate
    retries: int
    retry_seconds: float
    path_share: float
    drag: float
    tail: float | None
    variance_share: float
    tokens: float

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
    average: float | None


@dataclass(slots=True)
class _Sum:
    bars: list[tuple[Bar, float]] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)
    by_run: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def lines_of(history: History, scope: Scope, *, most: int = 2000) -> list[tuple[ReadFacts, Timeline]]:
    """Return the timelines of the sampled runs of a scope."""
    graphs = shapes(history, scope)
    return [
        (read, timeline(plan(read.run, read.nodes, graphs.get(read.run.version))))
        for read in sampled(history, scope, most=most)
        if read.nodes and read.run.status in TIMED
    ]


def profile(history: History, scope: Scope) -> Profile:
    """Profile the nodes of a scope."""
    lines = lines_of(history, scope)
    sums: dict[str, _Sum] = defaultdict(_Sum)
    path = weight = loose = total = 0.0
    for read, line in lines:
        one = 1 / read.chance
        weight += one
        total += one * line.total
        loose += one * line.unattributed
        for bar in line.bars:
            found = sums[bar.node]
            found.bars.append((bar, one))
            found.runs.add(line.run)
            found.by_run[line.run] += bar.length
            path += one * _own(bar, line) if bar.critical else 0.0
    times = timings(history, scope)
    spread = _spread(lines)
    nodes = [_profile(node, sums[node], times.get(node), lines, path, weight, spread) for node in sums]
    return Profile(
        app=scope.app, name=scope.name, read=len(lines), lines=len(lines),
        nodes=tuple(sorted(nodes, key=lambda node: (-node.drag, -node.path_share, node.node))),
        unattributed_share=loose / total if total else 0.0, average=total / weight if weight else None,
    )  # fmt: skip


def bottlenecks(found: Profile, *, most: int = 3) -> tuple[NodeProfile, ...]:
    """Return the nodes that would bring most: leaves whose drag is above a hundredth of the average run."""
    limit = (found.average or 0) / 100
    inner = {node.node for node in found.nodes if node.type not in ("iteration", "loop")}
    return tuple(node for node in found.nodes if node.node in inner and node.drag > limit)[:most]


def _own(bar: Bar, line: Timeline) -> float:
    """Return a bar's own time on the path: a container's without the children that are on it."""
    inside = sum(other.length for other in line.bars if other.container == bar.node and other.critical)
    return max(0.0, bar.length - inside)


def _spread(lines: Sequence[tuple[ReadFacts, Timeline]]) -> float:
    return statistics.pvariance([line.total for _, line in lines]) if len(lines) > 1 else 0.0


def _profile(
    node: str,
    found: _Sum,
    timing: Timing | None,
    lines: Sequence[tuple[ReadFacts, Timeline]],
    path: float,
    weight: float,
    spread: float,
) -> NodeProfile:
    bars = found.bars
    own = math.fsum(one * _own(bar, line) for bar, one, line in _with_lines(found, lines) if bar.critical)
    names = Counter(bar.title for bar, _ in bars)
    percentiles = timing.percentiles if timing else ()
    middle, last = (next((p.value for p in percentiles if p.share == s), None) for s in (0.5, 0.99))
    failed = sum(bar.status in ("failed", "exception") for bar, _ in bars)
    return NodeProfile(
        node=node, title=names.most_common(1)[0][0], type=bars[0][0].type, n=timing.n if timing else len(bars),
        runs=len(found.runs), percentiles=percentiles, failures=SuccessRate.of(failed, len(bars)),
        retries=sum(bar.retries for bar, _ in bars),
        retry_seconds=math.fsum(one * bar.retry_seconds for bar, one in bars) / weight if weight else 0.0,
        path_share=own / path if path else 0.0,
        drag=math.fsum(one * bar.drag for bar, one in bars) / weight if weight else 0.0,
        tail=last / middle if middle and last else None, variance_share=_covariance(found, lines, spread),
        tokens=timing.tokens if timing else 0.0,
    )  # fmt: skip


def _with_lines(found: _Sum, lines: Sequence[tuple[ReadFacts, Timeline]]) -> list[tuple[Bar, float, Timeline]]:
    by_run = {line.run: (line, 1 / read.chance) for read, line in lines if line.run in found.runs}
    wanted = {id(bar) for bar, _ in found.bars}
    return [(bar, one, line) for line, one in by_run.values() for bar in line.bars if id(bar) in wanted]


def _covariance(found: _Sum, lines: Sequence[tuple[ReadFacts, Timeline]], spread: float) -> float:
    """Return the part of the variance of the totals that goes with this node's time."""
    if spread <= 0:
        return 0.0
    pairs = [(found.by_run.get(line.run, 0.0), line.total) for _, line in lines]
    mean_own = statistics.fmean(own for own, _ in pairs)
    mean_all = statistics.fmean(total for _, total in pairs)
    return math.fsum((own - mean_own) * (total - mean_all) for own, total in pairs) / len(pairs) / spread
