"""``perf compare``: was the new version slower, or did it fail more? With "no evidence" as an outcome of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from difyops.errors import AnswerIsNo, DifyopsError
from difyops.history.apps import TIMED
from difyops.history.store import History
from difyops.perf.facts import ReadFacts, RunFact, Scope, runs, sampled
from difyops.perf.success import SuccessRate
from difyops.statistics import Quantile, RankComparison, mann_whitney, quantiles

SLOWER, FASTER, NO_EVIDENCE, NOT_ENOUGH = "slower", "faster", "no evidence", "not enough"
FEWEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison: how it was named, its runs that came to a result, its percentiles, its failures."""

    label: str
    n: int
    percentiles: tuple[Quantile, ...]
    failures: SuccessRate


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShift:
    """How one node's time moved, from the runs drawn by chance."""

    node: str
    comparison: RankComparison


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsCompared:
    """``verdict``: slower, faster, no evidence, not enough. ``failing``: the share of failures rose, proven."""

    app: str
    name: str
    first: Side
    second: Side
    times: RankComparison | None
    verdict: str
    failing: bool
    alpha: float
    least: float
    nodes: tuple[NodeShift, ...]

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" (5) for a proven regression."""
        if self.verdict == SLOWER and self.times is not None:
            return AnswerIsNo(f"{self.name}: slower by {self.times.shift:.3g} s in the median of all pairs.")
        if self.failing:
            return AnswerIsNo(f"{self.name}: fails more often.")
        return None


def compare(
    history: History, first: Scope, second: Scope, labels: tuple[str, str], *, alpha: float = 0.01, least: float = 0.05
) -> VersionsCompared:  # fmt: skip
    """Compare two scopes. A regression is proven when p is below ``alpha``, the whole interval of the shift is above
    zero, and the shift is at least ``least`` of the first median.
    """
    one, two = _timed(runs(history, first)), _timed(runs(history, second))
    sides = (_side(labels[0], one), _side(labels[1], two))
    times = mann_whitney(_lengths(one), _lengths(two), confidence=1 - alpha)
    return VersionsCompared(
        app=first.app, name=first.name, first=sides[0], second=sides[1], times=times, alpha=alpha, least=least,
        verdict=_verdict(sides, times, alpha, least), failing=_fails_more(one, two, alpha),
        nodes=_nodes(sampled(history, first), sampled(history, second), alpha),
    )  # fmt: skip


def _timed(found: Sequence[RunFact]) -> list[RunFact]:
    return [run for run in found if run.status in TIMED and run.elapsed is not None]


def _lengths(found: Sequence[RunFact]) -> list[float]:
    return [run.elapsed or 0.0 for run in found]


def _side(label: str, found: Sequence[RunFact]) -> Side:
    failed = sum(run.status == "failed" for run in found)
    shares = tuple(quantiles(_lengths(found), (0.5, 0.95, 0.99)))
    return Side(label=label, n=len(found), percentiles=shares, failures=SuccessRate.of(failed, len(found)))


def _verdict(sides: tuple[Side, Side], times: RankComparison | None, alpha: float, least: float) -> str:
    if times is None or min(side.n for side in sides) < FEWEST:
        return NOT_ENOUGH
    middle = sides[0].percentiles[0].value or 0.0
    bounds = times.interval
    if times.p >= alpha or bounds is None or bounds.holds(0.0) or abs(times.shift) < least * middle:
        return NO_EVIDENCE
    return SLOWER if times.shift > 0 else FASTER


def _fails_more(one: Sequence[RunFact], two: Sequence[RunFact], alpha: float) -> bool:
    if min(len(one), len(two)) < FEWEST:
        return False
    found = mann_whitney([float(run.status == "failed") for run in one], [float(run.status == "failed") for run in two])
    return found is not None and found.p < alpha and found.delta > 0


def _nodes(one: Sequence[ReadFacts], two: Sequence[ReadFacts], alpha: float) -> tuple[NodeShift, ...]:
    sides = _by_node(one), _by_node(two)
    found = []
    for node in sorted(set(sides[0]) & set(sides[1])):
        comparison = mann_whitney(sides[0][node], sides[1][node], confidence=1 - alpha)
        if comparison is not None and min(comparison.n_first, comparison.n_second) >= FEWEST:
            found.append(NodeShift(node=node, comparison=comparison))
    return tuple(sorted(found, key=lambda item: -abs(item.comparison.shift)))


def _by_node(reads: Sequence[ReadFacts]) -> dict[str, list[float]]:
    """Return node times of the runs drawn by chance; failures and the slow tail, read with certainty, would bias."""
    found: dict[str, list[float]] = defaultdict(list)
    for read in reads:
        if read.reason in ("drawn", "all"):
            for row in read.nodes:
                if not row.attempt:
                    found[row.node].append(row.elapsed)
    return found
