"""The days to come: bands that hold, and no forecast where there is too little."""

from __future__ import annotations

import math
import random
from datetime import date
from decimal import Decimal

import pytest

from difyops.cost.forecast import LEVELS, ahead, forecast
from tests.cost.conftest import DAY, NOON, Book, node


def week(rng: random.Random, days: int, noise: float = 0.1, growth: float = 0.0) -> list[float]:
    shape = (10, 11, 12, 11, 10, 3, 2)
    return [shape[day % 7] * (1 + growth * day) + rng.gauss(0, noise * 10) for day in range(days)]


def test_a_pattern_without_noise_is_met_exactly() -> None:
    values = [float(day % 7 + 1) for day in range(28)]
    points = ahead(values, 9)
    assert [point.value for point in points] == [1, 2, 3, 4, 5, 6, 7, 1, 2]
    assert all(
        band.low == pytest.approx(point.value) == pytest.approx(band.high) for point in points for band in point.bands
    )


def test_growth_between_weeks_goes_on() -> None:
    values = [day % 7 + 7.0 * (day // 7) for day in range(28)]
    assert [point.value for point in ahead(values, 8)] == pytest.approx([28, 29, 30, 31, 32, 33, 34, 35])


def test_bands_cover_what_they_say_on_series_that_were_not_fitted() -> None:
    rng = random.Random(4)
    hits, count = dict.fromkeys(LEVELS, 0), 0
    for _ in range(150):
        values = week(rng, 84 + 14, growth=rng.choice([0, 0.002]))
        for point, truth in zip(ahead(values[:84], 14), values[84:], strict=True):
            count += 1
            for band in point.bands:
                hits[band.level] += band.low <= truth <= band.high
    shares = {level: hits[level] / count for level in LEVELS}
    assert 0.93 <= shares[0.95] <= 0.97
    assert 0.76 <= shares[0.8] <= 0.85
    assert 0.45 <= shares[0.5] <= 0.56


def test_below_two_seasons_there_is_none() -> None:
    with pytest.raises(ValueError, match="two seasons"):
        ahead([1.0] * 13, 3)
    assert all(math.isfinite(band.high) for point in ahead([1.0, 2.0] * 7, 21) for band in point.bands)


def test_of_a_history(book: Book) -> None:
    for number in range(28):
        book.run("shop", node("draft", 1000, 0, str(1 + number % 7)), at=NOON - (28 - number) * DAY)
    found = book.cost(since=NOON - 40 * DAY, by="day")
    days = forecast(found, steps=7, currency="USD", price="dify", first=date(2026, 10, 13), last=date(2026, 11, 9))
    assert (days.days, days.refused) == (28, "")
    assert [int(item.amount) for item in days.ahead] == [1, 2, 3, 4, 5, 6, 7]
    assert days.total == 28
    assert days.ahead[0].day == "2026-11-10"
    few = forecast(found, steps=7, currency="USD", price="dify", first=date(2026, 11, 1), last=date(2026, 11, 9))
    assert "14 whole days are needed" in few.refused
    assert (few.lowest, few.highest, few.ahead) == (Decimal(1), Decimal(7), ())
