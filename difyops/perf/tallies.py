"""The runs of a scope added up by source and status, and by stretch of time: from rows, or in DuckDB where months are
packed. A million runs are then a few dozen numbers and a list of times.
"""

# ruff: noqa: S608  (queries are put together from our own constants and numbers; texts are given as values)
from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from difyops.history.apps import TIMED
from difyops.history.gathered import GatheredRows, gathered
from difyops.history.store import History
from difyops.perf.facts import RunFact, Scope, listed, place_of, runs, runs_test

_ORDERED = "list(elapsed ORDER BY elapsed) FILTER (elapsed IS NOT NULL)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The runs of one source and status: how many, their tokens, how many had exceptions, their times in order."""

    source: str
    status: str
    runs: int
    tokens: int
    retried: int
    times: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedStretch:
    """The timed runs of one stretch of time: their times in order, and how many of them failed."""

    number: int
    times: Sequence[float]
    failed: int


def tallies(history: History, scope: Scope) -> list[Tally]:
    """Add up the runs of a scope."""
    with gathered(history, place_of(scope)) as rows:
        if rows is None:
            return tallies_of(runs(history, scope))
        test, given = runs_test(scope)
        table = rows.table("run", ("source", "status", "tokens", "exceptions", "elapsed", "started", "version"))
        sums = "count(*), sum(tokens)::BIGINT, count(*) FILTER (exceptions > 0)"
        query = f"SELECT source, status, {sums}, {_ORDERED} FROM {table} WHERE {test} GROUP BY source, status"
        found = rows.connection.execute(query, given).fetchall()
    return [
        Tally(source=source, status=status, runs=count, tokens=tokens or 0, retried=retried, times=times or ())
        for source, status, count, tokens, retried, times in sorted(found, key=lambda row: row[:2])
    ]


def tallies_of(found: Iterable[RunFact]) -> list[Tally]:
    """Add up runs."""
    groups: dict[tuple[str, str], list[RunFact]] = defaultdict(list)
    for run in found:
        groups[run.source, run.status].append(run)
    return [
        Tally(
            source=source, status=status, runs=len(group), tokens=sum(run.tokens for run in group),
            retried=sum(run.exceptions > 0 for run in group),
            times=sorted(run.elapsed for run in group if run.elapsed is not None),
        )
        for (source, status), group in sorted(groups.items())
    ]  # fmt: skip


def merged(lists: Iterable[Sequence[float]]) -> list[float]:
    """Return the values of several lists in order as one."""
    return sorted(itertools.chain.from_iterable(lists))


def timed_stretches(history: History, scope: Scope, width: float) -> tuple[list[TimedStretch], dict[str, float]]:
    """Return the stretches of ``width`` seconds in which timed runs began, and when each version's first one did."""
    with gathered(history, place_of(scope)) as rows:
        if rows is not None:
            return _stretches_in_duckdb(rows, scope, width)
    groups: dict[int, list[RunFact]] = defaultdict(list)
    first: dict[str, float] = {}
    for run in runs(history, scope):
        if run.status in TIMED and run.elapsed is not None:
            groups[int((run.started - scope.since) // width)].append(run)
            first.setdefault(run.version, run.started)
    found = [
        TimedStretch(
            number=number, times=sorted(run.elapsed or 0.0 for run in group),
            failed=sum(run.status == "failed" for run in group),
        )
        for number, group in sorted(groups.items())
    ]  # fmt: skip
    return found, first


def _stretches_in_duckdb(rows: GatheredRows, scope: Scope, width: float) -> tuple[list[TimedStretch], dict[str, float]]:
    test, given = runs_test(scope)
    table = rows.table("run", ("source", "status", "elapsed", "started", "version"))
    source = f"FROM {table} WHERE {test} AND status IN {listed(TIMED)} AND elapsed IS NOT NULL"
    number = f"floor((started - {scope.since!r}) / {width!r})::BIGINT"
    query = f"SELECT {number} AS number, {_ORDERED}, count(*) FILTER (status = 'failed') {source} GROUP BY number"
    found = rows.connection.execute(query, given).fetchall()
    first = rows.connection.execute(f"SELECT version, min(started) {source} GROUP BY version", given).fetchall()
    return [
        TimedStretch(number=place, times=times, failed=failed)
        for place, times, failed in sorted(found, key=lambda row: row[0])
    ], dict(first)
