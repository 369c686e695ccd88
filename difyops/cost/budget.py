"""``cost budget status|check``: what a period has cost so far, what it will have cost at its end, when it runs out.

The projection goes on at the pace of the last seven days that were read. A budget is over when the amount (estimated
or exact, with what is reserved) reaches the hard limit; where it is not over, but time or runs are missing from the
figure, or most of it is unpriced, nobody can say that it is kept: that is its own answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from difyops.clock import from_unix
from difyops.cost.budgets_file import Budget
from difyops.cost.leaves import Leaves
from difyops.cost.money import UNMIXED, Rates, tidy
from difyops.cost.prices import Prices
from difyops.cost.reserving import Reserved
from difyops.cost.runs import PricedQuestion
from difyops.cost.spending import Amount, CostLine, Spending
from difyops.cost.summary import summarise
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure
from difyops.history.apps import find_apps
from difyops.history.rows import hash_of
from difyops.history.store import History

OVER, UNKNOWN, SOFT, HEADING, KEPT = "over", "not known", "above soft", "heading over", "kept"
STATES = (OVER, UNKNOWN, SOFT, HEADING, KEPT)
_PACE = 7 * 86400.0
_SHORTEST = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """One budget in its period. ``spent`` counts what history holds, ``reserved`` what goes on now and
    what scratch copies took.

    ``projected`` is the amount at the end of the period at the pace of the last days, ``exhausted`` when the hard limit
    is reached at that pace, within the period. ``why`` names what keeps the figure from being whole.
    """

    name: str
    state: str
    period: str
    since: datetime
    until: datetime
    currency: str
    spent: Decimal
    low: Decimal | None
    high: Decimal | None
    reserved: Decimal
    soft: Decimal
    hard: Decimal
    share: float | None
    projected: Decimal | None
    exhausted: datetime | None
    unpriced: int
    upto: datetime | None
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStates:
    """All budgets that were asked for, the worst first."""

    context: str
    at: datetime
    budgets: tuple[BudgetState, ...]

    def error(self, *, fail_on: str = OVER) -> DifyopsError | None:
        """Return the no: a budget that is over (or as bad as ``fail_on``); else one that nobody can judge."""
        worst = STATES.index(fail_on)
        bad = [item for item in self.budgets if STATES.index(item.state) <= worst and item.state != UNKNOWN]
        if bad:
            one = bad[0]
            said = f"{one.name}: {one.spent:f} of {one.hard:f} {one.currency} in this {one.period}, {one.state}."
            return AnswerIsNo(
                said, hint=f"difyops cost summary --by model; difyops runbook run runaway-cost --set budget={one.name}"
            )
        unknown = [item for item in self.budgets if item.state == UNKNOWN]
        if unknown:
            return PartialFailure(
                f"{unknown[0].name} cannot be judged: {'; '.join(unknown[0].why)}.", hint="difyops history sync"
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the figures come from."""

    history: History
    leaves: Leaves
    prices: Prices
    rates: Rates = UNMIXED


def judge(
    books: Books, budgets: Sequence[Budget], reserved: Sequence[Reserved], *, now: datetime, oldest: float | None = None
) -> BudgetStates:  # fmt: skip
    """Say how each budget stands. ``oldest``: seconds after which the newest sync is too old to judge by.

    Raises:
        UsageError: an app of a budget is not in the history.
    """
    found = [_state(books, budget, reserved, now, oldest) for budget in budgets]
    found.sort(key=lambda item: (STATES.index(item.state), -(item.share or 0), item.name))
    return BudgetStates(context=budgets[0].context, at=now, budgets=tuple(found))


def _state(
    books: Books, budget: Budget, reserved: Sequence[Reserved], now: datetime, oldest: float | None
) -> BudgetState:  # fmt: skip
    begin, end = budget.bounds(now)
    spending, line = _spent(books, budget, begin, now.timestamp())
    amount, why = _amount(budget, line)
    why += _missing(spending, line, now, oldest)
    held = sum((item.counts(budget, spending.upto, _moment(begin)) for item in reserved), Decimal(0))
    whole = amount.amount + held
    projected, exhausted = _projection(books, budget, whole, now, end)
    state = _word(budget, whole, projected, why)
    return BudgetState(
        name=budget.name, state=state, period=budget.period, since=_moment(begin), until=_moment(end),
        currency=budget.currency, spent=tidy(amount.amount), low=amount.low, high=amount.high, reserved=tidy(held),
        soft=budget.soft, hard=budget.hard, share=round(float(whole / budget.hard), 4) if budget.hard else None,
        projected=projected, exhausted=exhausted, unpriced=_unpriced(budget, line), upto=spending.upto, why=tuple(why),
    )  # fmt: skip


def _word(budget: Budget, amount: Decimal, projected: Decimal | None, why: Sequence[str]) -> str:
    if amount >= budget.hard:
        return OVER
    if why:
        return UNKNOWN
    if amount >= budget.soft:
        return SOFT
    return HEADING if projected is not None and projected >= budget.hard else KEPT


def _spent(books: Books, budget: Budget, since: float, until: float) -> tuple[Spending, CostLine]:
    apps = tuple(find_apps(books.history, budget.context, budget.apps))
    question = PricedQuestion(context=budget.context, apps=apps, since=since, until=max(until, since))
    by = "user" if budget.user else "app"
    found = summarise(books.history, books.leaves, question, books.prices, by=by, rates=books.rates)
    if not budget.user:
        return found, found.total
    key = hash_of(budget.user, books.history.salt)
    nothing = replace(found.total, calls=0, tokens=0, said=(), listed=(), difference=(), silent=0, unpriced=0, unread=0)
    return found, next((line for line in found.lines if line.id == key), nothing)


def _amount(budget: Budget, line: CostLine) -> tuple[Amount, list[str]]:
    column = line.listed if budget.price == "list" else line.said
    mine = next((item for item in column if item.currency == budget.currency), None)
    others = [item for item in column if item.currency != budget.currency]
    why = [f"{tidy(item.amount):f} {item.currency} are in another currency (--rates)" for item in others]
    missing = _unpriced(budget, line)
    if missing and (mine is None or missing * 2 > line.tokens):
        why.append(f"{missing} of {counted(line.tokens, 'token')} are unpriced (difyops cost prices set)")
    return mine or Amount(currency=budget.currency, amount=Decimal(0)), why


def _unpriced(budget: Budget, line: CostLine) -> int:
    return line.unpriced if budget.price == "list" else line.silent


def _missing(spending: Spending, line: CostLine, now: datetime, oldest: float | None) -> list[str]:
    why = []
    if spending.gaps:
        gap = spending.gaps[0]
        why.append(f"{gap.name} was not read from {gap.since:%Y-%m-%d %H:%M} to {gap.until:%Y-%m-%d %H:%M}")
    if line.unread:
        why.append(f"the nodes of {counted(line.unread, 'run')} were not read")
    if oldest is not None and (spending.upto is None or (now - spending.upto).total_seconds() > oldest):
        why.append("the newest sync is too old" if spending.upto else "nothing was ever synced")
    return why


def _projection(
    books: Books, budget: Budget, spent: Decimal, now: datetime, end: float
) -> tuple[Decimal | None, datetime | None]:  # fmt: skip
    at = now.timestamp()
    _, line = _spent(books, budget, at - _PACE, at)
    apps = find_apps(books.history, budget.context, budget.apps)
    firsts = [
        first
        for app in apps
        if (first := books.history.one(
            "SELECT min(started) FROM run WHERE context = ? AND app = ? AND started >= ?",
            [budget.context, app.id, at - _PACE],
        )) is not None
    ]  # fmt: skip
    if not firsts:
        return tidy(spent), None
    pace = float(_amount(budget, line)[0].amount) / max(_SHORTEST, at - min(firsts))
    projected = spent + Decimal(repr(round(pace * max(0.0, end - at), 6)))
    left = float(budget.hard - spent)
    runs_out = at + left / pace if pace > 0 and left > 0 else None
    return tidy(projected), from_unix(runs_out) if runs_out is not None and runs_out < end else None


def _moment(seconds: float) -> datetime:
    found = from_unix(seconds)
    assert found is not None  # noqa: S101  (only None gives None)
    return found
