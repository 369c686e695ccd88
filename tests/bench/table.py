"""A figure, its limit, and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class Figure:
    """One measured figure; ``limit`` is the most it may be (``least`` turns it into the least)."""

    name: str
    value: float
    limit: float | None = None
    note: str = ""
    least: bool = False

    @property
    def holds(self) -> bool:
        """Say whether the limit is kept."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.least else self.value <= self.limit


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as text."""
    rows = []
    for figure in figures:
        bound = "" if figure.limit is None else f"{'>=' if figure.least else '<='} {figure.limit:g}"
        rows.append((figure.name, f"{figure.value:.3f}", bound, "yes" if figure.holds else "NO", figure.note))
    return tabulate(rows, headers=("figure", "measured", "limit", "holds", "how"), disable_numparse=True)
