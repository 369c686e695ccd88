"""Many runs at once against the budgets of their apps: what they will take is held first, what they took is settled.

What a run of an app takes is what one took on average in the last 30 days; an app without history takes what a run of
the others does. Where nothing is known nothing is held, and only a budget that is over already refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from difyops.cost.budget import Books, judge
from difyops.cost.budgets_file import Budget
from difyops.cost.money import tidy
from difyops.cost.reserving import Reserved, Reserving
from difyops.cost.runs import PricedQuestion
from difyops.cost.spending import CostLine
from difyops.cost.summary import summarise
from difyops.history.apps import KeptApp, find_apps, kept_apps

_BACK = 30 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What a run of an app takes, and a token, in the currency and by the prices of one budget."""

    run: Decimal
    token: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheaper:
    """Tokens that another model took, and what a run with it saves by the list, by currency (below 0: costs more)."""

    tokens: int
    saved: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBudget:
    """What is held in one budget for runs of some apps."""

    budget: Budget
    usual: Mapping[str, Usual]
    taken: tuple[Reserved, ...]

    def cost(self, tokens: Mapping[str, int], cheaper: Mapping[str, Cheaper] | None = None) -> Decimal:
        """Return what tokens, by app, come to; those of another model (among them) by what it saves of a usual run."""
        nothing = Usual(run=Decimal(0), token=Decimal(0))
        found = sum((self.usual.get(app, nothing).token * count for app, count in tokens.items()), Decimal(0))
        for app, other in (cheaper or {}).items():
            found -= self._saved(self.usual.get(app, nothing), other)
        return tidy(round(max(Decimal(0), found), 9))

    def _saved(self, usual: Usual, other: Cheaper) -> Decimal:
        """Return what is not spent; nothing where the budget counts Dify's prices, which are not known beforehand."""
        if not usual.run or self.budget.price != "list":
            return Decimal(0)
        share = min(Decimal(1), other.saved.get(self.budget.currency, Decimal(0)) / usual.run)
        return usual.token * other.tokens * share


def hold(
    books: Books, reserving: Reserving, budgets: Sequence[Budget], runs: Mapping[str, int], *, what: str, now: datetime
) -> list[HeldBudget]:  # fmt: skip
    """Hold what ``runs`` (how many, by app id) will take, in every budget that their apps belong to.

    Raises:
        OutOfBudget: a budget has less left; what was held in others is given back.
    """
    held: list[HeldBudget] = []
    try:
        for budget in budgets:
            mine = {app.id: app for app in find_apps(books.history, budget.context, budget.apps)}
            counted = {app: count for app, count in runs.items() if app in mine and not budget.user}
            if counted:
                usual = _usual(books, budget, [*counted], now)
                amount = tidy(round(sum((usual[app].run * n for app, n in counted.items()), Decimal(0)), 9))
                taken = reserving.take([budget], amount, what=what, now=now)
                held.append(HeldBudget(budget=budget, usual=usual, taken=tuple(taken)))
    except BaseException:
        for item in held:
            reserving.settle(item.taken, Decimal(0), now=now)
        raise
    return held


def left(books: Books, budget: Budget, reserved: Sequence[Reserved], *, now: datetime) -> Decimal:
    """Return what a budget still has."""
    state = judge(books, [budget], reserved, now=now).budgets[0]
    return state.hard - state.spent - state.reserved


def _usual(books: Books, budget: Budget, apps: Sequence[str], now: datetime) -> dict[str, Usual]:
    at = now.timestamp()
    known = {app.id: app for app in kept_apps(books.history, budget.context)}
    wanted = tuple(known.get(app) or KeptApp(id=app, name=app, mode="") for app in apps)
    question = PricedQuestion(context=budget.context, apps=wanted, since=at - _BACK, until=at)
    found = summarise(books.history, books.leaves, question, books.prices, by="app", rates=books.rates)
    lines = {line.id: line for line in found.lines}
    others = _per(budget, found.total, found.runs)
    counts = {app: _runs(books, budget.context, app, at) for app in apps}
    return {app: _per(budget, lines[app], counts[app]) if app in lines and counts[app] else others for app in apps}


def _runs(books: Books, context: str, app: str, at: float) -> int:
    found = books.history.one(
        "SELECT count(*) FROM run WHERE context = ? AND app = ? AND started >= ?", [context, app, at - _BACK]
    )
    return int(found or 0)


def _per(budget: Budget, line: CostLine, runs: int) -> Usual:
    column = line.listed if budget.price == "list" else line.said
    amount = next((item.amount for item in column if item.currency == budget.currency), Decimal(0))
    return Usual(run=amount / runs if runs else Decimal(0), token=amount / line.tokens if line.tokens else Decimal(0))
