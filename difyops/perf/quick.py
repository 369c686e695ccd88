"""Percentiles per node over everything that was read: in Python from SQLite, in DuckDB where months are packed.

DuckDB answers for a million rows in a fraction of a second when every run was read (a chance of 1, as from a database);
a sample with unequal chances is weighted here.
"""

# ruff: noqa: S608  (queries are put together from our own constants; texts are quoted)
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from difyops.history import archive
from difyops.history.store import History
from difyops.perf.facts import Scope, node_rows
from difyops.statistics import Interval, Quantile, quantile, weighted_quantile
from difyops.statistics.quantiles import fewest, ranks

SHARES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of one node: ``n`` executions, their percentiles, mean tokens."""

    node: str
    n: int
    percentiles: tuple[Quantile, ...]
    tokens: float


def timings(history: History, scope: Scope) -> dict[str, Timing]:
    """Return the percentiles of every node of a scope."""
    if _is_all_packed(history, scope):
        return _by_duckdb(history, scope)
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    tokens: dict[str, float] = defaultdict(float)
    for _, node, elapsed, spent, chance in node_rows(history, scope, "node, elapsed, tokens"):
        groups[node].append((elapsed, 1 / chance))
        tokens[node] += spent
    return {
        node: Timing(
            node=node, n=len(pairs), percentiles=_percentiles(pairs),
            tokens=tokens[node] / len(pairs),
        )
        for node, pairs in groups.items()
    }  # fmt: skip


def _percentiles(pairs: Sequence[tuple[float, float]]) -> tuple[Quantile, ...]:
    if all(weight == 1.0 for _, weight in pairs):
        ordered = sorted(value for value, _ in pairs)
        return tuple(quantile(ordered, share) for share in SHARES)
    return tuple(weighted_quantile(pairs, share) for share in SHARES)


def _is_all_packed(history: History, scope: Scope) -> bool:
    given = [scope.context, scope.app, scope.since, scope.until]
    left = history.one(
        "SELECT 1 FROM node WHERE context = ? AND app = ? AND started >= ? AND started < ? LIMIT 1", given
    )
    files = archive.packed_files(history, "node", scope.context, scope.app, scope.since, scope.until)
    odd = history.one(
        "SELECT 1 FROM sample WHERE context = ? AND app = ? AND chance < 1 AND reason <> 'gone' LIMIT 1",
        [scope.context, scope.app],
    )  # fmt: skip
    return bool(files) and not left and not odd


def _by_duckdb(history: History, scope: Scope) -> dict[str, Timing]:
    duckdb = archive.duckdb_or_sentence()
    files = archive.packed_files(history, "node", scope.context, scope.app, scope.since, scope.until)
    with duckdb.connect() as connection:
        return summarise_packed(connection, archive.parquet(files), scope)


def summarise_packed(connection: Any, table: str, scope: Scope) -> dict[str, Timing]:
    """Return the percentiles of every node in ``table`` (an expression that reads node rows)."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE grouped AS SELECT node, count(*) AS n, avg(tokens) AS tokens,"
        f" list_sort(list(elapsed)) AS times FROM {table}"
        f" WHERE attempt = 0 AND started >= {scope.since!r} AND started < {scope.until!r} GROUP BY node"
    )
    result: dict[str, Timing] = {}
    for node, n, tokens in connection.execute("SELECT node, n, tokens FROM grouped ORDER BY node").fetchall():
        wanted = _ranks(n)
        picked = connection.execute("SELECT list_select(times, ?) FROM grouped WHERE node = ?", [wanted, node])
        at = dict(zip(wanted, picked.fetchall()[0][0], strict=True))
        shares = tuple(_quantile(n, share, at) for share in SHARES)
        result[node] = Timing(node=node, n=n, percentiles=shares, tokens=tokens or 0.0)
    return result


def _rank(n: int, share: float) -> int:
    return min(n, max(1, math.ceil(share * n - 1e-9)))


def _ranks(n: int) -> list[int]:
    found = {_rank(n, share) for share in SHARES}
    for share in SHARES:
        found.update(ranks(n, share) or ())
    return sorted(found)


def _quantile(n: int, share: float, at: dict[int, float]) -> Quantile:
    if n < fewest(share):
        return Quantile(share=share, n=n)
    bounds = ranks(n, share)
    interval = Interval(low=at[bounds[0]], high=at[bounds[1]]) if bounds else None
    return Quantile(share=share, n=n, value=at[_rank(n, share)], interval=interval)
