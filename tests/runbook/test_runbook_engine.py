"""The engine: order, conditions, rules, deadlines, actions and their consent, and a law about all graphs of steps."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from difyops.errors import StoreError, UsageError
from difyops.ledger.file import LedgerFile
from difyops.runbook.expression import read
from difyops.runbook.history import runs
from difyops.runbook.model import Input, Step, VerdictRule
from difyops.runbook.resources import Resources
from difyops.runbook.result import Pass, Result, Skipped
from tests.runbook.runbook_tools import KINDS, book, carried, consent, from_text, resources_at, results, says, step
from tests.waiting import until


async def test_steps_without_ties_run_side_by_side(tmp_path: Path) -> None:
    together = asyncio.Barrier(16)

    async def meet(resources: Resources) -> Result:
        await together.wait()  # none goes on before all have begun
        return Pass(text="there")

    steps = [step(f"s{n}", meet) for n in range(16)]
    async with resources_at(tmp_path) as resources:
        record = await carried(book(*steps), resources)
    assert record.verdict == "pass"


async def test_a_step_runs_only_when_what_it_needs_passed(tmp_path: Path) -> None:
    async with resources_at(tmp_path) as resources:
        record = await carried(
            book(
                step("good", says("warn")),
                step("bad", says("fail")),
                step("after_good", says("pass"), needs=("good",)),
                step("after_bad", says("pass"), needs=("good", "bad")),
                step("after_that", says("pass"), needs=("after_bad",)),
                step("because", says("pass"), when=read('steps.bad.status == "fail" and steps.bad.values.n == 1')),
                step("not_because", says("pass"), when=read('steps.good.status == "fail"')),
                step("both", says("pass"), needs=("good",), when=read('steps.bad.status == "fail"')),
                step("one_of_two", says("pass"), needs=("bad",), when=read('steps.bad.status == "fail"')),
            ),
            resources,
        )
    assert results(record) == {
        "good": "warn", "bad": "fail", "after_good": "pass", "after_bad": "skipped", "after_that": "skipped",
        "because": "pass", "not_because": "skipped", "both": "pass", "one_of_two": "skipped",
    }  # fmt: skip
    assert record.verdict == "fail"


@pytest.mark.parametrize(
    ("rule", "said", "expected", "tries"),
    [
        (VerdictRule(), ["fail"], "fail", 1),
        (VerdictRule(bad=2, of=3), ["fail", "pass", "fail"], "fail", 3),
        (VerdictRule(bad=2, of=3), ["fail", "fail", "pass"], "fail", 2),
        (VerdictRule(bad=2, of=3), ["pass", "pass", "fail"], "pass", 2),
        (VerdictRule(bad=2, of=3), ["fail", "pass", "pass"], "warn", 3),
        (VerdictRule(bad=2, of=3), ["fail", "inconclusive", "pass"], "inconclusive", 3),
        (VerdictRule(bad=2, of=3), ["fail", "inconclusive", "inconclusive"], "inconclusive", 3),
        (VerdictRule(bad=3, of=4), ["fail", "pass", "pass"], "warn", 3),
        (VerdictRule(bad=2, of=2, in_a_row=True), ["fail", "inconclusive"], "inconclusive", 2),
        (VerdictRule(bad=3, of=3, in_a_row=True), ["fail", "pass", "fail"], "warn", 2),
        (VerdictRule(bad=3, of=3, in_a_row=True), ["fail", "fail", "fail"], "fail", 3),
        (VerdictRule(bad=2, of=2, in_a_row=True), ["inconclusive", "fail"], "inconclusive", 1),
    ],
)
async def test_a_failure_counts_by_its_rule(
    tmp_path: Path, rule: VerdictRule, said: list[str], expected: str, tries: int
) -> None:
    async with resources_at(tmp_path) as resources:
        record = await carried(book(step("s", says(*said), rule=rule, every=0.001)), resources)
    assert results(record) == {"s": expected}
    assert record.steps[0].tries == tries


async def test_only_what_is_inconclusive_is_tried_again(tmp_path: Path) -> None:
    async with resources_at(tmp_path) as resources:
        record = await carried(
            book(
                step("shaky", says("inconclusive", "inconclusive", "pass"), retries=2, every=0.001),
                step("bad", says("fail", "pass"), retries=5, every=0.001),
                step("hopeless", says("inconclusive"), retries=2, every=0.001),
            ),
            resources,
        )
    assert results(record) == {"shaky": "pass", "bad": "fail", "hopeless": "inconclusive"}
    assert [item.tries for item in record.steps] == [3, 1, 3]


async def test_a_failure_that_must_last_over_runs_is_a_warning_until_it_did(tmp_path: Path) -> None:
    words = []
    for said in ("fail", "fail", "fail", "pass", "fail"):
        async with resources_at(tmp_path) as resources:
            record = await carried(book(step("s", says(said), across_runs=3)), resources)
        words.append(record.steps[0].result)
    assert words == ["warn", "warn", "fail", "pass", "warn"]


async def test_failures_of_runs_with_other_inputs_do_not_add_up(tmp_path: Path) -> None:
    inputs = {"app": Input(name="app", default="a"), "many": Input(name="many", kind="list", default=["x"])}
    made = book(step("s", says("fail"), across_runs=2), inputs=inputs)
    words = []
    async with resources_at(tmp_path) as resources:
        for app in ("a", "b", "a", "b"):
            words.append((await carried(made, resources, inputs={"app": app})).steps[0].result)
    assert words == ["warn", "warn", "fail", "fail"]


async def test_a_step_that_takes_too_long_and_one_that_is_broken_are_inconclusive(tmp_path: Path) -> None:
    async def broken(resources: Resources) -> Result:
        raise ZeroDivisionError("oops")

    async def refused(resources: Resources) -> Result:
        raise StoreError("The disk is gone.")

    async with resources_at(tmp_path) as resources:
        record = await carried(
            book(
                step("slow", says("pass", seconds=600), timeout=0.05),
                step("broken", broken),
                step("refused", refused),
                step("fine", says("pass")),
            ),
            resources,
        )
    assert results(record) == {
        "slow": "inconclusive",
        "broken": "inconclusive",
        "refused": "inconclusive",
        "fine": "pass",
    }
    assert "ZeroDivisionError" in record.steps[1].text
    assert record.error is not None
    assert record.error.exit_code == 3


async def test_severity_warn_makes_failures_warnings(tmp_path: Path) -> None:
    async with resources_at(tmp_path) as resources:
        record = await carried(book(step("s", says("fail"), severity="warn")), resources)
    assert record.verdict == "warn"
    assert record.error is None


async def test_at_the_deadline_what_was_not_measured_is_inconclusive(tmp_path: Path) -> None:
    steps = [
        step("fast", says("pass")),
        step("slow", says("pass", seconds=600)),
        step("later", says("pass"), needs=("slow",)),
    ]
    async with resources_at(tmp_path) as resources:
        record = await carried(book(*steps, deadline=60.0), resources, deadline=1.0)
    assert results(record) == {"fast": "pass", "slow": "inconclusive", "later": "inconclusive"}
    assert "deadline" in record.steps[1].text
    assert "before it began" in record.steps[2].text


async def test_inputs_are_read_as_their_types_and_missing_or_unknown_ones_refused(tmp_path: Path) -> None:
    inputs = {"n": Input(name="n", kind="whole number"), "t": Input(name="t", default="x")}
    made = book(step("s", says("pass")), inputs=inputs)
    async with resources_at(tmp_path) as resources:
        record = await carried(made, resources, inputs={"n": 3})
        assert record.inputs == {"n": 3, "t": "x"}
        for given_inputs, words in (
            ({}, "needs the input 'n'"),
            ({"n": "three"}, "whole number"),
            ({"n": 1, "z": 1}, "no input"),
            ({"n": 1, "t": f"the key is sk-{'canary0' * 4}"}, "looks like a secret"),
        ):
            with pytest.raises(UsageError, match=words):
                await carried(made, resources, inputs=given_inputs)


async def test_values_of_one_step_reach_the_parameters_of_another(tmp_path: Path) -> None:
    text = (
        "runbook: trial\ntitle: T\nwhy: W\ninputs: {share: {type: number, default: 0}}\nsteps:\n"
        "  - {id: first, check: disk, with: {path: /, min_free_percent: '${inputs.share}'}}\n"
        "  - {id: second, check: command, with: {"
        "argv: [echo, 'free ${steps.first.values.free_percent} of ${run.runbook}'], expect: 'of trial'}}\n"
        "  - {id: third, check: disk, with: {path: '${steps.second.values.nothing}'}}\n"
    )
    async with resources_at(tmp_path) as resources:
        record = await carried(from_text(text), resources)
    assert results(record) == {"first": "pass", "second": "pass", "third": "pass"}


async def test_an_interrupted_run_is_on_record_as_such(tmp_path: Path) -> None:
    seen: list[object] = []
    async with resources_at(tmp_path) as resources:
        task = asyncio.create_task(
            carried(
                book(step("fast", says("pass")), step("slow", says("pass", seconds=600))), resources, watch=seen.append
            )
        )
        await until(lambda: seen)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert resources.ledger is not None
        (kept,) = runs(resources.ledger, resources.config.state)
    assert kept.state == "interrupted"
    assert results(kept) == {"fast": "pass", "slow": "inconclusive"}


async def test_a_dry_run_leaves_nothing_behind(tmp_path: Path) -> None:
    async with resources_at(tmp_path, ledger=False, dry_run=True) as resources:
        record = await carried(book(step("s", says("pass"))), resources, allow=consent(act=True, dry_run=True))
    assert record.verdict == "pass"
    assert not (tmp_path / "state").exists()


async def test_a_disk_that_fills_up_meanwhile_does_not_take_the_verdict_away(tmp_path: Path) -> None:
    async def fills_up(resources: Resources) -> Result:
        assert resources.ledger is not None
        connection = cast(LedgerFile, resources.ledger._database).connection
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
        return Pass(text="full now", excerpt="x" * 600)

    steps = [step("full", fills_up), *(step(f"s{n}", says("fail"), needs=("full",)) for n in range(40))]
    async with resources_at(tmp_path) as resources:
        record = await carried(book(*steps), resources)
    assert record.verdict == "fail"
    assert record.warnings
    assert "No room left" in record.warnings[0]


async def test_a_runbook_that_others_can_write_gets_no_secret_from_a_program(tmp_path: Path) -> None:
    text = (
        "runbook: trial\ntitle: T\nwhy: W\nsteps:\n"
        "  - {id: a, check: http, with: {url: 'http://127.0.0.1:9/', bearer: 'cmd:echo canary'}}\n"
    )
    async with resources_at(tmp_path, trusts_commands=False) as resources:
        record = await carried(from_text(text), resources)
    assert record.steps[0].result == "inconclusive"
    assert "cmd:" in record.steps[0].text


async def test_the_dead_mans_switch_is_pinged_at_start_and_end_and_a_missing_one_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.faults import answer, serving

    with serving(answer(200, {})) as served:
        monkeypatch.setenv("PING", f"{served.url}/canary-ping-id")
        async with resources_at(tmp_path) as resources:
            good = await carried(book(step("s", says("pass")), ping="env:PING"), resources)
            await carried(book(step("s", says("fail")), ping="env:PING"), resources)
            partly = book(step("s", says("pass")), step("t", says("inconclusive")), ping="env:PING")
            await carried(partly, resources)
            await carried(book(step("t", says("inconclusive")), ping="env:PING"), resources)
            missing = await carried(book(step("s", says("pass")), ping="env:NOT_SET"), resources)
        paths = [item.path for item in served.asked]
    assert paths == [
        "/canary-ping-id/start", "/canary-ping-id", "/canary-ping-id/start", "/canary-ping-id/fail",
        "/canary-ping-id/start", "/canary-ping-id", "/canary-ping-id/start", "/canary-ping-id/fail",
    ]  # fmt: skip
    assert not good.warnings
    assert good.verdict == "pass"
    assert missing.verdict == "pass"
    assert "NOT_SET" in missing.warnings[0]


async def test_a_dead_mans_switch_that_hangs_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PING", f"http://127.0.0.1:{silent.getsockname()[1]}/canary")
        looked: list[object] = []
        async with resources_at(tmp_path) as resources:
            made = book(step("s", says("pass")), ping="env:PING")
            record = await carried(made, resources, deadline=5.0, watch=looked.append)
    assert looked
    assert record.verdict == "pass"
    assert len(record.warnings) == 2


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    count = draw(st.integers(1, 9))
    steps = []
    for number in range(count):
        before = [f"s{n}" for n in range(number)]
        needs = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        watched = draw(st.sampled_from(["", *before])) if before else ""
        word = draw(st.sampled_from([*KINDS, "error"]))
        when = read(f'steps.{watched}.status == "{draw(st.sampled_from(list(KINDS)))}"') if watched else None
        steps.append(step(f"s{number}", _scripted(word), needs=tuple(needs), when=when))
    return draw(st.permutations(steps))


def _scripted(word: str) -> Any:
    async def check(resources: Resources) -> Result:
        if word == "error":
            raise StoreError("scripted")
        return KINDS[word](text=word)

    check.__dict__["word"] = "inconclusive" if word == "error" else word
    return check


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=graphs(), parallel=st.integers(1, 4))
async def test_every_step_of_any_graph_gets_the_one_result_that_its_ties_allow(
    tmp_path: Path, steps: list[Step], parallel: int
) -> None:
    order: list[str] = []
    made = book(*steps, parallel=parallel)
    async with resources_at(tmp_path, ledger=False, dry_run=True) as resources:
        record = await carried(made, resources, watch=lambda item: order.append(item.id))
    found = results(record)
    assert sorted(order) == sorted(found) == sorted(item.id for item in steps)
    for item in steps:
        assert all(order.index(before) < order.index(item.id) for before in item.waits_for)
        runs_now = all(found[name] in ("pass", "warn") for name in item.needs)
        if item.when is not None:
            scope = {"steps": {key: {"status": word} for key, word in found.items()}}
            runs_now = runs_now and item.when.holds(scope)
        assert found[item.id] == (item.tool.function.word if runs_now else Skipped.word)  # type: ignore[attr-defined]
    words = set(found.values())
    expected = next((word for word in ("fail", "inconclusive", "warn", "pass") if word in words), "pass")
    assert record.verdict == expected
