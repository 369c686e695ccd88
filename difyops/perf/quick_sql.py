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
from difyops.statistics import Interval, Quantile
from difyops.statistics.quantiles import are_enough, fewest, least_sum, ranks, share_bounds

_RUN = ("id", "source", "started", "version", "reason", "chance")
_NODE = ("run", "node", "title", "type", "status", "elapsed", "tokens", "started", "attempt")
FAILED = ("failed", "exception")
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
    columns = f"{_NAMES}, count(*) {_IS_FAILED}, avg(tokens)"
    found = connection.execute(f"SELECT {columns} FROM {source} GROUP BY node ORDER BY node").fetchall()
    if not found:
        return {}
    # a share in the middle of its rank's: rounding cannot move it to the next one
    wanted = sorted({(rank - 0.5) / n for _, _, _, n, *_ in found for rank in _ranks(n, shares)})
    query = f"SELECT node, quantile_disc(elapsed, [{', '.join(map(repr, wanted))}]) FROM {source} GROUP BY node"
    picked = dict(connection.execute(query).fetchall())
    result: dict[str, Timing] = {}
    for node, title, kind, n, failed, tokens in found:
        values = dict(zip(wanted, picked[node], strict=True))
        at = {rank: values[(rank - 0.5) / n] for rank in _ranks(n, shares)}
        result[node] = Timing(
            node=node, title=title, type=kind, n=n, percentiles=tuple(_quantile(n, share, at) for share in shares),
            failures=SuccessRate.of(failed, n), tokens=tokens or 0.0,
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
    failed = f"count(*) {_IS_FAILED}, coalesce(sum(weight) {_IS_FAILED}, 0)"
    columns = f"{_NAMES}, sum(weight), sum(weight * weight), sum(weight * tokens), {failed}"
    found = connection.execute(f"SELECT {columns} FROM {source} GROUP BY node ORDER BY node").fetchall()
    if not found:
        return {}
    order = "PARTITION BY node ORDER BY elapsed ROWS UNBOUNDED PRECEDING"
    rows = f"SELECT node, elapsed, weight, sum(weight) OVER ({order}) AS upto FROM {source}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE summed AS {rows}")
    sums = {node: (total, squares) for node, _, _, _, total, squares, *_ in found}
    reached = "coalesce(min(elapsed) FILTER (upto >= {aim}), max(elapsed))"
    aims = {node: [least_sum(share * total) for share in shares] for node, (total, _) in sums.items()}
    values = _for_each(connection, reached, aims)
    upto = _for_each(connection, "sum(weight * weight) FILTER (elapsed <= {aim})", values)
    bounds = {
        node: [share_bounds(share, *sums[node], below) for share, below in zip(shares, upto[node], strict=True)]
        for node in sums
    }
    ends = {
        node: [least_sum(end * sums[node][0]) for pair in pairs for end in pair or (0.0, 0.0)]
        for node, pairs in bounds.items()
    }
    edges = _for_each(connection, reached, ends)
    result: dict[str, Timing] = {}
    for node, title, kind, n, total, squares, tokens, hits, weight in found:
        percentiles = []
        for number, share in enumerate(shares):
            if not are_enough(share, total, squares):
                percentiles.append(Quantile(share=share, n=n))
                continue
            low, high = edges[node][2 * number : 2 * number + 2]
            interval = Interval(low=low, high=high) if bounds[node][number] else None
            percentiles.append(Quantile(share=share, n=n, value=values[node][number], interval=interval))
        result[node] = Timing(
            node=node, title=title, type=kind, n=n, percentiles=tuple(percentiles), tokens=(tokens or 0.0) / total,
            failures=SuccessRate.added(hits, n, weight, total, squares),
        )  # fmt: skip
    return result


def _for_each(connection: Any, what: str, aims: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return, by node, what an expression over its rows in ``summed`` gives for each of its numbers."""
    width = len(next(iter(aims.values())))
    lists = [list(aims), *([numbers[place] for numbers in aims.values()] for place in range(width))]
    columns = ", ".join(f"unnest(${place + 2}::DOUBLE[]) AS a{place}" for place in range(width))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE aim AS SELECT unnest($1::VARCHAR[]) AS node, {columns}", lists)
    wanted = ", ".join(what.format(aim=f"a{place}") for place in range(width))
    query = f"SELECT summed.node, {wanted} FROM summed JOIN aim ON aim.node = summed.node GROUP BY summed.node"
    return {row[0]: list(row[1:]) for row in connection.execute(query).fetchall()}
