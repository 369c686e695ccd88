"""Percentiles per node added up in DuckDB: the same figures as from rows, a million of them in a fraction of a second.

Where every run was read (a chance of 1, as from a database), rows are counted first: then the ranks wanted are known,
and they are selected, which takes half as long as sorting. From a sample with unequal chances, weights are added up in
the order of the times, and Woodruff's interval is found among the sums, as ``weighted_quantile`` does.
"""

# ruff: noqa: S608  (queries are put together from our own constants and numbers; texts are given as values)
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.history.gathered import GatheredRows
from difyops.perf.facts import Scope, listed, runs_test
from difyops.perf.success import SuccessRate
from difyops.statistics import Interval, Quantile, ratio_interval
from difyops.statistics.quantiles import are_enough, fewest, least_sum, ranks, share_bounds

_RUN = ("id", "source", "started", "version", "reason", "chance")
_NODE = ("run", "node", "title", "type", "status", "elapsed", "tokens", "started", "attempt")
FAILED = ("failed", "exception")
_LAST = 1 - 1e-9  # of all weights: what adding up rounds off must not put an end beyond the last time
_ROUGHLY = "CASE WHEN elapsed > 0 THEN floor(64 * ln(elapsed))::INTEGER ELSE -100000 END"
_NAMES = "node, any_value(title), any_value(type), count(*)"
_IS_FAILED = f"FILTER (status IN {listed(FAILED)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of one node: ``n`` executions, their percentiles, mean tokens, the share that failed."""

    node: str
    title: str
    type: str
    n: int
    percentiles: tuple[Quantile, ...]
    failures: SuccessRate
    tokens: float
    tokens_interval: Interval | None


def timings_of(rows: GatheredRows, scope: Scope, shares: Sequence[float]) -> dict[str, Timing]:
    """Return the percentiles of every node of a scope."""
    connection = rows.connection
    runs, nodes = rows.table("run", _RUN), rows.table("node", _NODE)
    test, given = runs_test(scope)
    # nodes are read of what has a reason; a chance of 0 is one that is not known
    test = f"coalesce({test} AND reason <> 'gone' AND chance > 0, false)"
    query = f"SELECT bool_and({test}), min(chance) FILTER ({test}) FROM {runs} WHERE coalesce(reason, 'gone') <> 'gone'"
    is_all, least = connection.execute(query, given).fetchall()[0]
    if least is None:
        return {}
    source = f"{nodes} AS execution"
    if not is_all or least < 1:
        made = f"SELECT id, 1 / chance AS weight FROM {runs} WHERE {test}"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE meant AS {made}", given)
        source += " JOIN meant ON meant.id = execution.run"
    source += f" WHERE attempt = 0 AND started >= {scope.since - 1!r} AND started < {scope.until + 86400!r}"
    return counted(connection, source, shares) if least >= 1 else _weighted(connection, source, shares)


def counted(connection: Any, source: str, shares: Sequence[float]) -> dict[str, Timing]:
    """Return the percentiles of every node in ``source`` (what stands after FROM), every row of which counts as one."""
    columns = f"{_NAMES}, count(*) {_IS_FAILED}, avg(tokens), var_pop(tokens)"
    found = connection.execute(f"SELECT {columns} FROM {source} GROUP BY node ORDER BY node").fetchall()
    if not found:
        return {}
    # a share in the middle of its rank's: rounding cannot move it to the next one
    wanted = sorted({(rank - 0.5) / n for _, _, _, n, *_ in found for rank in _ranks(n, shares)})
    query = f"SELECT node, quantile_disc(elapsed, [{', '.join(map(repr, wanted))}]) FROM {source} GROUP BY node"
    picked = dict(connection.execute(query).fetchall())
    result: dict[str, Timing] = {}
    for node, title, kind, n, failed, tokens, variance in found:
        values = dict(zip(wanted, picked[node], strict=True))
        at = {rank: values[(rank - 0.5) / n] for rank in _ranks(n, shares)}
        result[node] = Timing(
            node=node, title=title, type=kind, n=n, percentiles=tuple(_quantile(n, share, at) for share in shares),
            failures=SuccessRate.of(failed, n), tokens=tokens or 0.0,
            tokens_interval=ratio_interval(tokens or 0.0, n, n * (variance or 0.0), n),
        )  # fmt: skip
    return result


def _rank(n: int, share: float) -> int:
    return min(n, max(1, math.ceil(share * n - 1e-9)))


def _ranks(n: int, shares: Sequence[float]) -> list[int]:
    found = {_rank(n, share) for share in shares}
    for share in shares:
        found.update(ranks(n, share) or ())
    return sorted(found)


def _quantile(n: int, share: float, at: Mapping[int, float]) -> Quantile:
    if n < fewest(share):
        return Quantile(share=share, n=n)
    bounds = ranks(n, share)
    interval = Interval(low=at[bounds[0]], high=at[bounds[1]]) if bounds else None
    return Quantile(share=share, n=n, value=at[_rank(n, share)], interval=interval)


def _weighted(connection: Any, source: str, shares: Sequence[float]) -> dict[str, Timing]:
    """Return the percentiles of every node in ``source``, every row of which counts as its ``weight``."""
    made = f"SELECT node, title, type, status, tokens, elapsed, weight, {_ROUGHLY} AS rough FROM {source}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE weighed AS {made}")
    failed = f"count(*) {_IS_FAILED}, coalesce(sum(weight) {_IS_FAILED}, 0)"
    columns = f"{_NAMES}, sum(weight), sum(weight * weight), sum(weight * tokens), {failed}"
    found = connection.execute(f"SELECT {columns} FROM weighed GROUP BY node ORDER BY node").fetchall()
    if not found:
        return {}
    sums = {node: (total, squares) for node, _, _, _, total, squares, *_ in found}
    values = _reached(connection, {node: [share * total for share in shares] for node, (total, _) in sums.items()})
    upto = _squares(connection, values)
    bounds = {
        node: [share_bounds(share, *sums[node], below) for share, below in zip(shares, upto[node], strict=True)]
        for node in sums
    }
    ends = {
        node: [min(end, _LAST) * sums[node][0] for pair in pairs for end in pair or ()]
        for node, pairs in bounds.items()
    }
    means = {node: (tokens or 0.0) / total for node, _, _, _, total, _, tokens, *_ in found}
    apart = _apart(connection, means)
    edges = {node: iter(reached) for node, reached in _reached(connection, ends).items()}
    result: dict[str, Timing] = {}
    for node, title, kind, n, total, squares, _, hits, weight in found:
        percentiles = []
        for share, value, pair in zip(shares, values[node], bounds[node], strict=True):
            interval = Interval(low=next(edges[node]), high=next(edges[node])) if pair else None
            known = Quantile(share=share, n=n, value=value, interval=interval)
            percentiles.append(known if are_enough(share, total, squares) else Quantile(share=share, n=n))
        result[node] = Timing(
            node=node, title=title, type=kind, n=n, percentiles=tuple(percentiles), tokens=means[node],
            tokens_interval=ratio_interval(means[node], n, apart[node], total),
            failures=SuccessRate.added(hits, n, weight, total, squares),
        )  # fmt: skip
    return result


def _reached(connection: Any, sums: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return, by node, the times at which the weights of all up to them reach each of some sums.

    Only the times that are roughly right are put in order: sorting them all takes most of a second for a million.
    """
    _aims(connection, {node: [least_sum(one) for one in aims] for node, aims in sums.items()})
    order = "PARTITION BY node ORDER BY rough ROWS UNBOUNDED PRECEDING"
    groups = "SELECT node, rough, sum(weight) AS weight FROM weighed GROUP BY node, rough"
    steps = f"SELECT node, rough, sum(weight) OVER ({order}) AS upto, weight FROM ({groups})"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE near AS SELECT aim.node, place, aim, min(rough) AS rough,"
        f" min(upto - weight) AS before FROM aim JOIN ({steps}) step ON step.node = aim.node AND upto >= aim"
        " GROUP BY aim.node, place, aim"
    )
    order = "PARTITION BY near.node, place ORDER BY elapsed ROWS UNBOUNDED PRECEDING"
    rows = (
        f"SELECT near.node, place, aim, elapsed, before + sum(weight) OVER ({order}) AS upto"
        " FROM near JOIN weighed ON weighed.node = near.node AND weighed.rough = near.rough"
    )
    # what adding up rounds off may leave the last of its like a hair below the sum
    query = f"SELECT node, coalesce(min(elapsed) FILTER (upto >= aim), max(elapsed)) FROM ({rows})"
    return _by_node(connection.execute(f"{query} GROUP BY node, place ORDER BY node, place"), sums)


def _squares(connection: Any, values: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return, by node, the squared weights of all up to each of some times, added up."""
    _aims(connection, values)
    query = "SELECT aim.node, sum(weight * weight) FILTER (elapsed <= aim) FROM aim JOIN weighed USING (node)"
    return _by_node(connection.execute(f"{query} GROUP BY aim.node, place ORDER BY aim.node, place"), values)


def _apart(connection: Any, means: Mapping[str, float]) -> dict[str, float]:
    """Return, by node, the squares of what tokens differ by from their mean, times their weight, added up."""
    _aims(connection, {node: [mean] for node, mean in means.items()})
    query = "SELECT aim.node, sum(((tokens - aim) * weight) ** 2) FROM aim JOIN weighed USING (node) GROUP BY aim.node"
    return {node: found or 0.0 for node, found in connection.execute(query).fetchall()}


def _aims(connection: Any, aims: Mapping[str, Sequence[float]]) -> None:
    rows = [(node, place, aim) for node, found in aims.items() for place, aim in enumerate(found)]
    names, places, numbers = ([row[column] for row in rows] for column in range(3))
    columns = "unnest($1::VARCHAR[]) AS node, unnest($2::INTEGER[]) AS place, unnest($3::DOUBLE[]) AS aim"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE aim AS SELECT {columns}", [names, places, numbers])


def _by_node(cursor: Any, wanted: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {node: [] for node in wanted}
    for node, value in cursor.fetchall():
        found[node].append(value)
    return found
