"""``perf summary``: how often, how long, how well, what it cost; by source, and against the period before."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation

from difyops.clock import from_unix
from difyops.history.apps import ENDED, TIMED
from difyops.history.store import History
from difyops.perf.facts import ReadFacts, Scope, sampled, shapes
from difyops.perf.success import SuccessRate
from difyops.perf.tallies import Tally, merged, tallies
from difyops.perf.timeline import plan, timeline
from difyops.statistics import (
    Drawn,
    Estimate,
    Quantile,
    estimate_total,
    quantile,
    weighted_quantile,
)

SHARES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The runs between two moments; times in seconds. Stopped and unfinished runs are in no time and no rate."""

    since: datetime
    until: datetime
    runs: int
    statuses: dict[str, int]
    success: SuccessRate
    retried: SuccessRate
    minimum: float | None
    average: float | None
    maximum: float | None
    percentiles: tuple[Quantile, ...]
    tokens: int
    tokens_average: float | None

    def at(self, share: float) -> Quantile:
        """Return the percentile at ``share``."""
        return next(item for item in self.percentiles if item.share == share)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfSummary:
    """One app in one period, by source, and the period before. Node figures come from ``read`` sampled runs.

    ``cost`` is the server's own price, estimated from the sample by tokens. ``repeats`` is the share of model calls of
    which the input had been seen before: what a cache could have answered (Dify has none, so there are no hits). It is
    told where every run was read only: what a sample repeats is no figure.
    """

    app: str
    name: str
    period: Period
    before: Period
    sources: dict[str, Period]
    read: int
    unattributed: Quantile
    cost: Estimate | None
    currency: str
    priced: bool
    repeats: SuccessRate
    waiting: int


def summarise(history: History, scope: Scope) -> PerfSummary:
    """Summarise the runs of a scope."""
    found = tallies(history, scope)
    earlier = replace(scope, since=scope.since - (scope.until - scope.since), until=scope.since)
    by_source = {name: [item for item in found if item.source == name] for name in sorted({t.source for t in found})}
    read = sampled(history, scope)
    cost, currency, priced = _cost(found, read)
    ended = sum(item.runs for item in found if item.status in ENDED)
    return PerfSummary(
        app=scope.app, name=scope.name, period=period(found, scope.since, scope.until),
        before=period(tallies(history, earlier), earlier.since, earlier.until),
        sources={source: period(items, scope.since, scope.until) for source, items in by_source.items()},
        read=len(read), unattributed=unattributed(history, scope, read), cost=cost, currency=currency, priced=priced,
        repeats=_repeats(read if len(read) == ended else ()), waiting=sum(item.runs for item in found) - ended,
    )  # fmt: skip


def period(found: Sequence[Tally], since: float, until: float) -> Period:
    """Summarise runs that were added up."""
    timed = [item for item in found if item.status in TIMED]
    times = merged(item.times for item in timed)
    count, tokens = sum(item.runs for item in found), sum(item.tokens for item in found)
    looked = sum(item.runs for item in timed)
    statuses: Counter[str] = Counter()
    for item in found:
        statuses[item.status] += item.runs
    return Period(
        since=_moment(since), until=_moment(until), runs=count, statuses=dict(sorted(statuses.items())),
        success=SuccessRate.of(sum(item.runs for item in timed if item.status != "failed"), looked),
        retried=SuccessRate.of(sum(item.retried for item in timed), looked),
        minimum=times[0] if times else None, average=math.fsum(times) / len(times) if times else None,
        maximum=times[-1] if times else None, percentiles=tuple(quantile(times, share) for share in SHARES),
        tokens=tokens, tokens_average=tokens / count if count else None,
    )  # fmt: skip


def unattributed(history: History, scope: Scope, read: Sequence[ReadFacts]) -> Quantile:
    """Return the median share of a run's time that no node accounts for."""
    graphs = shapes(history, scope)
    pairs = []
    for item in read:
        if item.nodes and item.run.status in TIMED:
            line = timeline(plan(item.run, item.nodes, graphs.get(item.run.version)))
            if line.total > 0:
                pairs.append((line.unattributed / line.total, 1 / item.chance))
    return weighted_quantile(pairs, 0.5)


def price_of(read: ReadFacts) -> Decimal | None:
    """Return what the nodes of a run cost: leaves only, failed attempts not; ``None`` when no node has a price."""
    containers = {row.container for row in read.nodes if row.container}
    found = [_decimal(row.price) for row in read.nodes if not row.attempt and row.node not in containers]
    known = [price for price in found if price is not None]
    return sum(known, Decimal(0)) if known else None


def _cost(found: Sequence[Tally], read: Sequence[ReadFacts]) -> tuple[Estimate | None, str, bool]:
    currencies = {row.currency for item in read for row in item.nodes if row.currency}
    prices = [(item, price_of(item)) for item in read]
    ended = [item for item in found if item.status in ENDED]
    if not any(price for _, price in prices) or len(currencies) != 1:
        return None, ", ".join(sorted(currencies)), False  # unpriced, or of several currencies: never mixed
    drawn = [Drawn(value=float(price or 0), size=item.run.tokens, chance=item.chance) for item, price in prices]
    size, count = float(sum(item.tokens for item in ended)), sum(item.runs for item in ended)
    return estimate_total(drawn, size_of_all=size, count_of_all=count), next(iter(currencies)), True


def _repeats(read: Sequence[ReadFacts]) -> SuccessRate:
    seen: set[tuple[str, str]] = set()
    hits = n = 0
    for item in sorted(read, key=lambda item: item.run.started):
        for row in item.nodes:
            if row.type == "llm" and row.input_hash and not row.attempt:
                n += 1
                hits += (row.node, row.input_hash) in seen
                seen.add((row.node, row.input_hash))
    return SuccessRate.of(hits, n)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None


def _moment(seconds: float) -> datetime:
    found = from_unix(seconds)
    assert found is not None  # noqa: S101  (only None gives None)
    return found
