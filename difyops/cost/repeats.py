"""``cache stats|top``: what repeats exactly, and what answering it from a cache would save: a measurement, no guess.

A call repeats when the same node of the same version was asked exactly the same (equal salted hashes) and the first
answer was there, and not older than the lifetime of its type. Only stretches of time of which every run's nodes were
read are looked at: in a sample nearly every repeat is missing its partner, so from a sample there is no figure. What
repeats something from before such a stretch counts as new: the figures are at least what a cache would save.

Dify has no such cache: nothing here hits, and nothing is answered from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from difyops.clock import from_unix
from difyops.cost.leaf_making import DAY
from difyops.cost.money import amount_of, currency_of, tidy
from difyops.cost.prices import Prices
from difyops.cost.runs import PricedQuestion
from difyops.cost.spending import Amount
from difyops.history import archive
from difyops.history.apps import PRODUCTION, KeptApp
from difyops.history.feeds import LOGS, RUNS
from difyops.history.gaps import gaps
from difyops.history.store import OPEN, History

HOUR = 3600.0
LIFETIMES: Mapping[str, float] = {
    "llm": 24 * HOUR, "parameter-extractor": 24 * HOUR, "question-classifier": 24 * HOUR, "code": 7 * 24 * HOUR,
    "http-request": HOUR, "knowledge-retrieval": 12 * HOUR,
}  # fmt: skip
_FEWEST = 20  # runs in a row that were all read, where not all of them were
_COLUMNS = (
    "run, node, type, title, started, finished, elapsed, status, provider, model, tokens, prompt_tokens,"
    " completion_tokens, price, currency, input_hash, prefix_hash"
)


@dataclass(frozen=True, slots=True)
class _Call:
    run: str
    node: str
    type: str
    title: str
    started: float
    finished: float | None
    elapsed: float
    status: str
    provider: str
    model: str
    tokens: int
    prompt: int | None
    completion: int | None
    price: str
    currency: str
    asked: str
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Calls of one type or node: ``repeats`` of ``calls`` could have been answered, ``seconds`` and money saved.

    ``said`` is Dify's price of the repeats, ``listed`` the list's; ``unpriced`` tokens have none there. ``same_start``
    calls begin with the same 1,024 characters as one before: what a provider's prompt cache can share.
    """

    id: str
    name: str
    type: str
    lifetime: float
    calls: int
    repeats: int
    share: float
    seconds: float
    tokens: int
    said: tuple[Amount, ...]
    listed: tuple[Amount, ...]
    unpriced: int
    same_start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A stretch of time of an app of which every run's nodes were read."""

    app: str
    name: str
    since: datetime
    until: datetime
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """What repeats, by ``by``; ``whole``: where it was looked; ``left_out``: apps of which only a sample is here."""

    context: str
    by: str
    since: datetime
    until: datetime
    rows: tuple[Repeats, ...]
    whole: tuple[Whole, ...]
    left_out: tuple[str, ...]


@dataclass(slots=True)
class _Tally:
    id: str
    name: str
    type: str
    lifetime: float
    calls: int = 0
    repeats: int = 0
    seconds: float = 0.0
    tokens: int = 0
    unpriced: int = 0
    same_start: int = 0
    said: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    listed: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, call: _Call, prices: Prices, *, repeats: bool, same_start: bool) -> None:
        self.calls += 1
        self.same_start += same_start
        if not repeats:
            return
        self.repeats += 1
        self.seconds += call.elapsed
        self.tokens += call.tokens
        said = amount_of(call.price)
        if said:
            self.said[currency_of(call.currency)] += said
        rate = prices.rate(call.provider, call.model, int(call.started // DAY)) if call.model else None
        cost = (
            rate.amount(call.prompt or 0, call.completion or 0) if rate and (call.prompt or call.completion) else None
        )
        if cost is not None and rate is not None:
            self.listed[rate.currency] += cost
        else:
            self.unpriced += call.tokens

    def result(self) -> Repeats:
        return Repeats(
            id=self.id, name=self.name, type=self.type, lifetime=self.lifetime, calls=self.calls, repeats=self.repeats,
            share=round(self.repeats / self.calls, 4), seconds=round(self.seconds, 3), tokens=self.tokens,
            said=_amounts(self.said), listed=_amounts(self.listed), unpriced=self.unpriced, same_start=self.same_start,
        )  # fmt: skip


def look(
    history: History, question: PricedQuestion, prices: Prices, *, by: str = "type",
    lifetimes: Mapping[str, float] = LIFETIMES,
) -> CacheReport:  # fmt: skip
    """Count repeats by type and app, or node by node (``by`` type or node)."""
    tallies: dict[str, _Tally] = {}
    whole: list[Whole] = []
    left_out: list[str] = []
    for app in question.apps:
        stretches, runs = _whole(history, question, app)
        if runs and not stretches:
            left_out.append(app.name)
        whole += stretches
        for stretch in stretches:
            for call, repeats, same in _judged(
                _calls(history, question, app, stretch, runs, lifetimes), runs, lifetimes
            ):
                key, name = f"{app.id}:{call.node}", f"{call.title or call.node} ({app.name})"
                if by == "type":
                    key, name = f"{app.id}:{call.type}", app.name
                tally = tallies.setdefault(key, _Tally(key, name, call.type, lifetimes[call.type]))
                tally.add(call, prices, repeats=repeats, same_start=same)
    rows = sorted((tally.result() for tally in tallies.values()), key=lambda row: (-row.repeats, -row.calls, row.id))
    return CacheReport(
        context=question.context, by=by, since=_moment(question.since), until=_moment(question.until), rows=tuple(rows),
        whole=tuple(whole), left_out=tuple(left_out),
    )  # fmt: skip


def _whole(history: History, question: PricedQuestion, app: KeptApp) -> tuple[list[Whole], dict[str, str]]:
    """Return the stretches read whole, and the version of every run that ended in the time asked for."""
    listed = ", ".join(f"'{name}'" for name in PRODUCTION if name != "chat")
    rows = sorted(
        archive.both(
            history, "run", "started, id, version",
            "context = ? AND app = ? AND started >= ? AND started < ?"
            f" AND source IN ({listed}) AND status NOT IN {OPEN!r}",
            [question.context, app.id, question.since, question.until], question.place(app),
        )
    )  # fmt: skip
    read = {
        run
        for (run,) in history.all(
            "SELECT run FROM sample WHERE context = ? AND app = ? AND reason <> 'gone'", [question.context, app.id]
        )
    }
    found = []
    for low, high in _covered(history, question, app):
        inside = [(started, run) for started, run, _ in rows if low <= started < high]
        all_read = all(run in read for _, run in inside)
        for since, until, runs in _stretches(inside, read, low, high):
            if runs and (all_read or runs >= _FEWEST):
                found.append(Whole(app=app.id, name=app.name, since=_moment(since), until=_moment(until), runs=runs))
    return found, {run: version or "" for _, run, version in rows}


def _stretches(
    runs: Sequence[tuple[float, str]], read: set[str], low: float, high: float
) -> Iterator[tuple[float, float, int]]:  # fmt: skip
    since, count = low, 0
    for started, run in runs:
        if run in read:
            count += 1
        else:
            yield since, started, count
            since, count = started + 1e-6, 0
    yield since, high, count


def _covered(history: History, question: PricedQuestion, app: KeptApp) -> list[tuple[float, float]]:
    feed = RUNS if app.mode == "advanced-chat" else LOGS
    covered = history.stretches(question.context, app.id, feed)
    if not covered:  # imported: every run of it is here
        return [(question.since, question.until)]
    missing = gaps(covered, question.since, question.until)
    edges = [question.since, *(edge for gap in missing for edge in (gap.t0, gap.t1)), question.until]
    return [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if high > low]


def _calls(
    history: History, question: PricedQuestion, app: KeptApp, stretch: Whole, runs: Mapping[str, str],
    lifetimes: Mapping[str, float],
) -> list[_Call]:  # fmt: skip
    types = ", ".join("?" * len(lifetimes))
    low, high = stretch.since.timestamp(), stretch.until.timestamp()
    rows = archive.both(
        history, "node", _COLUMNS,
        f"context = ? AND app = ? AND attempt = 0 AND input_hash <> '' AND type IN ({types}) AND started >= ?",
        [question.context, app.id, *lifetimes, low - 1], question.place(app),
    )  # fmt: skip
    calls = (_Call(*row) for row in rows)
    return sorted((call for call in calls if call.run in runs and call.started < high), key=lambda call: call.started)


def _judged(
    calls: Sequence[_Call], versions: Mapping[str, str], lifetimes: Mapping[str, float]
) -> Iterator[tuple[_Call, bool, bool]]:  # fmt: skip
    """Yield each call, whether a cache would have had its answer, and whether its beginning was seen before."""
    kept: dict[tuple[str, ...], float] = {}
    begun: set[tuple[str, str]] = set()
    for call in calls:
        key = (call.node, versions[call.run], call.provider, call.model, call.asked)
        there = kept.get(key)
        repeats = there is not None and there <= call.started < there + lifetimes[call.type]
        if not repeats and call.status == "succeeded":
            done = call.finished if call.finished is not None else call.started + call.elapsed
            kept[key] = min(done, there) if there is not None and there > call.started else done
        same = bool(call.prefix) and (call.node, call.prefix) in begun
        if call.prefix:
            begun.add((call.node, call.prefix))
        yield call, repeats, same


def _amounts(found: Mapping[str, Decimal]) -> tuple[Amount, ...]:
    return tuple(Amount(currency=name, amount=tidy(value)) for name, value in sorted(found.items()))


def _moment(seconds: float) -> datetime:
    found = from_unix(seconds)
    assert found is not None  # noqa: S101  (only None gives None)
    return found
