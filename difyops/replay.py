"""The same inputs through two versions of an app, in pairs: what differs then is the version, not the question.

Which of the two is asked first changes from pair to pair, so that a cache or a tired provider favours neither. How an
app is asked is the caller's ``Ask``; nothing here knows of servers. An input is never sent twice to one side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from difyops.clock import Clock
from difyops.errors import DifyopsError
from difyops.fanout import Done, Failed, FanoutOptions, Halt, SkippedItem, fan_out

Side = Literal["old", "new"]
COMPLETE, DEADLINE, BUDGET, STOPPED = "complete", "deadline", "budget", "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedInput:
    """One input: where it is from (``id``: a run, a line of a file), the inputs by name, the query of a chat."""

    id: str
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayTold:
    """What asking once came to. ``outcome``: one of the classes of ``history.failures``; ``text``: the answer, and
    ``outputs`` those of a workflow.
    """

    outcome: str
    seconds: float
    tokens: int | None = None
    price: Decimal | None = None
    currency: str | None = None
    error: str = ""
    text: str = field(default="", repr=False)
    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPair:
    """One input and what both sides made of it."""

    recorded: RecordedInput
    old: ReplayTold
    new: ReplayTold


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayLimits:
    """``at_once``: pairs side by side. ``deadline``: seconds. ``tokens``, ``price``: most that both sides may use."""

    at_once: int = 2
    deadline: float | None = None
    tokens: int | None = None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The pairs in the order in which they ended, why it ended, and what both sides used together."""

    pairs: tuple[ReplayPair, ...]
    ended: str
    tokens: int = 0
    price: Decimal = Decimal(0)


Ask = Callable[[Side, RecordedInput], Awaitable[ReplayTold]]
Enough = Callable[[ReplayPair], bool]


@dataclass(slots=True)
class _Spent:
    limits: ReplayLimits
    tokens: int = 0
    price: Decimal = Decimal(0)

    def add(self, told: ReplayTold) -> None:
        self.tokens += told.tokens or 0
        self.price += told.price or Decimal(0)

    @property
    def is_over(self) -> bool:
        by_tokens = self.limits.tokens is not None and self.tokens >= self.limits.tokens
        return by_tokens or (self.limits.price is not None and self.price >= self.limits.price)


async def replay(
    recorded: Sequence[RecordedInput],
    ask: Ask,
    *,
    limits: ReplayLimits | None = None,
    enough: Enough = lambda pair: False,
    clock: Clock | None = None,
) -> Replayed:
    """Ask both sides each input, until ``enough`` says so, the budget is used or the time is over.

    ``enough`` sees every pair as it ends. What is under way at the end is cancelled and not counted.

    Raises:
        DifyopsError: ``ask`` raised; what an app answers badly is told, not raised.
    """
    limits, halt = limits or ReplayLimits(), Halt()
    spent = _Spent(limits)

    async def both(item: tuple[int, RecordedInput]) -> ReplayPair:
        number, what = item
        order: tuple[Side, Side] = ("old", "new") if number % 2 == 0 else ("new", "old")
        told: dict[Side, ReplayTold] = {}
        for side in order:
            told[side] = await ask(side, what)
            spent.add(told[side])
        return ReplayPair(recorded=what, old=told["old"], new=told["new"])

    pairs: list[ReplayPair] = []
    failed: list[DifyopsError] = []
    options = FanoutOptions(limit=limits.at_once, deadline=limits.deadline, adaptive=False)
    async for result in fan_out(enumerate(recorded), both, options, clock=clock, halt=halt):
        match result:
            case Done(value=pair):
                pairs.append(pair)
                if halt.reason is None and enough(pair):
                    halt.now(STOPPED)
                elif spent.is_over and len(pairs) < len(recorded):
                    halt.now(BUDGET)
            case Failed(error=error):
                failed.append(error)
                halt.now("error")
            case SkippedItem():
                pass
    if failed:
        raise failed[0]
    ended = halt.reason or COMPLETE
    return Replayed(pairs=tuple(pairs), ended=ended, tokens=spent.tokens, price=spent.price)
