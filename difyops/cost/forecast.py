"""``cost forecast``: the days to come: the same weekday of the last weeks, the drift between weeks, and bands.

Seasonal naive with drift: simple, and on public series as good as what is fitted. The bands are quantiles of the errors
that the same forecast made on the past. Below two whole seasons there is no forecast, only what the days were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from difyops.cost.money import tidy
from difyops.cost.spending import Spending
from difyops.counting import counted
from difyops.statistics.distributions import student_value

SEASON = 7
LEVELS = (0.5, 0.8, 0.95)
_SEASONS_OF_POINT = 1
_SEASONS_OF_DRIFT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """An interval that holds the true value with a probability of ``level``."""

    level: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step ahead."""

    value: float
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastDay:
    """One day to come."""

    day: str
    amount: Decimal
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The days to come in one currency; ``days`` whole days of the past stand behind it.

    ``refused`` says why there is none; then ``lowest`` to ``highest`` is what the days were.
    """

    currency: str
    price: str
    days: int
    ahead: tuple[ForecastDay, ...]
    total: Decimal | None
    total_bands: tuple[Band, ...]
    lowest: Decimal
    highest: Decimal
    refused: str = ""


def ahead(values: Sequence[float], steps: int, *, season: int = SEASON, floor: float | None = None) -> list[Point]:
    """Forecast ``steps`` values; needs two seasons.

    Raises:
        ValueError: there are fewer.
    """
    if len(values) < 2 * season:
        raise ValueError(f"two seasons of {season} are needed, there are {counted(len(values), 'value')}")
    drift = _drift(values, season)
    found = []
    for step in range(1, steps + 1):
        seasons = -(-step // season)
        value = values[len(values) + step - 1 - seasons * season] + drift * seasons
        bands = tuple(
            Band(level=level, low=_least(value + low, floor), high=_least(value + high, floor))
            for level, (low, high) in zip(LEVELS, _reach(values, season, seasons, drift), strict=True)
        )
        found.append(Point(value=_least(value, floor), bands=bands))
    return found


def _drift(values: Sequence[float], season: int) -> float:
    """Return by how much a season differs from the one before, on average over the last ones."""
    whole = min(len(values) // season, _SEASONS_OF_DRIFT)
    newest = math.fsum(values[-season:]) / season
    start = len(values) - whole * season
    oldest = math.fsum(values[start : start + season]) / season
    return (newest - oldest) / (whole - 1)


def _reach(values: Sequence[float], season: int, seasons: int, drift: float) -> list[tuple[float, float]]:
    """Return, level by level, how far below and above the forecast the truth may be so many seasons ahead."""
    lag, scale = seasons * season, 1.0
    while len(values) - lag < season and lag > season:  # too few pairs so far apart: nearer ones, widened
        lag -= season
    scale = math.sqrt(seasons * season / lag)
    errors = sorted(values[place] - values[place - lag] - drift * (lag // season) for place in range(lag, len(values)))
    return [_quantiles(errors, level, scale) for level in LEVELS]


def _quantiles(errors: Sequence[float], level: float, scale: float) -> tuple[float, float]:
    n, tail = len(errors), (1 - level) / 2
    rank = math.floor((n + 1) * tail)
    if rank >= 1:  # as many errors beyond as the level leaves, one of n + 1 being the one to come
        return scale * errors[rank - 1], scale * errors[n - rank]
    middle = math.fsum(errors) / n
    spread = math.sqrt(math.fsum((error - middle) ** 2 for error in errors) / max(1, n - 1))
    reach = student_value(level, max(1, n - 1)) * spread * math.sqrt(1 + 1 / n)
    return scale * (middle - reach), scale * (middle + reach)


def _least(value: float, floor: float | None) -> float:
    return value if floor is None else max(floor, value)


def forecast(spending: Spending, *, steps: int, currency: str, price: str, first: date, last: date) -> Forecast:
    """Forecast the days after ``last`` from the lines by day of ``spending``, whole days from ``first`` to ``last``."""
    amounts = {line.id: _of(line.listed if price == "list" else line.said, currency) for line in spending.lines}
    count = (last - first).days + 1
    past = [amounts.get((first + timedelta(days=n)).isoformat(), Decimal(0)) for n in range(max(0, count))]
    lowest, highest = min(past, default=Decimal(0)), max(past, default=Decimal(0))
    values = [float(value) for value in past]
    if len(values) < 2 * SEASON:
        return Forecast(
            currency=currency, price=price, days=len(values), ahead=(), total=None, total_bands=(), lowest=lowest,
            highest=highest, refused=f"{2 * SEASON} whole days are needed, {len(values)} are here",
        )  # fmt: skip
    points = ahead(values, steps, floor=0.0)
    days = tuple(
        ForecastDay(day=(last + timedelta(days=n)).isoformat(), amount=_money(point.value), bands=point.bands)
        for n, point in enumerate(points, 1)
    )
    total = math.fsum(point.value for point in points)
    return Forecast(
        currency=currency, price=price, days=len(values), ahead=days, total=_money(total),
        total_bands=_total_bands(values, points, total), lowest=lowest, highest=highest,
    )  # fmt: skip


def _total_bands(values: Sequence[float], points: Sequence[Point], total: float) -> tuple[Band, ...]:
    """Return bands of the sum: from the sums of as many days in the past, where there are enough of them."""
    steps = len(points)
    sums = [math.fsum(values[start : start + steps]) for start in range(len(values) - steps + 1)]
    lag = -(-steps // SEASON) * SEASON
    errors = sorted(sums[place] - sums[place - lag] for place in range(lag, len(sums)))
    middle = math.fsum(errors) / len(errors) if errors else 0.0
    if len(errors) >= SEASON:
        centred = [error - middle for error in errors]
        reach = [_quantiles(centred, level, 1.0) for level in LEVELS]
    else:  # as wide as all days erring together: what cannot be excluded
        reach = [
            (
                sum(point.bands[n].low - point.value for point in points),
                sum(point.bands[n].high - point.value for point in points),
            )
            for n in range(len(LEVELS))
        ]
    return tuple(
        Band(level=level, low=max(0.0, total + low), high=max(0.0, total + high))
        for level, (low, high) in zip(LEVELS, reach, strict=True)
    )


def _of(found: Sequence[object], currency: str) -> Decimal:
    return next((item.amount for item in found if item.currency == currency), Decimal(0))  # type: ignore[attr-defined]


def _money(value: float) -> Decimal:
    return tidy(Decimal(repr(round(value, 6))))
