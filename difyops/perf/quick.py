"""Percentiles per node over everything that was read: in Python from SQLite, in DuckDB where months are packed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from difyops.history.gathered import gathered
from difyops.history.store import History
from difyops.perf.facts import Scope, node_rows, place_of
from difyops.perf.quick_sql import FAILED, Timing, timings_of
from difyops.perf.success import SuccessRate
from difyops.statistics import Quantile, quantile, weighted_quantile, weighted_ratio

SHARES = (0.5, 0.9, 0.95, 0.99)


def timings(history: History, scope: Scope) -> dict[str, Timing]:
    """Return the percentiles of every node of a scope."""
    with gathered(history, place_of(scope)) as rows:
        if rows is not None:
            return timings_of(rows, scope, SHARES)
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    failed: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    tokens: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    names: dict[str, tuple[str, str]] = {}
    columns = "node, title, type, status, elapsed, tokens"
    for _, node, title, kind, status, elapsed, spent, chance in node_rows(history, scope, columns):
        failed[node].append((status in FAILED, 1 / chance))
        groups[node].append((elapsed, 1 / chance))
        tokens[node].append((spent, 1.0, 1 / chance))
        names[node] = title, kind
    means = {node: weighted_ratio(rows) for node, rows in tokens.items()}
    return {
        node: Timing(
            node=node, title=names[node][0], type=names[node][1], n=len(pairs), percentiles=_percentiles(pairs),
            failures=SuccessRate.weighed(failed[node]), tokens=means[node][0], tokens_interval=means[node][1],
        )
        for node, pairs in groups.items()
    }  # fmt: skip


def _percentiles(pairs: Sequence[tuple[float, float]]) -> tuple[Quantile, ...]:
    if all(weight == 1.0 for _, weight in pairs):
        ordered = sorted(value for value, _ in pairs)
        return tuple(quantile(ordered, share) for share in SHARES)
    return tuple(weighted_quantile(pairs, share) for share in SHARES)
