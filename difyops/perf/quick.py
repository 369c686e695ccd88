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
from difyops.history.apps import PRODUCTION
from difyops.history.store import History
from difyops.perf.facts import Scope, listed, node_rows
from difyops.statistics import Interval, Quantile, quantile, weighted_quantile
from difyops.statistics.quantiles import fewest, ranks

SHARES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of one node: ``n`` executions, their percentiles, mean tokens."""

    node: str
    title: str
    type: str
    n: int
    percentiles: tuple[Quantile, ...]
    tokens: float


def timings(history: History, scope: Scope) -> dict[str, Timing]:
    """Return the percentiles of every node of a scope."""
    if _is_all_packed(history, scope):
        return _by_duckdb(history, scope)
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    tokens: dict[str, float] = defaultdict(float)
    names: dict[str, tuple[str, str]] = {}
    for _, node, title, kind, elapsed, spent, chance in node_rows(history, scope, "node, title, type, elapsed, tokens"):
        groups[node].append((elapsed, 1 / chance))
        tokens[node] += spent / chance
        names[node] = title, kind
    return {
        node: Timing(
            node=node, title=names[node][0], type=names[node][1], n=len(pairs), percentiles=_percentiles(pairs),
            tokens=tokens[node] / sum(weight for _, weight in pairs),
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
    nodes, runs = (
        archive.packed_files(history, name, scope.context, scope.app, scope.since, scope.until)
        for name in ("node", "run")
    )
    if not runs:
        return {}
    with archive.duckdb_or_sentence().connect() as connection:
        more = _of_some_runs(connection, archive.parquet(runs), scope)
        return summarise_packed(connection, archive.parquet(nodes), scope, more)


def _of_some_runs(connection: Any, runs: str, scope: Scope) -> str:
    """Return the condition on node rows that not all runs of the time meet; blank where all do, for it costs most."""
    inside = f"started >= {scope.since!r} AND started < {scope.until!r}"
    test = f"source IN {listed(PRODUCTION)}" + (" AND version = $version" if scope.version else "")
    given = {"version": scope.version} if scope.version else None
    query = f"SELECT 1 FROM {runs} WHERE {inside} AND NOT ({test}) LIMIT 1"
    if not connection.execute(query, given).fetchall():
        return ""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE meant AS SELECT id FROM {runs} WHERE {inside} AND {test}", given)
    return " AND run IN (SELECT id FROM meant)"


def summarise_packed(connection: Any, table: str, scope: Scope, more: str = "") -> dict[str, Timing]:
    """Return the percentiles of every node in ``table`` (an expression that reads node rows).

    Counted first: then the ranks wanted are known, and they are selected, which takes half as long as sorting.
    """
    source = f"FROM {table} WHERE attempt = 0 AND started >= {scope.since!r} AND started < {scope.until!r}{more}"
    columns = "node, any_value(title), any_value(type), count(*), avg(tokens)"
    found = connection.execute(f"SELECT {columns} {source} GROUP BY node ORDER BY node").fetchall()
    if not found:
        return {}
    # a share in the middle of its rank's: rounding cannot move it to the next one
    shares = sorted({(rank - 0.5) / n for *_, n, _ in found for rank in _ranks(n)})
    listed = ", ".join(map(repr, shares))
    picked = dict(
        connection.execute(f"SELECT node, quantile_disc(elapsed, [{listed}]) {source} GROUP BY node").fetchall()
    )
    result: dict[str, Timing] = {}
    for node, title, kind, n, tokens in found:
        values = dict(zip(shares, picked[node], strict=True))
        at = {rank: values[(rank - 0.5) / n] for rank in _ranks(n)}
        result[node] = Timing(
            node=node, title=title, type=kind, n=n, percentiles=tuple(_quantile(n, share, at) for share in SHARES),
            tokens=tokens or 0.0,
        )  # fmt: skip
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
