"""What all runs cost, from those whose nodes were read: exact where all were, the ratio estimator where a part was.

The same estimator as ``statistics.estimate_total``, kept as sums, so that many groups over many drawn runs take one
pass: a run that a group does not occur in has the value 0 and needs no place of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from difyops.statistics.distributions import student_value

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """A total and its interval. Without one, ``exact`` says why: nothing was estimated, or too little was read.

    ``unread`` runs stand for nothing in ``total``: of their part none was drawn.
    """

    total: Decimal
    low: Decimal | None = None
    high: Decimal | None = None
    exact: bool = True
    unread: int = 0


@dataclass(slots=True)
class Stratum:
    """Runs of which count and tokens are known, some of them read: with certainty, or drawn with a chance."""

    count: int = 0
    size: int = 0
    sure_count: int = 0
    sure_size: int = 0
    drawn: dict[int, tuple[float, float]] = field(default_factory=dict)

    @property
    def rest(self) -> int:
        """Return how many runs the drawn ones stand for."""
        return max(0, self.count - self.sure_count)

    @property
    def rest_size(self) -> float:
        """Return their tokens, or their number where no drawn run has any."""
        return float(max(0, self.size - self.sure_size)) if self._by_size else float(self.rest)

    @property
    def _by_size(self) -> bool:
        return any(size > 0 for size, _ in self.drawn.values())

    def sized(self) -> dict[int, tuple[float, float]]:
        """Return size and chance of each drawn run."""
        return self.drawn if self._by_size else {run: (1.0, chance) for run, (_, chance) in self.drawn.items()}


@dataclass(slots=True)
class CostMeasure:
    """One figure of one group in one stratum: what is sure, and its value in each drawn run."""

    sure: Decimal = Decimal(0)
    values: dict[int, float] = field(default_factory=lambda: defaultdict(float))


@dataclass(slots=True)
class _Sizes:
    """The sums over a stratum's drawn runs that every measure needs."""

    runs: Mapping[int, tuple[float, float]]
    weighted: float
    squares: float

    @classmethod
    def of(cls, stratum: Stratum) -> _Sizes:
        runs = stratum.sized()
        return cls(
            runs=runs,
            weighted=math.fsum(size / chance for size, chance in runs.values()),
            squares=math.fsum((1 - chance) * (size / chance) ** 2 for size, chance in runs.values()),
        )


class Estimator:
    """Adds up measures over strata; each pair of a stratum and a measure is given once."""

    def __init__(self) -> None:
        self._sizes: dict[int, _Sizes] = {}

    def total(self, parts: Iterable[tuple[Stratum | None, CostMeasure]], *, signed: bool = False) -> Estimated:
        """Return the total of one measure over all strata that its group lies in; ``None`` is a part that is sure.

        ``signed``: it may be below zero, so what is sure is no lower bound.
        """
        sure, more, variance, freedom = Decimal(0), 0.0, 0.0, 0
        exact, told, unread = True, True, 0
        for stratum, measure in parts:
            sure += measure.sure
            if stratum is None or stratum.rest == 0:
                continue
            exact = False
            if not stratum.drawn:
                unread += stratum.rest
                continue
            part, spread = self._part(stratum, measure)
            more += part
            variance += spread or 0.0
            freedom += len(stratum.drawn) - 1
            told = told and spread is not None
        if exact or not told or unread:
            return Estimated(total=sure + _decimal(more), exact=exact, unread=unread)
        reach = student_value(_CONFIDENCE, max(1, freedom)) * math.sqrt(variance)
        low = sure + _decimal(more - reach) if signed else max(sure, sure + _decimal(more - reach))
        return Estimated(total=sure + _decimal(more), low=low, high=sure + _decimal(more + reach), exact=False)

    def _part(self, stratum: Stratum, measure: CostMeasure) -> tuple[float, float | None]:
        sizes = self._sizes.get(id(stratum))
        if sizes is None:
            sizes = self._sizes[id(stratum)] = _Sizes.of(stratum)
        weighted = squares = mixed = 0.0
        for run, value in measure.values.items():
            size, chance = sizes.runs[run]
            weighted += value / chance
            squares += (1 - chance) * (value / chance) ** 2
            mixed += (1 - chance) * value * size / chance**2
        rate = weighted / sizes.weighted
        drawn = len(sizes.runs)
        if drawn < 2:
            return rate * stratum.rest_size, None
        left = max(0.0, squares - 2 * rate * mixed + rate**2 * sizes.squares)
        error = stratum.rest_size / sizes.weighted
        return rate * stratum.rest_size, error**2 * left * drawn / (drawn - 1)


def _decimal(value: float) -> Decimal:
    return Decimal(repr(round(value, 9)))
