"""``difyops cost``: what the apps really cost, who spends it, when it runs out. Parse, call the room, return."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli import cost_changes
from difyops.cli.cost_asked import Apps, RatesFile, Since, one_of, spending
from difyops.cli.cost_budget import budget_noun
from difyops.cli.cost_prices import prices_noun
from difyops.cli.door import command, group
from difyops.cli.history import open_history
from difyops.cli.session import Session
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.cost.spending import Spending

noun = group("What the apps really cost, who spends it, when it runs out: from the history and a dated price list.")
noun.add_typer(prices_noun, name="prices")
noun.add_typer(budget_noun, name="budget")
cost_changes.register(noun)


@command(noun, "summary", formats=("csv",), fleet=True)
def summary(
    session: Session,
    apps: Apps = None,
    by: Annotated[str, typer.Option("--by", help="app, node, model, user, version, day or source.")] = "app",
    since: Since = "30d",
    rates: RatesFile = None,
) -> Outcome:
    """What Dify says, the list price, the difference; what has no price is told as tokens, never as 0.

    Example: difyops cost summary --by model --since 30d

    Examples:
        difyops cost summary
        difyops cost summary --by model --since 30d -o json
    """
    from difyops.render import cost as views

    with open_history(session) as history:
        return views.summary(spending(session, history, apps, since=since, by=by, rates=rates))


@command(noun, "forecast", formats=("csv",), fleet=True)
def forecast(
    session: Session,
    apps: Apps = None,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="How many days to come.")] = 14,
    back: Annotated[str, typer.Option("--back", metavar="TIME", help="How much of the past to look at.")] = "84d",
    currency: Annotated[str, typer.Option("--currency", help="Of which currency.")] = "USD",
    price: Annotated[str, typer.Option("--price", help="list, or dify: which column.")] = "list",
    rates: RatesFile = None,
) -> Outcome:
    """The days to come: the same weekday before, the drift between weeks, bands from past errors.

    Below two whole weeks there is none (exit 3), only what the days were.

    Examples:
        difyops cost forecast
        difyops cost forecast --days 14
    """
    from difyops.cost.forecast import forecast as look_ahead
    from difyops.cost.money import currency_of
    from difyops.render import cost as views

    one_of("--price", price, ("list", "dify"))
    with open_history(session) as history:
        found = spending(session, history, apps, since=back, by="day", rates=rates)
        first, last = _whole_days(found)
    result = look_ahead(found, steps=days, currency=currency_of(currency), price=price, first=first, last=last)
    return views.forecast(result)


def _whole_days(found: Spending) -> tuple[date, date]:
    """Return the first and the last day of which everything was read; nothing before the first run counts."""
    upto = found.upto or found.until
    last = upto.date() - timedelta(days=1)
    first = max(
        found.since.date() + timedelta(days=1),
        date.fromisoformat(min((line.id for line in found.lines), default="9999-01-01")),
    )
    for gap in found.gaps:
        if gap.until.date() >= first:
            first = gap.until.date() + timedelta(days=1)
    return first, last
