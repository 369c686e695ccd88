"""``difyops cost budget``: what a period may cost, how it stands, when it runs out. Registered by ``cost``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.cost_asked import RatesFile, now, one_of, open_prices
from difyops.cli.door import command, group, seconds
from difyops.cli.history import context_name, open_history
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.cost.budget import BudgetStates

budget_noun = group("Budgets: what a period may cost, how it stands, when it runs out.")


@command(budget_noun, "set")
def budget_set(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the budget is called.")],
    apps: Annotated[
        list[str] | None,
        typer.Argument(metavar="[APP]...", help="Id, exact name, glob, mode:NAME, @file, all (default)."),
    ] = None,
    hard: Annotated[str | None, typer.Option("--hard", metavar="AMOUNT", help="What may be spent in a period.")] = None,
    soft: Annotated[str, typer.Option("--soft", metavar="AMOUNT|SHARE", help="Where people are told.")] = "80%",
    period: Annotated[str, typer.Option("--period", help="day, week (from Monday) or month, in UTC.")] = "month",
    currency: Annotated[str, typer.Option("--currency", help="USD, CNY, EUR, ...")] = "USD",
    price: Annotated[str, typer.Option("--price", help="list, or dify: which column counts.")] = "list",
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Only runs of this end user (Dify's id).")] = "",
    key: Annotated[str | None, typer.Option("--key", hidden=True)] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the budget away.")] = False,
) -> Outcome:
    """Set a budget of some apps, of an end user, or of the whole workspace.

    Dify does not tell which key a run was made with, so there is no budget per key.
    Example: difyops cost budget set support 'support-*' --hard 500 --period month

    Examples:
        difyops cost budget set all --hard 500 --period month
        difyops cost budget set support 'support-*' --hard 50 --soft 40
    """
    from difyops.cost.budgets_file import PERIODS, PRICES, Budget, read_budgets, soft_of, write_budgets
    from difyops.cost.money import amount_of, currency_of
    from difyops.errors import NotSupported
    from difyops.history.apps import find_apps
    from difyops.render import cost as views
    from difyops.targets import expanded

    if key is not None:
        raise NotSupported(
            "Dify does not tell which key a run was made with, so no budget can be kept per key.",
            hint="--user ID, or the apps that the key is of.",
        )
    context, file = context_name(session), budgets_of(session)
    one_of("--period", period, PERIODS)
    one_of("--price", price, PRICES)
    had = read_budgets(file)
    others = [item for item in had if (item.name, item.context) != (name, context)]
    amount = amount_of(hard)
    if remove:
        if len(others) == len(had):
            raise UsageError(f"There is no budget {name!r} of {context}.", hint="difyops cost budget status")
        amount = next(item.hard for item in had if (item.name, item.context) == (name, context))
    if amount is None or amount == 0:
        raise UsageError("A budget wants --hard, an amount above 0.", hint="--hard 500 --soft 80%")
    made = Budget(
        name=name, context=context, hard=amount, soft=soft_of(soft, amount), currency=currency_of(currency),
        period=period, apps=tuple(expanded(apps or ["all"])), user=user, price=price,
    )  # fmt: skip
    if not remove:
        with open_history(session) as history:
            find_apps(history, context, made.apps)
    stands = not remove and made in had
    if not session.dry_run and not stands:
        write_budgets(file, others if remove else [*others, made])
    return views.budget_set(made, removed=remove, dry_run=session.dry_run, stands=stands)


@command(budget_noun, "status", formats=("csv",), fleet=True)
def budget_status(
    session: Session,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which budgets (default all).")] = None,
    rates: RatesFile = None,
) -> Outcome:
    """How each budget stands: spent, reserved, projected end of the period, and when it runs out.

    Examples:
        difyops cost budget status
        difyops cost budget status -o json
    """
    from difyops.render import cost as views

    return views.budgets(budget_states(session, names, rates=rates), error=None)


@command(budget_noun, "check", fleet=True)
def budget_check(
    session: Session,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which budgets (default all).")] = None,
    rates: RatesFile = None,
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="over, soft, or heading: from what on the answer is no.")
    ] = "over",
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="TIME", help="A sync that is older judges nothing (exit 3).")
    ] = None,
) -> Outcome:
    """For cron: 0 kept, 5 over (or as --fail-on says), 3 not known: time, runs or prices are missing.

    What to do about it is a runbook, with approval and undo: difyops runbook run runaway-cost --act

    Examples:
        difyops cost budget check
        difyops cost budget check --max-age 26h
    """
    from difyops.cost.budget import HEADING, OVER, SOFT
    from difyops.render import cost as views

    words = {"over": OVER, "soft": SOFT, "heading": HEADING}
    one_of("--fail-on", fail_on, tuple(words))
    found = budget_states(session, names, rates=rates, max_age=seconds(max_age) if max_age else None)
    return views.budgets(found, error=found.error(fail_on=words[fail_on]))


def budget_states(
    session: Session, names: list[str] | None, *, rates: Path | None = None, max_age: float | None = None
) -> BudgetStates:  # fmt: skip
    """Return how the budgets of the context stand now."""
    from difyops.cost.budget import Books, judge
    from difyops.cost.budgets_file import named_budgets, read_budgets
    from difyops.cost.leaves import Leaves
    from difyops.cost.money import UNMIXED, read_rates
    from difyops.cost.reserving import reservations

    context, at, prices = context_name(session), now(), open_prices(session)
    budgets = named_budgets(read_budgets(budgets_of(session)), names or (), context)
    worth = read_rates(rates) if rates else UNMIXED
    with open_history(session) as history, Leaves(history, prices) as leaves:
        books = Books(history=history, leaves=leaves, prices=prices, rates=worth)
        return judge(books, budgets, reservations(session.ledger, context, now=at), now=at, oldest=max_age)


def budgets_of(session: Session) -> Path:
    """Return where the budgets lie."""
    from difyops.cost.budgets_file import FILE

    return session.config.user_file.with_name(FILE)
