"""The engine and actions: who agreed, what is cut off, what is undone, who is kept out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difyops.errors import DifyopsError, LockHeld, Refused
from difyops.runbook.history import run as past
from difyops.runbook.history import runs
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Pass, Planned, Result, Undo
from difyops.runbook.undoing import undoing
from tests.runbook.runbook_tools import book, carried, consent, does, from_text, resources_at, results, says, step
from tests.waiting import until


async def test_actions_run_only_with_act_and_only_when_agreed_to(tmp_path: Path) -> None:
    log: list[str] = []
    steps = [step("a", does(log, "a"), kind="action"), step("b", says("pass"), needs=("a",))]
    async with resources_at(tmp_path) as resources:
        quiet = await carried(book(*steps), resources)
        dry = await carried(book(*steps), resources, allow=consent(act=True, dry_run=True))

        def no(question: str, changes: str) -> None:
            from difyops.errors import NeedsConfirmation

            assert "do a" in question
            raise NeedsConfirmation("no", hint="Add --yes.")

        refused = await carried(book(*steps), resources, allow=consent(act=True, agree=no))
        assert log == []
        agreed = await carried(book(*steps), resources, allow=consent(act=True))
    assert results(quiet) == {"a": "skipped", "b": "skipped"}
    assert quiet.error is None
    assert "dry run: do a" in dry.steps[0].text
    assert refused.error is not None
    assert refused.error.exit_code == 8
    assert results(agreed) == {"a": "pass", "b": "pass"}
    assert log == ["a"]


async def test_an_approval_is_not_answered_by_a_yes_for_everything(tmp_path: Path) -> None:
    log: list[str] = []
    steps = [
        step("ask", does(log, "ask", approval=True), kind="action"),
        step("act", does(log, "act"), kind="action", needs=("ask",)),
    ]
    async with resources_at(tmp_path) as resources:
        refused = await carried(book(*steps), resources, allow=consent(act=True))
        approved = await carried(book(*steps), resources, allow=consent(act=True, approved=frozenset({"ask"})))
    assert results(refused) == {"ask": "skipped", "act": "skipped"}
    assert refused.error is not None
    assert refused.error.exit_code == 8
    assert results(approved) == {"ask": "pass", "act": "pass"}


async def test_no_condition_gets_round_an_approval_that_was_not_given(tmp_path: Path) -> None:
    made = from_text(
        "runbook: trial\ntitle: T\nwhy: W\nsteps:\n"
        "  - {id: look, check: tcp, with: {host: 127.0.0.1, port: 1}}\n"
        "  - {id: decide, action: approve, with: {question: 'Really?'}}\n"
        "  - {id: go, action: wait, needs: [decide], when: steps.look.status == 'fail', with: {seconds: 0.01}}\n"
    )
    async with resources_at(tmp_path) as resources:
        refused = await carried(made, resources, allow=consent(act=True))
        approved = await carried(made, resources, allow=consent(act=True, approved=frozenset({"decide"})))
    assert results(refused) == {"look": "fail", "decide": "skipped", "go": "skipped"}
    assert refused.steps[1].hint == "--approve decide"
    assert results(approved) == {"look": "fail", "decide": "pass", "go": "pass"}


async def test_an_action_that_fails_half_way_says_so_and_offers_its_undo(tmp_path: Path) -> None:
    log: list[str] = []
    error = DifyopsError("The second of two writes was refused.")
    undo = Undo(action="app.enable_api", parameters={"app": "bot"})
    async with resources_at(tmp_path) as resources:
        record = await carried(
            book(step("a", does(log, "a", error=error, undo=undo), kind="action")), resources, allow=consent(act=True)
        )
        assert resources.ledger is not None
        kept = past(resources.ledger, resources.config.state, "latest")
    assert record.steps[0].result == "fail"
    assert "second of two writes" in record.steps[0].text
    assert record.steps[0].undo == "app.enable_api (app=bot)"
    assert kept.steps[0].undo_step == {"action": "app.enable_api", "with": {"app": "bot"}}
    assert undoing(kept).steps[0].tool.name == "app.enable_api"


async def test_an_action_that_is_cut_off_by_the_deadline_is_a_failure_of_unknown_state(tmp_path: Path) -> None:
    async def plan(resources: Resources) -> Planned:
        async def apply() -> Acted:
            await asyncio.sleep(600)
            return Acted(text="done")

        return Planned(text="write it", apply=apply, undo=Undo(command="put it back"))

    async with resources_at(tmp_path) as resources:
        record = await carried(book(step("a", plan, kind="action")), resources, allow=consent(act=True), deadline=0.2)
    assert record.steps[0].result == "fail"
    assert "unknown" in record.steps[0].text
    assert record.steps[0].undo == "put it back"


WAITS = "runbook: trial\ntitle: T\nwhy: W\nsteps:\n  - {id: w, action: wait, timeout: 700s, with: {seconds: 600}}\n"


async def test_a_wait_that_is_cut_off_changed_nothing_and_is_inconclusive(tmp_path: Path) -> None:
    made = from_text(WAITS)
    short = replace(made, steps=(replace(made.steps[0], timeout=0.05),))
    async with resources_at(tmp_path) as resources:
        late = await carried(made, resources, allow=consent(act=True), deadline=0.2)
        timed = await carried(short, resources, allow=consent(act=True))
        task = asyncio.create_task(carried(made, resources, allow=consent(act=True)))
        ledger = resources.ledger
        assert ledger is not None
        await until(lambda: len(runs(ledger, resources.config.state)) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (stopped,) = [item for item in runs(ledger, resources.config.state) if item.id not in (late.id, timed.id)]
    assert [results(item) for item in (late, timed, stopped)] == [{"w": "inconclusive"}] * 3
    assert late.error is not None
    assert late.error.exit_code == 3
    assert "nothing was changed" in timed.steps[0].text


def waits_for(over: asyncio.Event) -> Any:
    async def check(resources: Resources) -> Result:
        await over.wait()
        return Pass(text="over")

    return check


async def test_two_acting_runs_of_one_runbook_exclude_each_other(tmp_path: Path) -> None:
    log: list[str] = []
    over = asyncio.Event()
    slow = book(step("a", does(log, "a"), kind="action"), step("wait", waits_for(over)))
    async with resources_at(tmp_path) as resources:
        first = asyncio.create_task(carried(slow, resources, allow=consent(act=True)))
        await until(lambda: log)
        with pytest.raises(LockHeld):
            await carried(slow, resources, allow=consent(act=True))
        over.set()
        looking = await carried(slow, resources)
        assert (await first).verdict == "pass"
    assert looking.verdict == "pass"
    assert log == ["a"]


async def test_a_run_that_is_going_on_is_not_undone_meanwhile(tmp_path: Path) -> None:
    log: list[str] = []
    undo = Undo(action="app.enable_api", parameters={"app": "bot"})
    over = asyncio.Event()
    slow = book(step("a", does(log, "a", undo=undo), kind="action"), step("s", waits_for(over)))
    async with resources_at(tmp_path) as resources:
        assert resources.ledger is not None
        task = asyncio.create_task(carried(slow, resources, allow=consent(act=True)))
        await until(lambda: log)
        with pytest.raises(Refused, match="still going on"):
            undoing(past(resources.ledger, resources.config.state, "latest"))
        over.set()
        await task
        assert undoing(past(resources.ledger, resources.config.state, "latest")).steps
