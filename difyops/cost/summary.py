"""``cost summary``: what the apps cost by app, node, model, user, version, day or source, in three columns.

What Dify says, the list price, and the difference where both price the same tokens in the same currency. What a side
does not price is told as tokens, never as 0. Figures are exact where every run's nodes were read, else estimated with
their interval. A run counts on the day it began, at that day's prices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from operator import add

from difyops.clock import from_unix
from difyops.cost.estimates import CostMeasure, Estimated, Estimator, Stratum
from difyops.cost.inner_runs import without_inner
from difyops.cost.leaf_making import DAY
from difyops.cost.leaf_rows import UNIT, LeafKind, units
from difyops.cost.leaves import Leaf, Leaves, ReadRun
from difyops.cost.money import UNMIXED, Rates, tidy
from difyops.cost.prices import EPOCH, ModelRate, Prices
from difyops.cost.runs import PricedAnswer, PricedEnd, PricedQuestion, answered, ended, unread
from difyops.cost.spending import Amount, CostLine, Spending
from difyops.history.apps import KeptApp
from difyops.history.store import History

BY = ("app", "node", "model", "user", "version", "day", "source")
MESSAGE = LeafKind(node="", type="message", version="", source="chat", provider="", model="", currency="")
_IN_RUN = ("app", "version", "day", "source", "user")  # told of every run, so groups of these are strata
_SAID, _LISTED, _DIFFERENCE, _SILENT, _UNPRICED, _TOKENS, _CALLS = (
    "said", "listed", "difference", "silent", "unpriced", "tokens", "calls",
)  # fmt: skip
_ALL = ("", "")
Key = tuple[str, str]  # a group: what it is, and what people call it
Figure = tuple[str, str]  # a measure and its currency, blank for tokens


class CostTally:
    """Everything that was found, by group and figure, while a question is answered."""

    def __init__(self, prices: Prices, rates: Rates, by: str) -> None:
        self.prices, self.rates, self.by = prices, rates, by
        self.found: dict[Key, dict[Figure, dict[int, CostMeasure]]] = defaultdict(lambda: defaultdict(dict))
        self.strata: dict[tuple[str, ...], Stratum] = defaultdict(Stratum)
        self.places: dict[int, Stratum] = {}
        self.missing: dict[Key, int] = defaultdict(int)
        self._rates: dict[tuple[str, str, int, int], ModelRate | None] = {}

    def add(self, key: Key, stratum: Stratum | None, run: int, figures: Iterable[tuple[Figure, Decimal | int]]) -> None:
        """Add figures to a group; ``run`` is above 0 where a drawn run must stay by itself."""
        place = 0 if stratum is None else id(stratum)
        if stratum is not None:
            self.places[place] = stratum
        group = self.found[key]
        for figure, value in figures:
            measure = group[figure].get(place)
            if measure is None:
                measure = group[figure][place] = CostMeasure()
            if run:
                measure.values[run] += float(value)
            else:
                measure.sure += value

    def figures(self, leaf: Leaf, kind: LeafKind) -> Iterable[tuple[Figure, Decimal | int]]:
        """Yield what leaves add to which figure."""
        yield (_CALLS, ""), leaf.calls
        yield (_TOKENS, ""), leaf.tokens
        said = None
        if leaf.price and kind.currency:
            currency, worth = self.rates.exchange(kind.currency)
            said = (currency, leaf.price * UNIT * worth)
            yield (_SAID, currency), said[1]
        if leaf.silent:
            yield (_SILENT, ""), leaf.silent
        rate = self._rate(kind, leaf)
        listed = rate.amount(leaf.prompt, leaf.completion) if rate and leaf.tokens > leaf.unsplit else None
        unpriced = leaf.unsplit if listed is not None else leaf.tokens
        if listed is not None and rate is not None:
            currency, worth = self.rates.exchange(rate.currency)
            yield (_LISTED, currency), listed * worth
            if said is not None and said[0] == currency and not unpriced:
                yield (_DIFFERENCE, currency), listed * worth - said[1]
        if unpriced:
            yield (_UNPRICED, ""), unpriced

    def _rate(self, kind: LeafKind, leaf: Leaf) -> ModelRate | None:
        key = (kind.provider, kind.model, leaf.day, leaf.slot)
        if key not in self._rates:
            self._rates[key] = self.prices.rate(*key) if kind.model else None
        return self._rates[key]

    def unread(self) -> int:
        """Return how many runs no figure stands for: none of their stratum was drawn."""
        return sum(stratum.rest for stratum in self.strata.values() if not stratum.drawn)


def summarise(
    history: History,
    leaves: Leaves,
    question: PricedQuestion,
    prices: Prices,
    *,
    by: str = "app",
    rates: Rates = UNMIXED,
) -> Spending:
    """Add up what the apps of a question cost."""
    tally, whole = CostTally(prices, rates, by), CostTally(prices, rates, "")
    runs = read = 0
    tools: list[tuple[KeptApp, Leaf]] = []
    readers: dict[str, _AppReader] = {}
    for app in question.apps:
        reader = readers[app.id] = _AppReader(history, leaves, question, app, (tally, whole))
        reader.count()
        reader.add()
        runs, read = runs + reader.total, read + reader.read
        tools += [(app, leaf) for leaf in leaves.tools(reader.number, question.since, question.until)]
    left, inner = without_inner(history, question, tools)
    for app, leaf in left:
        readers[app.id].add_tool(leaf)
    gaps, upto = unread(history, question)
    estimator = Estimator()
    lines = [_line(estimator, tally, key, tally.missing[key]) for key in {**tally.found, **tally.missing}]
    order = (lambda line: line.id) if by == "day" else _largest_first
    return Spending(
        context=question.context, by=by, since=_moment(question.since), until=_moment(question.until), upto=upto,
        apps=len(question.apps), runs=runs, read=read, lines=tuple(sorted(lines, key=order)),
        total=_line(estimator, whole, _ALL, whole.unread()), inner=inner, gaps=tuple(gaps), prices=prices.name,
        rates=f"{rates.currency} {rates.date}".strip(),
    )  # fmt: skip


class _AppReader:
    """One app's part of a question."""

    def __init__(
        self,
        history: History,
        leaves: Leaves,
        question: PricedQuestion,
        app: KeptApp,
        tallies: tuple[CostTally, CostTally],
    ) -> None:
        self.history, self.leaves, self.question, self.app = history, leaves, question, app
        self.tally, self.whole = tallies
        self.number = leaves.number(question.context, app)
        self.kinds, self.titles = leaves.kinds(self.number), leaves.titles(self.number)
        by_user = self.tally.by == "user"
        self.runs = {run.id: run for run in self._read(drawn=not by_user)}
        self.total = self.read = 0

    def _read(self, *, drawn: bool) -> Iterable[ReadRun]:
        return self.leaves.read(self.number, self.question.since, self.question.until, drawn=drawn)

    def count(self) -> None:
        """Fill the strata: what is known of every run, which were read with certainty, which were drawn."""
        touched: dict[int, tuple[Stratum, PricedEnd]] = {}
        for row in ended(self.history, self.question, self.app, by_user=self.tally.by == "user"):
            self.total += row.count
            for stratum in self._strata(row):
                stratum.count += row.count
                stratum.size += row.tokens
            mine = self._stratum(self.tally, row)
            touched[id(mine)] = mine, row
        for row in self._certain():
            self.read += row.count
            for stratum in self._strata(row):
                stratum.sure_count += row.count
                stratum.sure_size += row.tokens
        for run in self.runs.values():
            if run.chance < 1:
                self.read += 1
                for stratum in self._strata(_ended(run)):
                    stratum.drawn[run.id] = (float(run.tokens), run.chance)
        if self.tally.by in _IN_RUN:
            for stratum, row in touched.values():
                if stratum.rest and not stratum.drawn:
                    kind = LeafKind("", "", row.version, row.source, "", "", "")
                    self.tally.missing[self._key(self.tally, kind, row.day, row.user)] += stratum.rest

    def _certain(self) -> list[PricedEnd]:
        if self.tally.by == "user":
            return [_ended(run) for run in self.runs.values() if run.chance >= 1]
        rows = self.leaves.certain_runs(self.number, self.question.since, self.question.until)
        return [PricedEnd(version, source, day, "", count, tokens) for version, source, day, count, tokens in rows]

    def _strata(self, row: PricedEnd) -> tuple[Stratum, Stratum]:
        return self._stratum(self.tally, row), self._stratum(self.whole, row)

    def _stratum(self, tally: CostTally, row: PricedEnd) -> Stratum:
        parts = {"version": row.version, "source": row.source, "day": str(row.day), "user": row.user}
        return tally.strata[(self.app.id, parts.get(tally.by, ""))]

    def add(self) -> None:
        """Add the leaves of the app, and its messages."""
        since, until = self.question.since, self.question.until
        if self.tally.by == "user":
            self._add_by_user()
        else:
            for leaf in self.leaves.certain(self.number, since, until):
                self._add(leaf, "", 0)
            for leaf in self.leaves.drawn(self.number, since, until):
                self._add_single(leaf)
        for item in answered(self.history, self.question, self.app):
            self._add_message(item)

    def _add_by_user(self) -> None:
        """Add up what each user's certain runs cost before it is priced; drawn runs stay by themselves."""
        sums: dict[tuple[int, int, int, str], list[int]] = {}
        for leaf in self.leaves.every(self.number, self.question.since, self.question.until):
            run = self.runs.get(leaf.run)
            if run is None:
                continue
            if run.chance < 1:
                self._add_single(leaf)
                continue
            total = sums.setdefault((leaf.kind, leaf.day, leaf.slot, run.user), [0] * 7)
            row = (leaf.calls, leaf.tokens, leaf.prompt, leaf.completion, leaf.unsplit, leaf.silent, leaf.price)
            total[:] = map(add, total, row)
        for (kind, day, slot, user), total in sums.items():
            self._add(Leaf(kind, day, slot, *total), user, 0)

    def add_tool(self, leaf: Leaf) -> None:
        """Add the call of a tool that is no run of ours."""
        self._add_single(leaf)

    def _add_single(self, leaf: Leaf) -> None:
        run = self.runs.get(leaf.run)
        self._add(leaf, run.user if run else "", leaf.run if run and run.chance < 1 else 0)

    def _add(self, leaf: Leaf, user: str, run: int) -> None:
        kind = self.kinds[leaf.kind]
        figures = list(self.tally.figures(leaf, kind))
        row = PricedEnd(kind.version, kind.source, leaf.day, user, 0, 0)
        for tally in (self.tally, self.whole):
            tally.add(self._key(tally, kind, leaf.day, user), self._stratum(tally, row), run, figures)

    def _add_message(self, item: PricedAnswer) -> None:
        self.total, self.read = self.total + 1, self.read + 1
        price = units(item.price)
        kind = LeafKind(MESSAGE.node, MESSAGE.type, "", MESSAGE.source, "", "", item.currency if price else "")
        leaf = Leaf(0, item.day, 0, 1, item.tokens, 0, 0, item.tokens, 0 if price else item.tokens, price)
        figures = list(self.tally.figures(leaf, kind))
        for tally in (self.tally, self.whole):
            tally.add(self._key(tally, kind, item.day, item.user), None, 0, figures)

    def _key(self, tally: CostTally, kind: LeafKind, day: int, user: str) -> Key:
        match tally.by:
            case "":
                return _ALL
            case "app":
                return self.app.id, self.app.name + (" (deleted)" if self.app.gone else "")
            case "node":
                title = self.titles.get(kind.node) or kind.node or kind.type
                return f"{self.app.id}:{kind.node}", f"{title} ({self.app.name})"
            case "model":
                name = f"{kind.provider}/{kind.model}" if kind.model else f"not told ({kind.type})"
                return name, name
            case "user":
                return user or "-", user or "-"
            case "version":
                return f"{self.app.id}:{kind.version}", f"{self.app.name} {kind.version or '-'}"
            case "day":
                name = date.fromordinal(day + EPOCH).isoformat()
                return name, name
        return kind.source, kind.source


def _ended(run: ReadRun) -> PricedEnd:
    return PricedEnd(run.version, run.source, int(run.started // DAY), run.user, 1, run.tokens)


def _line(estimator: Estimator, tally: CostTally, key: Key, unread: int) -> CostLine:
    totals: dict[Figure, Estimated] = {}
    for figure, places in tally.found.get(key, {}).items():
        parts = [(tally.places.get(place), measure) for place, measure in places.items()]
        totals[figure] = estimator.total(parts, signed=figure[0] == _DIFFERENCE)

    def amounts(name: str) -> tuple[Amount, ...]:
        found = [(figure[1], value) for figure, value in totals.items() if figure[0] == name]
        return tuple(
            Amount(
                currency=currency,
                amount=tidy(value.total),
                low=None if value.low is None else tidy(value.low),
                high=None if value.high is None else tidy(value.high),
            )
            for currency, value in sorted(found)
        )

    def whole(name: str) -> int:
        return round(totals[name, ""].total) if (name, "") in totals else 0

    return CostLine(
        id=key[0], name=key[1], calls=whole(_CALLS), tokens=whole(_TOKENS), said=amounts(_SAID),
        listed=amounts(_LISTED), difference=amounts(_DIFFERENCE), silent=whole(_SILENT), unpriced=whole(_UNPRICED),
        exact=all(value.exact for value in totals.values()) and not unread, unread=unread,
    )  # fmt: skip


def _largest_first(line: CostLine) -> tuple[object, ...]:
    largest = max((item.amount for item in (*line.listed, *line.said)), default=Decimal(-1))
    return -largest, -line.tokens, line.id


def _moment(seconds: float) -> datetime:
    found = from_unix(seconds)
    assert found is not None  # noqa: S101  (only None gives None)
    return found
