"""The fan-out below the broadcast: limits per group and in all, growth and shrinking, halting."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.errors import DifyopsError, RateLimited
from difyops.fanout import Done, Failed, FanoutLimits, Halt, Limiter, SkippedItem, fan_out
from tests.waiting import passed


class Floor:
    """Counts what is at work, per group and in all."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_in_all = 0

    async def work(self, item: str) -> str:
        group = item[0]
        self.now[group] += 1
        self.most[group] = max(self.most[group], self.now[group])
        self.most_in_all = max(self.most_in_all, self.now.total())
        await asyncio.sleep(0.001)
        self.now[group] -= 1
        return item


@settings(max_examples=40, deadline=None)
@given(
    items=st.lists(st.sampled_from(["a", "b", "c"]), max_size=40),
    most=st.integers(1, 8),
    start=st.none() | st.integers(1, 8),
)
def test_every_item_ends_once_and_no_limit_is_exceeded(items: list[str], most: int, start: int | None) -> None:
    async def run() -> None:
        floor = Floor()
        limits = FanoutLimits(most=most, start=start, adaptive=False)
        found = [result async for result in fan_out(items, floor.work, limits=limits, group_of=lambda item: item[0])]
        assert sorted(result.item for result in found) == sorted(items)
        assert floor.most_in_all <= most
        assert all(count <= min(most, start or most) for count in floor.most.values())
        assert limits.total == 0

    asyncio.run(run())


async def test_a_large_group_does_not_keep_a_small_one_waiting() -> None:
    items = [f"a{number}" for number in range(50)] + ["b0"]
    order = [
        result.item
        async for result in fan_out(items, Floor().work, limits=FanoutLimits(most=4), group_of=lambda i: i[0])
    ]
    assert order.index("b0") < 10


def test_a_limit_begins_small_grows_with_success_and_shrinks_when_told() -> None:
    limiter = Limiter(most=100, start=4)
    assert not limiter.allows(4)
    for _ in range(4):
        limiter.record(None, 4)
    assert limiter.allows(7)
    limiter.record(RateLimited("later"), 8)
    assert not limiter.allows(8)
    for _ in range(500):
        limiter.shrink()
    assert limiter.allows(0)
    assert not limiter.allows(1)


async def test_a_halt_keeps_what_came_and_skips_the_rest() -> None:
    halt = Halt()

    async def work(item: int) -> int:
        if item == 1:
            await asyncio.sleep(10)
        return item

    found = []
    async for result in fan_out(range(6), work, limits=FanoutLimits(most=2, adaptive=False), halt=halt):
        found.append(result)
        if len(found) == 2:
            halt.now("enough")
            halt.now("later reasons do not count")
    ends = {result.item: result for result in found}
    assert sorted(ends) == list(range(6))
    stopped = ends[1]
    assert isinstance(stopped, SkippedItem)
    assert (stopped.reason, stopped.begun) == ("enough", True)
    assert any(isinstance(item, SkippedItem) and not item.begun for item in found)
    assert any(isinstance(item, Done) for item in found)


async def test_a_slot_that_is_held_from_outside_is_not_given_to_others() -> None:
    limits = FanoutLimits(most=1)
    limits.take("")
    results = fan_out(["a"], Floor().work, limits=limits)
    first = asyncio.ensure_future(anext(results.__aiter__()))
    await passed(0.05)
    assert not first.done()
    limits.give("")
    assert isinstance(await first, Done)
    await results.aclose()  # type: ignore[attr-defined]


async def test_failures_are_results_and_bugs_are_raised() -> None:
    async def work(item: int) -> int:
        if item == 1:
            raise DifyopsError("as may happen")
        raise KeyError("a bug")

    assert [type(item) async for item in fan_out([1], work)] == [Failed]
    with pytest.raises(KeyError):
        [item async for item in fan_out([2], work)]
