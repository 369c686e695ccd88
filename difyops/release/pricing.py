"""What runs cost, for the gate of the price: their nodes are read, of a few runs of each side, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import node_rows
from difyops.api.run_records import NodeRecord
from difyops.cost.prices import Prices
from difyops.cost.run_price import price_of_run
from difyops.fanout import Done, FanoutOptions, fan_out
from difyops.history.failures import GOOD
from difyops.release.gates import GateEvent
from difyops.replay import ReplayPair, ReplayTold

MOST = 60  # runs of each side
_AT_ONCE = 2


async def prices_of(instance: Instance, app: App, runs: Iterable[str], prices: Prices) -> dict[str, float]:
    """Return the price of each run that has one; runs that cannot be read are left out."""

    async def read(run: str) -> tuple[float | None, str]:
        found = price_of_run([NodeRecord.of(row) for row in await node_rows(instance, app.id, run)], prices)
        return (None, "") if found is None else (float(found[0]), found[1])

    known: dict[str, tuple[float, str]] = {}
    if app.has_workflow:
        async for result in fan_out(list(runs)[:MOST], read, FanoutOptions(limit=_AT_ONCE)):
            if isinstance(result, Done) and result.value[0] is not None:
                known[result.item] = (result.value[0], result.value[1])
    currencies = {currency for amount, currency in known.values() if amount}
    return {run: amount for run, (amount, _) in known.items()} if len(currencies) <= 1 else {}


def to_price(events: Sequence[GateEvent], known: Mapping[str, float]) -> list[str]:
    """Return the runs of which the price is wanted and not known yet: good ones, the newest."""
    wanted = [event.id for event in sorted(events, key=lambda event: -event.ended) if event.outcome == GOOD]
    return [run for run in wanted[:MOST] if run not in known]


def priced(events: Sequence[GateEvent], known: Mapping[str, float]) -> list[GateEvent]:
    """Return the events with the prices that are known."""
    return [replace(event, price=known.get(event.id)) for event in events]


async def priced_pairs(
    pairs: Sequence[ReplayPair], old: tuple[Instance, App], new: tuple[Instance, App], prices: Prices
) -> list[ReplayPair]:  # fmt: skip
    """Return the pairs with the prices of their runs; an app without a workflow tells its own."""
    before = await prices_of(*old, (pair.old.run_id for pair in pairs if pair.old.run_id), prices)
    after = await prices_of(*new, (pair.new.run_id for pair in pairs if pair.new.run_id), prices)
    return [replace(pair, old=_with(pair.old, before), new=_with(pair.new, after)) for pair in pairs]


def _with(told: ReplayTold, known: Mapping[str, float]) -> ReplayTold:
    price = known.get(told.run_id or "")
    return told if price is None else replace(told, price=Decimal(repr(price)))
