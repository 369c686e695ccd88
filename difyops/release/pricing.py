"""What runs cost, for the gate of the price.

Of apps with nodes these are read, of a few runs of each side, each once; an answer of an app without nodes is priced by
its own tokens and the model that its version names. An amount is never without its currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import node_rows
from difyops.api.run_records import NodeRecord
from difyops.cost.prices import Prices, load_prices
from difyops.cost.run_price import price_of_message, price_of_run
from difyops.dsl.model import as_dict, text_of
from difyops.fanout import Done, FanoutOptions, fan_out
from difyops.history.failures import GOOD
from difyops.release.gates import GateEvent
from difyops.release.plan import ReleasePlan
from difyops.release.watch import PriceOfRun
from difyops.replay import ReplayPair, ReplayTold

MOST = 60  # runs of each side
_AT_ONCE = 2
Amounts = dict[str, list[Any]]  # by run: amount and currency, as a private file holds them


def prices_for(plan: ReleasePlan, own: object) -> Prices | None:
    """Return the list of prices where the plan judges the price; ``own``: the file of the user's own prices."""
    return None if plan.gates.pricier is None else load_prices(Path(str(own)) if own else None)


def by_answer(document: Mapping[str, Any], prices: Prices | None) -> PriceOfRun | None:
    """Return how answers of an app without nodes are priced; ``None`` where nobody asks or nodes tell it."""
    named = as_dict(as_dict(document.get("model_config")).get("model")) or as_dict(
        as_dict(document.get("agent_soul")).get("model")
    )
    if prices is None or "graph" in document:
        return None
    provider = text_of(named.get("provider") or named.get("model_provider"))
    model = text_of(named.get("name") or named.get("model"))
    return lambda run: price_of_message(run, (provider, model), prices)


async def prices_of(instance: Instance, app: App, runs: Iterable[str], prices: Prices) -> Amounts:
    """Return amount and currency of each run that has them; runs that cannot be read are left out."""

    async def read(run: str) -> tuple[Decimal, str] | None:
        return price_of_run([NodeRecord.of(row) for row in await node_rows(instance, app.id, run)], prices)

    known: Amounts = {}
    if app.has_workflow:
        async for result in fan_out(list(runs)[:MOST], read, FanoutOptions(limit=_AT_ONCE)):
            if isinstance(result, Done) and result.value is not None:
                known[result.item] = [float(result.value[0]), result.value[1]]
    return known


def to_price(events: Sequence[GateEvent], known: Mapping[str, Any]) -> list[str]:
    """Return the runs of which the price is wanted and not known yet: good ones, the newest."""
    wanted = [event.id for event in sorted(events, key=lambda event: -event.ended) if event.outcome == GOOD]
    return [run for run in wanted[:MOST] if run not in known]


def priced(events: Sequence[GateEvent], known: Mapping[str, Any]) -> list[GateEvent]:
    """Return the events with the prices that are known."""
    return [
        replace(event, price=known[event.id][0], currency=known[event.id][1]) if event.id in known else event
        for event in events
    ]


async def priced_pairs(
    pairs: Sequence[ReplayPair], old: tuple[Instance, App], new: tuple[Instance, App], prices: Prices
) -> list[ReplayPair]:  # fmt: skip
    """Return the pairs with the prices of their runs; an app without a workflow tells its own."""
    before = await prices_of(*old, (pair.old.run_id for pair in pairs if pair.old.run_id), prices)
    after = await prices_of(*new, (pair.new.run_id for pair in pairs if pair.new.run_id), prices)
    return [replace(pair, old=_with(pair.old, before), new=_with(pair.new, after)) for pair in pairs]


def _with(told: ReplayTold, known: Amounts) -> ReplayTold:
    found = known.get(told.run_id or "")
    return told if found is None else replace(told, price=Decimal(repr(found[0])), currency=found[1])
