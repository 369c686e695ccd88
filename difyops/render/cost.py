"""How money looks in text: an amount with its currency, an estimate with its interval, and tokens without a price."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from difyops.clock import iso
from difyops.cost.budget import BudgetState, BudgetStates
from difyops.cost.budgets_file import Budget
from difyops.cost.forecast import Band, Forecast
from difyops.cost.own_prices import OwnPrice
from difyops.cost.price_check import PriceCheck
from difyops.cost.prices import ListedPrice, ModelRate
from difyops.cost.spending import Amount, CostLine, Spending
from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure
from difyops.outcome import Block, Facts, Outcome, Table

_MILLION = Decimal(1_000_000)
_MOST_GAPS = 5


def decimal(value: Decimal) -> str:
    """Return an amount: cents, and below a unit as many digits as tell it."""
    if value == 0:
        return "0"
    if abs(value) >= 1:
        return f"{value:.2f}"
    return format(value.quantize(Decimal(1).scaleb(value.adjusted() - 3)).normalize(), "f")


def amount(item: Amount) -> str:
    """Return an amount; an estimate with its interval."""
    text = f"{decimal(item.amount)} {item.currency}"
    if item.low is None or item.high is None:
        return text
    return f"about {text} [{decimal(item.low)}, {decimal(item.high)}]"


def amounts(found: Sequence[Amount]) -> str | None:
    """Return amounts of several currencies side by side, never added."""
    return ", ".join(amount(item) for item in found) or None


def summary(result: Spending) -> Outcome:
    """Show what was spent."""
    return Outcome(
        kind="cost.summary", data=result, blocks=summary_blocks(result), names=[line.name for line in result.lines],
        records=[_record(result, line) for line in result.lines], warnings=warnings(result),
        summary=f"{counted(result.runs, 'run')}, {result.read} with their nodes read; {result.prices}",
    )  # fmt: skip


def _record(result: Spending, line: CostLine) -> dict[str, object]:
    return {"by": result.by, "id": line.id, "name": line.name, "calls": line.calls, "tokens": line.tokens,
            "said": line.said, "listed": line.listed, "difference": line.difference, "silent": line.silent,
            "unpriced": line.unpriced, "exact": line.exact, "unread": line.unread}  # fmt: skip


def summary_blocks(result: Spending, *, title: str | None = None) -> list[Block]:
    """Return the table of groups, and what it stands on."""
    rows = [_row(line) for line in result.lines]
    if len(rows) > 1:
        rows.append(_row(result.total))
    columns = (
        result.by, "calls", "tokens", "Dify says", "list price", "difference", "no price at Dify", "unpriced",
        "runs not read",
    )  # fmt: skip
    facts: list[tuple[str, object]] = [
        ("from", iso(result.since)), ("to", iso(result.until)),
        ("read up to", iso(result.upto) if result.upto else None),
        ("runs", result.runs), ("with their nodes read", result.read), ("list", result.prices),
    ]  # fmt: skip
    if result.rates:
        facts.append(("rates", result.rates))
    if result.inner:
        facts.append(("tokens of tools that are runs of their own", result.inner))
    empty = "Nothing was spent." if result.upto else "Nothing is known, for no run was read: difyops history sync."
    return [Table(columns=columns, rows=rows, title=title, empty=empty), Facts(pairs=facts)]


def _row(line: CostLine) -> tuple[object, ...]:
    about = "" if line.exact else "about "
    return (
        line.name or "all", f"{about}{line.calls}" if about else line.calls,
        f"{about}{line.tokens}" if about else line.tokens, amounts(line.said) or ("unpriced" if line.silent else None),
        amounts(line.listed) or ("unpriced" if line.unpriced else None), amounts(line.difference),
        _tokens(line.silent), _tokens(line.unpriced), line.unread or None,
    )  # fmt: skip


def _tokens(count: int) -> str | None:
    return f"{counted(count, 'token')}" if count else None


def warnings(result: Spending) -> list[str]:
    """Return what is in no figure."""
    said = [
        f"{gap.name}: nothing is known from {iso(gap.since)} to {iso(gap.until)}; it is in no figure."
        for gap in result.gaps[:_MOST_GAPS]
    ]
    if len(result.gaps) > _MOST_GAPS:
        said.append(f"{len(result.gaps) - _MOST_GAPS} more gaps: difyops history status")
    if result.total.unread:
        said.append(
            f"{counted(result.total.unread, 'run is', 'runs are')} in no figure: no nodes of their like were read."
            " difyops history sync --nodes 5%"
        )
    return said


def listed(found: Sequence[ListedPrice], own: Sequence[OwnPrice], *, day: int, list_name: str) -> Outcome:
    """Show prices of a million tokens on a day."""
    rows: list[tuple[object, ...]] = [
        (item.provider, item.model, _money(item.input * _MILLION / item.per), _money(item.output * _MILLION / item.per),
         None, item.currency, item.since or None, f"you, {item.said}" if item.said else "you")
        for item in own
    ]  # fmt: skip
    for entry in found:
        step = entry.step(day)
        rate = step.base
        for above, tier in ((0, rate), *step.tiers):
            name = f"{entry.model} above {counted(above, 'token')}" if above else entry.model
            rows.append(
                (entry.provider, name, *_rate(tier), rate.currency, _since(step.since), f"{entry.source}, {entry.date}")
            )
    columns = ("provider", "model", "input", "output", "cached", "currency", "from", "source, date")
    return Outcome(
        kind="cost.prices", data={"list": list_name, "own": own, "models": [_plain(entry, day) for entry in found]},
        blocks=[Table(columns=columns, rows=rows, empty="No such model in the list.")],
        names=[f"{entry.provider}/{entry.model}" for entry in found],
        summary=f"{counted(len(found), 'model')}, a million tokens each; {list_name};"
        f" {counted(len(own), 'price')} of your own",
    )  # fmt: skip


def _plain(entry: ListedPrice, day: int) -> dict[str, object]:
    step = entry.step(day)
    return {"provider": entry.provider, "model": entry.model, "since": _since(step.since), "source": entry.source,
            "date": entry.date, "currency": step.base.currency, "by_hour": entry.is_by_hour,
            "per_million": [{"above": above, "input": rate.input * _MILLION,
                             "output": None if rate.output is None else rate.output * _MILLION,
                             "cached": None if rate.cached is None else rate.cached * _MILLION}
                            for above, rate in ((0, step.base), *step.tiers)]}  # fmt: skip


def _rate(rate: ModelRate) -> tuple[str | None, str | None, str | None]:
    return _money(rate.input * _MILLION), *(
        None if value is None else _money(value * _MILLION) for value in (rate.output, rate.cached)
    )  # type: ignore[return-value]  # two of them


def _money(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _since(day: int | None) -> str | None:
    from datetime import date

    return None if day is None else date.fromordinal(day + date(1970, 1, 1).toordinal()).isoformat()


def own_price(item: OwnPrice, *, removed: bool, dry_run: bool, stands: bool = False) -> Outcome:
    """Show a price that was set or removed, or that ``stands`` as it is asked for."""
    word = "is set already" if stands else ("would be " if dry_run else "is ") + ("removed" if removed else "set")
    pairs: list[tuple[str, object]] = [
        ("provider", item.provider), ("model", item.model), ("input", f"{item.input} {item.currency} per {item.per}"),
        ("output", f"{item.output} {item.currency} per {item.per}"), ("from", item.since or "always"),
    ]  # fmt: skip
    return Outcome(
        kind="cost.prices.set", data={"price": item, "removed": removed, "dry_run": dry_run},
        blocks=[Facts(pairs=pairs[:2] + pairs[4:] if removed else pairs)], names=[f"{item.provider}/{item.model}"],
        summary=f"the price of {item.provider}/{item.model} {word}",
    )  # fmt: skip


def checked(result: PriceCheck, *, most: int) -> Outcome:
    """Show where prices differ, the worst first."""
    rows = [
        (item.provider, item.model, item.status, None if item.factor is None else f"{item.factor:.4g}x",
         _pair(item.dify_input, item.dify_output), _pair(item.list_input, item.list_output), item.currency or None,
         item.tokens or None, item.source or None)
        for item in result.models[:most]
    ]  # fmt: skip
    columns = ("provider", "model", "status", "Dify / list", "Dify", "list", "currency", "tokens used", "source")
    counts = ", ".join(f"{count} {name}" for name, count in sorted(result.counts.items()))
    more = f"; {len(result.models) - most} more with --limit or -o json" if len(result.models) > most else ""
    return Outcome(
        kind="cost.prices.check", data=result, error=result.error,
        blocks=[Table(columns=columns, rows=rows, empty="No model was used: difyops history sync, or --all.")],
        names=[f"{item.provider}/{item.model}" for item in result.models], records=[*map(_row_of, result.models)],
        summary=f"{counted(len(result.models), 'model')}: {counts or 'none'}{more}",
    )  # fmt: skip


def _row_of(item: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(item)  # type: ignore[call-overload,no-any-return]


def _pair(one: Decimal | None, two: Decimal | None) -> str | None:
    return None if one is None else f"{_money(one)} / {_money(two or Decimal(0))}"


def forecast(result: Forecast) -> Outcome:
    """Show the days to come, or what the days were."""
    rows = [(item.day, decimal(item.amount), *(_band(band) for band in item.bands)) for item in result.ahead]
    if result.total is not None:
        rows.append(("all of them", decimal(result.total), *(_band(band) for band in result.total_bands)))
    error = None
    if result.refused:
        error = PartialFailure(
            f"There is no forecast: {result.refused}; a day was {decimal(result.lowest)} to {decimal(result.highest)}"
            f" {result.currency}.", hint="difyops history sync --since 60d",
        )  # fmt: skip
    said = (
        ""
        if result.total is None
        else f", {decimal(result.total)} {result.currency} in {counted(len(result.ahead), 'day')}"
    )
    return Outcome(
        kind="cost.forecast", data=result, error=error, names=[item.day for item in result.ahead],
        records=[*map(_row_of, result.ahead)],
        blocks=[Table(columns=("day", result.currency, "50 %", "80 %", "95 %"), rows=rows, empty="No forecast.")],
        summary=f"from {result.days} whole days ({'list price' if result.price == 'list' else 'Dify'}){said}",
    )  # fmt: skip


def _band(band: Band) -> str:
    return f"{decimal(Decimal(repr(band.low)))} to {decimal(Decimal(repr(band.high)))}"


def budget_set(item: Budget, *, removed: bool, dry_run: bool, stands: bool = False) -> Outcome:
    """Show a budget that was set or removed, or that ``stands`` as it is asked for."""
    word = "is set already" if stands else ("would be " if dry_run else "is ") + ("removed" if removed else "set")
    pairs: list[tuple[str, object]] = [
        ("name", item.name), ("hard", f"{item.hard} {item.currency}"), ("soft", f"{item.soft} {item.currency}"),
        ("period", item.period), ("apps", ", ".join(item.apps)), ("user", item.user or None), ("price", item.price),
    ]  # fmt: skip
    return Outcome(
        kind="cost.budget.set", data={"budget": item, "removed": removed, "dry_run": dry_run},
        blocks=[Facts(pairs=pairs[:1] if removed else pairs)], names=[item.name],
        summary=f"the budget {item.name} {word}",
    )  # fmt: skip


def budgets(result: BudgetStates, *, error: DifyopsError | None) -> Outcome:
    """Show how budgets stand, the worst first."""
    rows = [
        (
            item.name, item.state, _spent(item), _some(item.reserved), f"{decimal(item.hard)} {item.currency}",
            None if item.share is None else f"{100 * item.share:.1f} %", _some(item.projected),
            iso(item.exhausted) if item.exhausted else None, iso(item.until), iso(item.upto) if item.upto else None,
        )
        for item in result.budgets
    ]  # fmt: skip
    columns = (
        "budget", "state", "spent", "reserved", "hard", "used", "projected", "runs out", "period ends", "read up to",
    )  # fmt: skip
    return Outcome(
        kind="cost.budget", data=result, blocks=[Table(columns=columns, rows=rows)], error=error,
        names=[item.name for item in result.budgets], records=[*map(_row_of, result.budgets)],
        warnings=[f"{item.name}: {text}" for item in result.budgets for text in _said(item)],
        summary=", ".join(f"{item.name} {item.state}" for item in result.budgets),
    )  # fmt: skip


def _said(item: BudgetState) -> list[str]:
    missing = [f"{counted(item.unpriced, 'token is', 'tokens are')} unpriced and in no figure"] if item.unpriced else []
    return [*item.why, *(missing if not any("unpriced" in text for text in item.why) else [])]


def _spent(item: BudgetState) -> str:
    return amount(Amount(currency=item.currency, amount=item.spent, low=item.low, high=item.high))


def _some(value: Decimal | None) -> str | None:
    return decimal(value) if value else None
