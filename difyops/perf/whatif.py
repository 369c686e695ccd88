"""``perf whatif``: what runs would take if one node took ``factor`` of its time, by computing each schedule anew."""

from __future__ import annotations

from dataclasses import dataclass

from difyops.errors import UsageError
from difyops.history.apps import TIMED
from difyops.history.store import History
from difyops.perf.facts import NodeFact, Scope, sampled, shapes
from difyops.perf.timeline import plan
from difyops.statistics import Interval, Quantile, weighted_quantile

SHARES = (0.5, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """Percentiles of the sampled runs as they were and as they would be. ``saved`` is the mean gain in seconds."""

    app: str
    name: str
    node: str
    factor: float
    runs: int
    now: tuple[Quantile, ...]
    then: tuple[Quantile, ...]
    saved: float
    gain: Interval | None


def whatif(history: History, scope: Scope, *, node: str, factor: float) -> WhatIf:
    """Compute what a node's change would bring.

    Raises:
        UsageError: no sampled run executed such a node; names those that there are.
    """
    graphs = shapes(history, scope)
    now: list[tuple[float, float]] = []
    then: list[tuple[float, float]] = []
    known: set[str] = set()
    hit = False
    for read in sampled(history, scope):
        if not read.nodes or read.run.status not in TIMED:
            continue
        known.update(row.node for row in read.nodes)
        hit = hit or any(_is(row, node) for row in read.nodes)
        found = plan(read.run, read.nodes, graphs.get(read.run.version))
        now.append((found.actual, 1 / read.chance))
        then.append((found.total(lambda row: factor if _is(row, node) else 1.0), 1 / read.chance))
    if not hit:
        hint = f"There are: {', '.join(sorted(known)[:12])}." if known else "difyops history sync"
        raise UsageError(f"No run that was read executed the node {node!r}.", hint=hint)
    weight = sum(one for _, one in now)
    gains = sorted((a - b, one) for (a, one), (b, _) in zip(now, then, strict=True))
    low, high = weighted_quantile(gains, 0.1).value, weighted_quantile(gains, 0.9).value
    return WhatIf(
        app=scope.app, name=scope.name, node=node, factor=factor, runs=len(now),
        now=tuple(weighted_quantile(now, share) for share in SHARES),
        then=tuple(weighted_quantile(then, share) for share in SHARES),
        saved=sum(gain * one for gain, one in gains) / weight,
        gain=Interval(low=low, high=high) if low is not None and high is not None else None,
    )  # fmt: skip


def _is(row: NodeFact, node: str) -> bool:
    return node in (row.node, row.title)
