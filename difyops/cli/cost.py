"""``difyops cost``: what the apps really cost, who spends it, when it runs out. Parse, call the room, return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from difyops.cli import cost_changes
from difyops.cli.door import command, group, seconds
from difyops.cli.history import context_name, open_history
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.cost.budget import BudgetStates
    from difyops.cost.holding import Cheaper
    from difyops.cost.prices import Prices
    from difyops.cost.runs import PricedQuestion
    from difyops.cost.summary import Spending
    from difyops.history.store import History

T = TypeVar("T")
noun = group("What the apps really cost, who spends it, when it runs out: from the history and a dated price list.")
prices_noun = group("The dated list of prices: show it, set your own, see where Dify reckons otherwise.")
budget_noun = group("Budgets: what a period may cost, how it stands, when it runs out.")
noun.add_typer(prices_noun, name="prices")
noun.add_typer(budget_noun, name="budget")
cost_changes.register(noun)

Apps = Annotated[
    list[str] | None,
    typer.Argument(metavar="[APP]...", help="Id, exact name, glob, mode:NAME or all (default), as in history status."),
]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="How far back.")]
RatesFile = Annotated[
    Path | None, typer.Option("--rates", metavar="FILE", help="Add up currencies: {currency: USD, rates: {CNY: 0.14}}.")
]


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


@command(prices_noun, "list")
def list_(
    session: Session,
    pattern: Annotated[
        str | None, typer.Argument(metavar="[PATTERN]", help="A part of provider/model, or a glob.")
    ] = None,
    on: Annotated[str | None, typer.Option("--on", metavar="DAY", help="Prices of that day (default today).")] = None,
) -> Outcome:
    """The list: a million tokens of input, output and cached input, with source and date a row.

    Examples:
        difyops cost prices list
        difyops cost prices list 'openai/gpt-4*'
    """
    from difyops.cost.prices import named
    from difyops.render import cost as views

    prices = open_prices(session)
    found = [entry for entry in prices.rows() if pattern is None or named(entry, pattern)]
    own = [item for item in prices.own if pattern is None or pattern.lower() in f"{item.provider}/{item.model}".lower()]
    return views.listed(found, own, day=_day(on), list_name=prices.name)


@command(prices_noun, "set")
def set_(
    session: Session,
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="As Dify spells it: openai, langgenius/x/x, or *.")
    ],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Exact name, or a glob.")],
    price_in: Annotated[str | None, typer.Option("--input-price", help="What --per tokens of input cost.")] = None,
    price_out: Annotated[str | None, typer.Option("--output-price", help="What --per tokens of output cost.")] = None,
    currency: Annotated[str, typer.Option("--currency", help="USD, CNY (Dify's RMB), EUR, ...")] = "USD",
    per: Annotated[int, typer.Option("--per", min=1, help="For how many tokens the prices are.")] = 1_000_000,
    since: Annotated[str, typer.Option("--from", metavar="DAY", help="From which day on (default: always).")] = "",
    note: Annotated[str, typer.Option("--note", help="Where it is from: a contract, a page.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the price of this name and day away.")] = False,
) -> Outcome:
    """Say a price of your own, from a day on; it goes before the list.

    Example: difyops cost prices set ollama 'llama3*' --input-price 0 --output-price 0 --note "our own machines"

    Examples:
        difyops cost prices set ollama '*' --input-price 0 --output-price 0
        difyops cost prices set ollama '*' --remove
    """
    from difyops.cost.money import amount_of, currency_of
    from difyops.cost.own_prices import OwnPrice, read_own, with_price, without, write_own
    from difyops.cost.prices import provider_of
    from difyops.render import cost as views

    file, amounts = own_file(session), [amount_of(price_in), amount_of(price_out)]
    name = "*" if provider == "*" else provider_of(provider)
    if since:
        _day(since)
    if not remove and None in amounts:
        raise UsageError(
            "A price wants --input-price and --output-price, amounts of 0 or more.",
            hint="--input-price 0.15 --output-price 0.6",
        )
    now = _now()
    item = OwnPrice(
        provider=name, model=model, input=amounts[0] or Decimal(0), output=amounts[1] or Decimal(0),
        currency=currency_of(currency), per=per, since=since, said=now.date().isoformat(), note=note,
    )  # fmt: skip
    had = read_own(file)
    if remove and len(without(had, name, model, since)) == len(had):
        raise UsageError(
            f"There is no own price of {name}/{model}{f' from {since}' if since else ''}.",
            hint="difyops cost prices list",
        )
    if not session.dry_run:
        write_own(file, without(had, name, model, since) if remove else with_price(had, item))
    return views.own_price(item, removed=remove, dry_run=session.dry_run)


@command(prices_noun, "check", formats=("csv",))
def check(
    session: Session,
    everything: Annotated[
        bool, typer.Option("--all", help="Every model of Dify's plugins, not only those used.")
    ] = False,
    plugins: Annotated[
        Path | None, typer.Option("--plugins", metavar="FOLDER", help="A checkout of Dify's plugins (default: ours).")
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, help="What counts as the same.")] = 0.01,
    since: Since = "30d",
    most: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many rows.")] = 40,
) -> Outcome:
    """Where Dify's plugins and the list differ, for the models that were used. Exit 5 when one is wrong or missing.

    Examples:
        difyops cost prices check
        difyops cost prices check --all -o json
    """
    from difyops.cost import plugin_prices, price_check
    from difyops.render import cost as views

    prices = open_prices(session)
    found = plugin_prices.read_folder(plugins) if plugins else plugin_prices.shipped()
    used: tuple[object, ...] = ()
    if not everything:
        with open_history(session) as history:
            used = spending(session, history, None, since=since, by="model").lines
    result = price_check.check(
        found if everything or used else (), prices, day=_day(None), tolerance=tolerance,
        used=used, source=str(plugins or "langgenius/dify-official-plugins"),  # type: ignore[arg-type]
    )  # fmt: skip
    return views.checked(result, most=most)


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

    context, now = context_name(session), _now().timestamp()
    found = tuple(find_apps(history, context, apps or ["all"]))
    return PricedQuestion(context=context, apps=found, since=now - seconds(since), until=now)


def open_prices(session: Session) -> Prices:
    """Return the list of prices, the user's own before it."""
    from difyops.cost.prices import load_prices

    return load_prices(own_file(session))


def own_file(session: Session) -> Path:
    """Return where the user's own prices lie."""
    from difyops.cost.own_prices import FILE

    return session.config.user_file.with_name(FILE)


def _now() -> datetime:
    from difyops.clock import SystemClock

    return SystemClock().now()


def _day(text: str | None) -> int:
    from difyops.cost.price_check import day_of, today

    if text is None:
        return today(_now().timestamp())
    try:
        return day_of(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no day.", hint="Example: 2026-11-01") from error


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

    _one_of("--price", price, ("list", "dify"))
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


@command(budget_noun, "set")
def budget_set(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the budget is called.")],
    apps: Annotated[
        list[str] | None, typer.Argument(metavar="[APP]...", help="Apps of it (default: the workspace).")
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

    if key is not None:
        raise NotSupported(
            "Dify does not tell which key a run was made with, so no budget can be kept per key.",
            hint="--user ID, or the apps that the key is of.",
        )
    context, file = context_name(session), _budgets(session)
    _one_of("--period", period, PERIODS)
    _one_of("--price", price, PRICES)
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
        period=period, apps=tuple(apps or ("all",)), user=user, price=price,
    )  # fmt: skip
    if not remove:
        with open_history(session) as history:
            find_apps(history, context, made.apps)
    if not session.dry_run:
        write_budgets(file, others if remove else [*others, made])
    return views.budget_set(made, removed=remove, dry_run=session.dry_run)


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
    _one_of("--fail-on", fail_on, tuple(words))
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

    context, now, prices = context_name(session), _now(), open_prices(session)
    budgets = named_budgets(read_budgets(_budgets(session)), names or (), context)
    worth = read_rates(rates) if rates else UNMIXED
    with open_history(session) as history, Leaves(history, prices) as leaves:
        books = Books(history=history, leaves=leaves, prices=prices, rates=worth)
        return judge(books, budgets, reservations(session.ledger, context, now=now), now=now, oldest=max_age)


def _budgets(session: Session) -> Path:
    from difyops.cost.budgets_file import FILE

    return session.config.user_file.with_name(FILE)


def _one_of(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UsageError(f"{option} {given!r} is none of {', '.join(known)}.", hint=f"{option} {known[0]}")


class Settled:
    """The tokens that were really used, by context and app: by the apps, and by scratch copies of them, whose runs no
    history will hold; and which of them another model took for less.
    """

    def __init__(self) -> None:
        self.apps: dict[tuple[str, str], int] = {}
        self.copies: dict[tuple[str, str], int] = {}
        self.cheaper: dict[tuple[str, str], Cheaper] = {}

    def __call__(self, used: Mapping[tuple[str, str], int], *, copies: bool = False) -> None:
        """Take down what was used."""
        (self.copies if copies else self.apps).update(used)


@contextmanager
def holding(session: Session, asked: Sequence[tuple[str, str]], *, what: str) -> Iterator[Settled]:
    """Hold what runs of apps (context, app id; one entry a run) will take in the budgets, if there are any.

    Yields what is to be told the tokens that were really used, by app; without that, what was held is given back.

    Raises:
        OutOfBudget: a budget has less left.
    """
    file = _budgets(session)
    if not file.exists():
        yield Settled()
        return
    from difyops.cost.budget import Books
    from difyops.cost.budgets_file import read_budgets
    from difyops.cost.holding import HeldBudget, hold, left
    from difyops.cost.leaves import Leaves
    from difyops.cost.reserving import Reserving

    clock, prices, held, used = session.ledger.clock, open_prices(session), list[HeldBudget](), Settled()
    now = clock.now()  # reservations of several machines are compared
    budgets = read_budgets(file)
    with open_history(session) as history, Leaves(history, prices) as leaves:
        books = Books(history=history, leaves=leaves, prices=prices)
        reserving = Reserving(
            ledger=session.ledger, state=session.config.state, left=lambda one, taken: left(books, one, taken, now=now)
        )
        for context in sorted({name for name, _ in asked}):
            runs = Counter(app for name, app in asked if name == context)
            mine = [item for item in budgets if item.context == context]
            held += hold(books, reserving, mine, runs, what=what, now=now)
    try:
        yield used
    finally:
        for item in held:
            context = item.budget.context
            copies = item.cost(_of(context, used.copies), _of(context, used.cheaper))
            reserving.settle(item.taken, item.cost(_of(context, used.apps)), copies=copies, now=clock.now())


def _of(context: str, kept: Mapping[tuple[str, str], T]) -> dict[str, T]:
    return {app: value for (name, app), value in kept.items() if name == context}
