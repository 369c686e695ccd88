"""What one run costs, from its node records or its message: by the list where it knows the model, else what Dify says.

``None`` where a token is in nobody's price, or where the run was priced in two currencies: an unknown price is no 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from difyops.api.run_records import NodeRecord
from difyops.api.runs import Run
from difyops.cost.leaf_rows import TOOL, NodeRow, leaves
from difyops.cost.money import amount_of, currency_of
from difyops.cost.prices import Prices

_DAY, _HALF_HOUR = 86400, 1800


def price_of_run(records: Iterable[NodeRecord], prices: Prices) -> tuple[Decimal, str] | None:
    """Return amount and currency of one run; a run without tokens costs 0 of no currency."""
    total, currencies = Decimal(0), set[str]()
    for row in leaves([_row(record) for record in records]):
        found = _listed(row, prices) or _said(row)
        if found is None:
            return None
        total += found[0]
        currencies.add(found[1])
    if len(currencies) > 1:
        return None
    return total, next(iter(currencies), "")


def price_of_message(run: Run, model: tuple[str, str], prices: Prices) -> tuple[Decimal, str] | None:
    """Return amount and currency of one answer of an app without nodes; ``model``: provider and name that answered."""
    if not run.tokens:
        return Decimal(0), ""
    answered = None if run.prompt_tokens is None else run.tokens - run.prompt_tokens
    row = NodeRow(
        run=run.id, node="", title="", type="message", started=run.started, finished=None, attempt=0, container="",
        tokens=run.tokens, price=run.price, currency=run.currency, prompt_tokens=run.prompt_tokens,
        completion_tokens=answered, provider=model[0], model=model[1], status=run.status,
    )  # fmt: skip
    return _listed(row, prices) or _said(row)


def _listed(row: NodeRow, prices: Prices) -> tuple[Decimal, str] | None:
    if not row.model or row.type == TOOL or (row.prompt_tokens is None and row.completion_tokens is None):
        return None
    day, half_hour = int(row.started // _DAY), int(row.started % _DAY // _HALF_HOUR)
    slot = prices.slot(row.provider, row.model, row.prompt_tokens or 0, half_hour)
    rate = prices.rate(row.provider, row.model, day, slot)
    amount = rate.amount(row.prompt_tokens or 0, row.completion_tokens or 0) if rate else None
    return (amount, rate.currency) if rate and amount is not None else None


def _said(row: NodeRow) -> tuple[Decimal, str] | None:
    amount = amount_of(row.price)
    return (amount, currency_of(row.currency)) if amount else None


def _row(record: NodeRecord) -> NodeRow:
    return NodeRow(
        run="", node=record.node, title=record.title, type=record.type, started=record.started,
        finished=record.finished, attempt=record.attempt, container=record.container, tokens=record.tokens,
        price=record.price, currency=record.currency, prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens, provider=record.provider, model=record.model,
        status=record.status,
    )  # fmt: skip
