"""What ``cost summary`` answers: amounts in their currencies, by group and altogether."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from difyops.cost.runs import Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """An amount in one currency; ``low`` and ``high`` bound it at 95 % where it was estimated."""

    currency: str
    amount: Decimal
    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """One group. ``silent`` tokens have no price at Dify (or 0), ``unpriced`` ones none in the list.

    ``exact``: nothing in it is estimated. ``unread`` runs of it are in no figure: none of their like was drawn.
    """

    id: str
    name: str
    calls: int
    tokens: int
    said: tuple[Amount, ...]
    listed: tuple[Amount, ...]
    difference: tuple[Amount, ...]
    silent: int
    unpriced: int
    exact: bool
    unread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What some apps cost. ``read`` of ``runs`` had their nodes read; ``inner`` tokens stand in runs of their own.

    ``upto``: the newest sync; ``gaps``: what was never read before it, and is in no figure.
    """

    context: str
    by: str
    since: datetime
    until: datetime
    upto: datetime | None
    apps: int
    runs: int
    read: int
    lines: tuple[CostLine, ...]
    total: CostLine
    inner: int
    gaps: tuple[Unread, ...]
    prices: str
    rates: str
