"""What the options of ``difyops cost`` mean: which apps, from when on, at which prices. Used by its neighbours too."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import seconds
from difyops.cli.history import context_name
from difyops.cli.session import Session
from difyops.errors import UsageError

if TYPE_CHECKING:
    from difyops.cost.prices import Prices
    from difyops.cost.runs import PricedQuestion
    from difyops.cost.spending import Spending
    from difyops.history.store import History

Apps = Annotated[
    list[str] | None,
    typer.Argument(metavar="[APP]...", help="Id, exact name, glob, mode:NAME, @file, all (default)."),
]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="How far back.")]
RatesFile = Annotated[
    Path | None, typer.Option("--rates", metavar="FILE", help="Add up currencies: {currency: USD, rates: {CNY: 0.14}}.")
]


def spending(
    session: Session, history: History, apps: list[str] | None, *, since: str, by: str, rates: Path | None = None
) -> Spending:  # fmt: skip
    """Return what apps of the context cost up to now."""
    from difyops.cost.leaves import Leaves
    from difyops.cost.money import UNMIXED, read_rates
    from difyops.cost.summary import BY, summarise

    if by not in BY:
        raise UsageError(f"--by {by!r} is none of {', '.join(BY)}.", hint="difyops cost summary --by model")
    worth = read_rates(rates) if rates else UNMIXED
    prices = open_prices(session)
    with Leaves(history, prices) as leaves:
        return summarise(history, leaves, question_of(session, history, apps, since), prices, by=by, rates=worth)


def question_of(session: Session, history: History, apps: list[str] | None, since: str) -> PricedQuestion:
    """Return what the options ask about, up to now."""
    from difyops.cost.runs import PricedQuestion
    from difyops.history.apps import find_apps

    context, at = context_name(session), now().timestamp()
    found = tuple(find_apps(history, context, apps or ["all"]))
    return PricedQuestion(context=context, apps=found, since=at - seconds(since), until=at)


def open_prices(session: Session) -> Prices:
    """Return the list of prices, the user's own before it."""
    from difyops.cost.prices import load_prices

    return load_prices(own_file(session))


def own_file(session: Session) -> Path:
    """Return where the user's own prices lie."""
    from difyops.cost.own_prices import FILE

    return session.config.user_file.with_name(FILE)


def now() -> datetime:
    """Return what time it is."""
    from difyops.clock import SystemClock

    return SystemClock().now()


def day(text: str | None) -> int:
    """Return the number of a day, today's without one."""
    from difyops.cost.price_check import day_of, today

    if text is None:
        return today(now().timestamp())
    try:
        return day_of(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no day.", hint="Example: 2026-11-01") from error


def one_of(option: str, given: str, known: tuple[str, ...]) -> None:
    """Refuse a word that an option does not know."""
    if given not in known:
        raise UsageError(f"{option} {given!r} is none of {', '.join(known)}.", hint=f"{option} {known[0]}")
