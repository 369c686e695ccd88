"""Moments have one spelling, and the platform's seconds become moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from difyops.clock import SystemClock, from_unix, iso

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9000, 1, 1), timezones=zones)


@given(moments)
def test_a_moment_has_one_spelling_in_utc_that_reads_back(moment: datetime) -> None:
    text = iso(moment)
    assert text.endswith("Z")
    assert len(text) == 20
    assert datetime.fromisoformat(text) == moment.astimezone(UTC).replace(microsecond=0)


@given(st.lists(moments, min_size=2, max_size=2))
def test_spellings_sort_as_the_moments_do(pair: list[datetime]) -> None:
    first, second = sorted(pair)
    assert iso(first) <= iso(second)


def test_seconds_of_the_platform_are_utc_and_nothing_stays_nothing() -> None:
    assert from_unix(None) is None
    assert from_unix(0) == datetime(1970, 1, 1, tzinfo=UTC)


async def test_the_real_clock_goes_on_and_sleeps() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.02)
    await clock.sleep(-5)
    assert clock.monotonic() - before >= 0.015
    assert clock.now().tzinfo is UTC
