"""What a run comes to: required checks that were skipped, what nobody looked at, and what an action repaired."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difyops.reports import FORMATS, nagios_code
from difyops.runbook.expression import read
from difyops.runbook.load import parse
from difyops.runbook.model import Step
from difyops.runbook.outputs import suite_of
from difyops.runbook.record import RunRecord, step_data, step_of
from difyops.runbook.resources import Resources
from difyops.runbook.result import Pass, Skipped, Value
from tests.runbook.runbook_tools import book, carried, consent, does, made_up, resources_at, says, step


async def ran(tmp_path: Path, *steps: Any, act: bool = True, **inputs: Any) -> RunRecord:
    async with resources_at(tmp_path) as resources:
        return await carried(book(*steps), resources, allow=consent(act=act), **inputs)


def never(step_id: str, **fields: Any) -> Any:
    return step(step_id, says("pass"), when=read('inputs.nothing == "here"'), **fields)


@pytest.mark.parametrize(
    ("steps", "verdict", "code", "missing"),
    [
        ((step("a", says("pass")), never("b")), "pass", None, []),
        ((step("a", says("pass")), never("b", required="yes")), "inconclusive", 3, ["b"]),
        ((step("a", says("fail")), never("b", required="yes")), "fail", 5, ["b"]),
        ((never("a", required="one"), never("b", required="one")), "inconclusive", 3, ["a", "b"]),
        ((step("a", says("pass"), required="one"), never("b", required="one")), "pass", None, []),
        ((step("a", says("warn"), required="one"), never("b", required="two")), "inconclusive", 3, ["b"]),
        ((never("a"), never("b")), "inconclusive", 3, []),
    ],
)
async def test_a_required_check_that_was_skipped_proves_nothing(
    tmp_path: Path, steps: Any, verdict: str, code: int | None, missing: list[str]
) -> None:
    record = await ran(tmp_path, *steps)
    assert record.verdict == verdict
    assert (record.error.exit_code if record.error else None) == code
    assert [item.id for item in record.missing] == missing
    kept = replace(record, steps=tuple(step_of(step_data(item)) for item in record.steps))
    assert (kept.verdict, [item.id for item in kept.missing]) == (verdict, missing)
    assert nagios_code(suite_of(record)) == {"pass": 0, "warn": 1, "fail": 2, "inconclusive": 3}[verdict]
    for form in FORMATS.values():
        assert form(suite_of(record))


async def test_a_check_that_says_that_there_was_nothing_to_measure_is_listed_too(tmp_path: Path) -> None:
    async def quiet(resources: Resources) -> Skipped:
        return Skipped(text="too few runs")

    record = await ran(tmp_path, step("a", says("pass")), step("b", quiet), step("c", quiet, required="yes"))
    assert [item.id for item in record.not_looked_at] == ["b", "c"]
    assert "not looked at: b, c" in record.summary
    assert record.error is not None
    assert "too few runs" in str(record.error.hint)


async def test_a_check_that_would_have_verified_a_repair_was_not_overlooked(tmp_path: Path) -> None:
    steps = (
        step("a", says("pass")),
        step("act", does([], "act"), kind="action"),
        step("b", says("pass"), needs=("act",)),
    )
    record = await ran(tmp_path, *steps, act=False)
    assert (record.verdict, record.not_looked_at) == ("pass", ())


def repairing(second: str, *, between: bool = True, **fields: Any) -> tuple[Any, ...]:
    looked: list[int] = []
    words = ["fail", second]

    async def look(resources: Resources, *, place: str = "here") -> Any:
        looked.append(1)
        found = await says(words[len(looked) - 1])(resources)
        return Pass(text=found.text, values=(Value(name="n", value=1),)) if found.word == "pass" else found

    tool = made_up(look)
    first = Step(id="look", tool=tool, title="look")
    repair = step("repair", does([], "repair"), kind="action", needs=() if between else ("other",))
    again = Step(id="again", tool=tool, title="again", needs=("repair",) if between else ("look_at",), **fields)
    return first, repair, again


async def test_what_an_action_repaired_and_the_same_check_proves_ends_repaired(tmp_path: Path) -> None:
    first, repair, again = repairing("pass")
    repair = replace(repair, when=read('steps.look.status == "fail"'))
    record = await ran(tmp_path, first, repair, again)
    assert record.verdict == "repaired"
    assert record.error is None
    assert nagios_code(suite_of(record)) == 0
    junit = FORMATS["junit"](suite_of(record))
    assert 'failures="0"' in junit
    assert "not ok" not in FORMATS["tap"](suite_of(record))
    assert record.outcome(record.steps[0]) == "repaired"


@pytest.mark.parametrize(
    ("second", "act", "parameters", "verifies", "verdict"),
    [
        ("fail", True, {}, (), "fail"),
        ("inconclusive", True, {}, (), "fail"),
        ("warn", True, {}, (), "repaired"),
        ("pass", False, {}, (), "fail"),
        ("pass", True, {"place": "elsewhere"}, (), "fail"),
        ("pass", True, {"place": "elsewhere"}, ("look",), "repaired"),
    ],
)
async def test_a_failure_stays_one_unless_the_same_is_seen_well_after_an_action(
    tmp_path: Path, second: str, act: bool, parameters: dict[str, str], verifies: tuple[str, ...], verdict: str
) -> None:
    first, repair, again = repairing(second, parameters=parameters, verifies=verifies)
    repair = replace(repair, when=read('steps.look.status == "fail"'))
    assert (await ran(tmp_path, first, repair, again, act=act)).verdict == verdict


async def test_a_second_look_without_an_action_repairs_nothing(tmp_path: Path) -> None:
    first, _, again = repairing("pass")
    record = await ran(tmp_path, first, replace(again, needs=(), when=None, rule=again.rule))
    assert record.verdict == "fail"


TEXT = """
runbook: trial
title: T
why: W
steps:
  - {{id: a, check: instance.health}}
  - {{id: b, {kind}, {more}}}
"""


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("check: instance.health", "required: yes", None),
        ("check: instance.health", "required: workers", None),
        ("check: instance.health", "required: 3", "expected yes, or a word"),
        ("check: instance.health", "verifies: [zz]", "there is no step 'zz'"),
        ("check: instance.health", "verifies: a", None),
        ("action: snapshot.create", "required: true", "required is for checks"),
        ("action: snapshot.create", "verifies: a", "verifies is for checks"),
    ],
)
def test_lint_knows_the_fields(kind: str, more: str, said: str | None) -> None:
    _, problems = parse(TEXT.format(kind=kind, more=more).encode(), Path("trial.yaml"))
    texts = [item.text for item in problems]
    assert texts == [] if said is None else any(said in text for text in texts), texts
