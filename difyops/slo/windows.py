"""Pairs of windows and their factors, as Sloth and the SRE workbook have them: for 7, 28 and 30 days.

A factor is the share of the budget that a pair may spend, times the period, over its long window. Computed in Sloth's
order of operations, so that rules written by either are equal to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PERIODS = (7, 28, 30)
_SHARES = {7: (8.0, 12.5, 20.0, 42.0), 28: (2.0, 5.0, 10.0, 10.0), 30: (2.0, 5.0, 10.0, 10.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A long window (hours), a short one that ends the alarm soon after the trouble, and the share it may spend."""

    severity: Literal["page", "ticket"]
    speed: Literal["quick", "slow"]
    long: float
    short: float
    percent: float
    days: int

    @property
    def factor(self) -> float:
        """Return how many times faster than allowed the budget must burn."""
        return self.percent * (self.days * 24.0) / 100 / self.long


def pairs(days: int) -> tuple[Pair, ...]:
    """Return the four pairs of a period of 7, 28 or 30 days."""
    page_quick, page_slow, ticket_quick, ticket_slow = _SHARES[days]
    return (
        Pair(severity="page", speed="quick", long=1, short=5 / 60, percent=page_quick, days=days),
        Pair(severity="page", speed="slow", long=6, short=0.5, percent=page_slow, days=days),
        Pair(severity="ticket", speed="quick", long=24, short=2, percent=ticket_quick, days=days),
        Pair(severity="ticket", speed="slow", long=72, short=6, percent=ticket_slow, days=days),
    )


def span(hours: float) -> str:
    """Return a window as Prometheus writes it: 5m, 6h, 3d, 1w."""
    minutes = round(hours * 60)
    for unit, length in (("w", 10080), ("d", 1440), ("h", 60)):
        if minutes % length == 0:
            return f"{minutes // length}{unit}"
    return f"{minutes}m"
