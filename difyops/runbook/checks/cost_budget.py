"""``cost.budget``: is a budget over, or heading there?"""

from __future__ import annotations

from difyops.cost.budget import HEADING, OVER, SOFT, UNKNOWN, Books, BudgetState, BudgetStates, judge
from difyops.cost.budgets_file import FILE, named_budgets, read_budgets
from difyops.cost.leaves import Leaves
from difyops.cost.own_prices import FILE as PRICES
from difyops.cost.prices import load_prices
from difyops.cost.reserving import reservations
from difyops.errors import UsageError
from difyops.history.store import FILE as HISTORY
from difyops.history.store import History
from difyops.runbook.parameters import seconds
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.threads import apart


async def check(resources: Resources, *, budget: str = "", max_age: str = "26h") -> Result:
    """Compare what a period has cost with its budget, from the history; over the hard limit fails.

    ``budget`` names one, blank means all of this context. Above the soft limit, or heading over at the pace of the last
    days, warns. Where the newest sync is older than ``max_age``, or time, runs or prices are missing from the figure,
    the check is inconclusive. Budgets: difyops cost budget set.
    """
    if not (resources.config.state / HISTORY).is_file():
        return Inconclusive(text="no history is kept on this machine", hint="difyops history sync")
    oldest = seconds(max_age)
    try:
        found = await apart(lambda: _judged(resources, budget, oldest))
    except UsageError as error:
        return Inconclusive(text=error.message, hint=error.hint)
    worst = found.budgets[0]
    values = tuple(
        Value(name=item.name, value=float(item.spent), unit=item.currency, fail=float(item.hard), warn=float(item.soft))
        for item in found.budgets
    )
    if worst.state == OVER:
        return Fail(text=_said(worst), values=values, hint="difyops cost summary --by model, then --by node, --by user")
    if worst.state == UNKNOWN:
        return Inconclusive(text=f"{_said(worst)}: {'; '.join(worst.why)}", values=values, hint="difyops history sync")
    if worst.state in (SOFT, HEADING):
        return Warn(text=_said(worst), values=values, hint="difyops cost forecast")
    return Pass(text=", ".join(_said(item) for item in found.budgets), values=values)


def _judged(resources: Resources, name: str, oldest: float) -> BudgetStates:
    folder, now = resources.config.user_file, resources.clock.now()
    budgets = named_budgets(read_budgets(folder.with_name(FILE)), [name] if name else [], resources.context_name)
    prices = load_prices(folder.with_name(PRICES))
    with History.open(resources.config.state) as history, Leaves(history, prices) as leaves:
        books = Books(history=history, leaves=leaves, prices=prices)
        return judge(
            books, budgets, reservations(resources.ledger, resources.context_name, now=now), now=now, oldest=oldest
        )


def _said(item: BudgetState) -> str:
    out = f", runs out {item.exhausted:%Y-%m-%d}" if item.exhausted else ""
    return f"{item.name} {item.state}: {item.spent:f} of {item.hard:f} {item.currency} in this {item.period}{out}"
