"""Many calls side by side, seen from outside: bounded, every item ends once, one failure stops nobody."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.errors import DifyopsError, RateLimited, ServerFault, TimedOut
from difyops.fanout import Done, Failed, FanoutOptions, SkippedItem, fan_out


@dataclass
class Gauge:
    now: int = 0
    most: int = 0

    async def __aenter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    async def __aexit__(self, *_: object) -> None:
        self.now -= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 1000))
async def test_every_item_gets_exactly_one_result_and_the_limit_holds(count: int, limit: int, seed: int) -> None:
    gauge, chance = Gauge(), random.Random(seed)

    async def work(number: int) -> int:
        async with gauge:
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
            if chance.random() < 0.3:
                raise chance.choice((RateLimited("slow down"), DifyopsError("no"), ServerFault("x", retryable=True)))
            return number * 2

    results = [item async for item in fan_out(range(count), work, FanoutOptions(limit=limit))]
    assert sorted(item.item for item in results) == list(range(count))
    assert all(item.value == item.item * 2 for item in results if isinstance(item, Done))
    assert gauge.most <= limit
    assert gauge.now == 0


async def test_results_come_as_they_are_there() -> None:
    async def work(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    found = [item.item async for item in fan_out([0.2, 0.0, 0.1], work, FanoutOptions(limit=3))]
    assert found == [0.0, 0.1, 0.2]


async def test_one_that_takes_too_long_fails_alone() -> None:
    async def work(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    results = [item async for item in fan_out([0.0, 30.0, 0.0], work, FanoutOptions(limit=2, timeout=0.1))]
    (late,) = [item for item in results if isinstance(item, Failed)]
    assert (late.item, type(late.error)) == (30.0, TimedOut)


async def test_at_the_deadline_what_is_done_is_kept_and_the_rest_is_named() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0 if number < 3 else 30)
        return number

    results = [item async for item in fan_out(range(10), work, FanoutOptions(limit=2, deadline=0.2))]
    assert sorted(item.item for item in results) == list(range(10))
    assert {item.item for item in results if isinstance(item, Done)} == {0, 1, 2}
    assert all("deadline" in item.reason for item in results if isinstance(item, SkippedItem))


async def test_leaving_early_cancels_what_runs() -> None:
    gauge = Gauge()

    async def work(number: int) -> int:
        async with gauge:
            await asyncio.sleep(0 if number == 0 else 30)
            return number

    results = fan_out(range(9), work, FanoutOptions(limit=4))
    async for _ in results:
        break
    await results.aclose()  # type: ignore[attr-defined]
    assert gauge.now == 0


async def test_a_bug_is_raised_and_not_hidden_among_failures() -> None:
    async def work(number: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _ = [item async for item in fan_out(range(3), work)]


async def test_a_server_that_asks_for_less_gets_less() -> None:
    gauge = Gauge()
    late: list[int] = []

    async def work(number: int) -> int:
        async with gauge:
            await asyncio.sleep(0.002)
            if number > 60:
                late.append(gauge.now)
            raise RateLimited("slow down")

    _ = [item async for item in fan_out(range(90), work, FanoutOptions(limit=16))]
    assert gauge.most == 16
    assert max(late) <= 2
