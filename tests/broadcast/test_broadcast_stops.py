"""Quorum, deadline, budget, Ctrl-C, limits, twins: what ends early, what is stopped, what is never exceeded."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.broadcast.calls import Calls
from difyops.broadcast.engine import AnswerEnded, Delta, Event, Started, broadcast, until_halted
from difyops.broadcast.plan import BroadcastPlan
from difyops.errors import OutOfBudget, UsageError
from difyops.fanout import Halt
from tests.broadcast.agents import AgentServer, ask, ends, options, plan_for, reach


def statuses(events: list[Event]) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in events:
        if isinstance(item, AnswerEnded):
            found[item.answer.status] = found.get(item.answer.status, 0) + 1
    return found


async def test_the_agents_answer_side_by_side_not_one_after_the_other() -> None:
    async with AgentServer(delay=0.3).listening() as server:
        events = await ask(server, plan_for(["good"] * 30))
    assert statuses(events) == {"answered": 30}
    assert server.most > 15


async def test_answers_come_as_they_end_and_each_starts_before_it_ends() -> None:
    async with AgentServer().listening() as server:
        events = await ask(server, plan_for(["later", "good"]))
    kinds = [type(item) for item in events]
    assert kinds[:2] == [Started, Started]
    assert Delta in kinds
    orders = [item.answer.order for item in events if isinstance(item, AnswerEnded)]
    assert orders == [1, 2]


async def test_a_quorum_stops_the_rest_on_the_server_and_keeps_what_came() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["slow", "good"]), options(wait=1)))
    assert found["good"].ok
    assert (found["slow"].status, found["slow"].error) == ("stopped", "quorum")
    assert found["slow"].text == "half an "
    assert server.stopped == ["task-app-slow-0"]


async def test_a_deadline_shorter_than_the_slowest_keeps_the_quick_ones() -> None:
    async with AgentServer().listening() as server:
        events = await ask(server, plan_for(["slow", "good", "slow"]), options(deadline=1.5))
    assert statuses(events) == {"answered": 1, "stopped": 2}
    assert sorted(server.stopped) == ["task-app-slow-0", "task-app-slow-2"]


async def test_what_never_began_is_skipped_not_stopped() -> None:
    async with AgentServer().listening() as server:
        events = await ask(server, plan_for(["slow"] * 5), options(deadline=0.5, max_in_flight=2))
    assert statuses(events) == {"stopped": 2, "skipped": 3}
    assert sum(server.runs.values()) == 2


async def test_a_budget_that_cannot_suffice_is_refused_before_any_call() -> None:
    async with AgentServer().listening() as server:
        with pytest.raises(OutOfBudget):
            await ask(server, plan_for(["good"] * 10, question="word " * 40), options(max_tokens=100))
    assert not server.runs
    assert not server.forms


async def test_a_budget_that_is_reached_stops_the_rest() -> None:
    async with AgentServer().listening() as server:
        events = await ask(server, plan_for(["good"] * 12), options(max_tokens=60, max_in_flight=1))
    assert statuses(events) == {"answered": 6, "skipped": 6}
    assert sum(server.runs.values()) == 6


async def test_more_answers_than_targets_cannot_be_waited_for() -> None:
    async with AgentServer().listening() as server:
        with pytest.raises(UsageError):
            await ask(server, plan_for(["good"]), options(wait=2))


async def test_an_interruption_at_any_time_ends_every_target_once() -> None:
    plan = plan_for(["good", "slow", "good", "hang", "slow"] * 3)
    for after in (0.0, 0.02, 0.06, 0.15):
        async with AgentServer().listening() as server, reach(server.url) as reaches:
            halt, events = Halt(), list[Event]()

            async def read(halt: Halt = halt, events: list[Event] = events, reaches: dict = reaches) -> list[Event]:
                async with aclosing(broadcast(plan, reaches, options(max_in_flight=7), halt=halt)) as coming:
                    async for item in coming:
                        events.append(item)
                return events

            task = asyncio.create_task(until_halted(read(), halt.now))
            await asyncio.sleep(after)
            task.cancel()
            found = [item for item in await task if isinstance(item, AnswerEnded)]
        assert sorted(item.target.id for item in found) == sorted(target.id for target in plan.targets)


async def test_a_reader_that_goes_away_leaves_no_generation_behind() -> None:
    async with AgentServer().listening() as server, reach(server.url) as reaches:
        async with aclosing(broadcast(plan_for(["slow", "slow"]), reaches, options())) as events:
            async for item in events:
                if isinstance(item, Delta):
                    break
        assert "task-app-slow-0" in server.stopped


@pytest.mark.parametrize("most", [1, 3, 16])
async def test_the_limit_in_flight_is_never_exceeded_whatever_breaks(most: int) -> None:
    kinds = ["good", "reset", "half", "later", "busy", "good"] * 8
    async with AgentServer(delay=0.02).listening() as server:
        await ask(server, plan_for(kinds, repeatable=True), options(max_in_flight=most, hedge_after=0.01))
        assert 0 < server.most <= most


async def test_a_run_that_was_given_up_keeps_its_slot_until_the_server_was_told() -> None:
    async with AgentServer().listening() as server:
        events = await ask(server, plan_for(["slow", "silent", "good", "good"]), options(max_in_flight=1, timeout=0.3))
    assert statuses(events) == {"failed": 2, "answered": 2}
    assert server.most == 1


async def test_a_repeatable_straggler_gets_a_twin_and_is_stopped() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["once"], repeatable=True), options(hedge_after=0.2)))
    assert found["once"].ok
    assert found["once"].hedged
    assert server.stopped == ["task-app-once-0"]


async def test_an_agent_that_is_not_repeatable_never_gets_a_twin() -> None:
    async with AgentServer().listening() as server:
        found = ends(await ask(server, plan_for(["once"]), options(hedge_after=0.1, timeout=0.5)))
    assert not found["once"].ok
    assert server.runs["app-once-0"] == 1


async def test_at_most_five_per_cent_of_the_calls_get_a_twin() -> None:
    async with AgentServer(delay=0.3).listening() as server:
        events = await ask(server, plan_for(["good"] * 60, repeatable=True), options(hedge_after=0.05))
    assert statuses(events) == {"answered": 60}
    assert sum(server.runs.values()) <= 63


async def test_one_app_asked_twice_is_looked_up_once_and_answers_twice() -> None:
    one = plan_for(["good"]).targets[0]
    twice = BroadcastPlan(question="?", targets=(one, type(one)(id=one.id + "#2", context=one.context, app=one.app)))
    async with AgentServer().listening() as server:
        events = await ask(server, twice)
    assert statuses(events) == {"answered": 2}
    assert server.forms["app-good-0"] == 1


@pytest.mark.slow
async def test_a_thousand_targets_all_end() -> None:
    async with AgentServer(delay=0.1).listening() as server:
        events = await ask(server, plan_for(["good"] * 1000), options(timeout=60, max_in_flight=300))
        assert server.most <= 300
    assert statuses(events) == {"answered": 1000}


@settings(max_examples=15, deadline=None)
@given(
    kinds=st.lists(
        st.sampled_from(["good", "busy", "reset", "slow", "early", "keyless", "later"]), max_size=12, min_size=1
    ),
    most=st.integers(1, 12),
    wait=st.none() | st.integers(1, 3),
    ends_at=st.sampled_from([0.05, 0.3]),
)
def test_every_target_ends_exactly_once(kinds: list[str], most: int, wait: int | None, ends_at: float) -> None:
    async def run() -> None:
        async with AgentServer(delay=0.01).listening() as server:
            plan = plan_for(kinds)
            wanted = None if wait is None else min(wait, len(kinds))
            events = await ask(server, plan, options(max_in_flight=most, wait=wanted, deadline=ends_at))
            found = [item.target.id for item in events if isinstance(item, AnswerEnded)]
            assert sorted(found) == sorted(target.id for target in plan.targets)
            assert server.most <= most

    asyncio.run(run())


async def test_what_goes_wrong_at_the_end_is_raised_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Calls, "all_gone", fails)
    async with AgentServer().listening() as server:
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await ask(server, plan_for(["good"]))
