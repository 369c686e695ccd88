"""Which node rows of a run are leaves, and what each adds up to: a token is counted where a model used it, once.

Not leaves: failed attempts (``:retry:`` rows repeat the price of the end), and a container (iteration, loop) whose
children are there, for it repeats their sum. A tool with tokens may be a workflow of our own: whether its inner run is
counted by itself is known only when all runs are looked at (``inner_runs``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from difyops.cost.money import amount_of, currency_of
from difyops.cost.prices import Prices

TOOL = "tool"
UNIT = Decimal(1).scaleb(-10)
"""What one unit of a kept amount is worth: 64 bits then hold 900 million of a currency."""
COLUMNS = (
    "run, node, title, type, started, finished, attempt, container, tokens, price, currency, prompt_tokens,"
    " completion_tokens, provider, model, status"
)
_DAY = 86400


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What is read of a node row, in the order of ``COLUMNS``."""

    run: str
    node: str
    title: str
    type: str
    started: float
    finished: float | None
    attempt: int
    container: str
    tokens: int
    price: str
    currency: str
    prompt_tokens: int | None
    completion_tokens: int | None
    provider: str
    model: str
    status: str


@dataclass(frozen=True, slots=True)
class LeafKind:
    """What leaves are grouped by. ``currency`` is blank where the server names no price, or 0."""

    node: str
    type: str
    version: str
    source: str
    provider: str
    model: str
    currency: str


@dataclass(slots=True)
class Sum:
    """What leaves of one kind add up to. ``silent``: tokens for which the server names no price, or 0.

    ``unsplit``: tokens of which nobody says how many were input. ``price`` is in ``UNIT``.
    """

    calls: int = 0
    tokens: int = 0
    prompt: int = 0
    completion: int = 0
    unsplit: int = 0
    silent: int = 0
    price: int = 0
    began: float | None = None
    ended: float | None = None

    def add(self, row: NodeRow) -> None:
        """Add a leaf."""
        self.calls += 1
        self.tokens += row.tokens
        if row.prompt_tokens is None and row.completion_tokens is None:
            self.unsplit += row.tokens
        else:
            self.prompt += row.prompt_tokens or 0
            self.completion += row.completion_tokens or 0
        price = units(row.price)
        self.price += price
        self.silent += 0 if price else row.tokens


def units(text: object) -> int:
    """Return an amount in ``UNIT``, 0 for none."""
    found = amount_of(text)
    return 0 if found is None else int((found / UNIT).to_integral_value(ROUND_HALF_EVEN))


def leaves(rows: Sequence[NodeRow]) -> Iterator[NodeRow]:
    """Yield the rows of one run that count: each token once, none that costs nothing."""
    parents = {row.container for row in rows if row.container and (row.tokens or units(row.price))}
    for row in rows:
        if not row.attempt and row.node not in parents and (row.tokens or units(row.price)):
            yield row


def sums(
    rows: Iterable[NodeRow], *, version: str, source: str, prices: Prices
) -> dict[tuple[LeafKind, int], Sum]:  # fmt: skip
    """Add up the leaves of one run by kind and slot of the price list; every call of a tool stays by itself."""
    found: dict[tuple[LeafKind, int], Sum] = {}
    for number, row in enumerate(leaves(list(rows))):
        kind = LeafKind(
            node=row.node, type=row.type, version=version, source=source, provider=row.provider, model=row.model,
            currency=currency_of(row.currency) if units(row.price) else "",
        )  # fmt: skip
        is_tool = row.type == TOOL
        half_hour = int(row.started % _DAY // 1800)
        slot = number if is_tool else prices.slot(row.provider, row.model, row.prompt_tokens or 0, half_hour)
        total = found.setdefault((kind, slot), Sum())
        total.add(row)
        if is_tool:
            total.began, total.ended = row.started, row.finished
    return found
