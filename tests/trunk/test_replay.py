"""Recorded inputs through two versions: paired, bounded, ended for a reason."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from difyops.errors import Forbidden
from difyops.replay import RecordedInput, ReplayLimits, ReplayTold, Side, replay

INPUTS = [RecordedInput(id=str(number), inputs={"n": number}) for number in range(20)]


class Apps:
    """Two versions that count how they are asked."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.asked: list[tuple[Side, str]] = []
        self.running = self.most = 0
        self.seconds = seconds

    async def ask(self, side: Side, recorded: RecordedInput) -> ReplayTold:
        self.asked.append((side, recorded.id))
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        return ReplayTold(outcome="good", seconds=0.1, tokens=10, price=Decimal("0.01"), currency="USD")


async def test_each_side_is_asked_each_input_once_and_both_go_first_as_often() -> None:
    apps = Apps()
    found = await replay(INPUTS, apps.ask, limits=ReplayLimits(at_once=3))
    assert found.ended == "complete"
    assert sorted(apps.asked) == sorted((side, item.id) for side in ("old", "new") for item in INPUTS)
    first = {item: side for side, item in reversed(apps.asked)}
    assert Counter(first.values()) == {"old": 10, "new": 10}
    assert apps.most <= 3
    assert (found.tokens, found.price) == (400, Decimal("0.40"))


async def test_it_ends_when_enough_is_known() -> None:
    apps = Apps()
    found = await replay(INPUTS, apps.ask, limits=ReplayLimits(at_once=1), enough=lambda pair: pair.recorded.id == "3")
    assert (len(found.pairs), found.ended) == (4, "stopped")
    assert len(apps.asked) <= 10


@pytest.mark.parametrize("limits", [ReplayLimits(tokens=100, at_once=1), ReplayLimits(price=Decimal("0.1"), at_once=1)])
async def test_it_ends_when_the_budget_is_used(limits: ReplayLimits) -> None:
    found = await replay(INPUTS, Apps().ask, limits=limits)
    assert found.ended == "budget"
    assert 5 <= len(found.pairs) <= 6


async def test_it_ends_when_the_time_is_over() -> None:
    apps = Apps(seconds=30.0)
    found = await replay(INPUTS, apps.ask, limits=ReplayLimits(deadline=0.05))
    assert (found.pairs, found.ended) == ((), "deadline")


async def test_what_cannot_be_asked_is_raised() -> None:
    async def ask(side: Side, recorded: RecordedInput) -> ReplayTold:
        raise Forbidden("The API is off.")

    with pytest.raises(Forbidden):
        await replay(INPUTS, ask)
