"""``difyops cost prices``: the dated list, prices of your own, where Dify reckons otherwise. Registered by ``cost``."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from difyops.cli.cost_asked import Since, day, now, open_prices, own_file, spending
from difyops.cli.door import command, group
from difyops.cli.history import open_history
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Outcome

prices_noun = group("The dated list of prices: show it, set your own, see where Dify reckons otherwise.")


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
    return views.listed(found, own, day=day(on), list_name=prices.name)


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
        day(since)
    if not remove and None in amounts:
        raise UsageError(
            "A price wants --input-price and --output-price, amounts of 0 or more.",
            hint="--input-price 0.15 --output-price 0.6",
        )
    today = now()
    item = OwnPrice(
        provider=name, model=model, input=amounts[0] or Decimal(0), output=amounts[1] or Decimal(0),
        currency=currency_of(currency), per=per, since=since, said=today.date().isoformat(), note=note,
    )  # fmt: skip
    had = read_own(file)
    if remove and len(without(had, name, model, since)) == len(had):
        raise UsageError(
            f"There is no own price of {name}/{model}{f' from {since}' if since else ''}.",
            hint="difyops cost prices list",
        )
    stands = not remove and item in [replace(old, said=item.said) for old in had]
    if not session.dry_run and not stands:
        write_own(file, without(had, name, model, since) if remove else with_price(had, item))
    return views.own_price(item, removed=remove, dry_run=session.dry_run, stands=stands)


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
        found if everything or used else (), prices, day=day(None), tolerance=tolerance,
        used=used, source=str(plugins or "langgenius/dify-official-plugins"),  # type: ignore[arg-type]
    )  # fmt: skip
    return views.checked(result, most=most)
