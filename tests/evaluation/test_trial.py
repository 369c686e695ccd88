"""A trial in copies: what it proves, whose failures count, and that nothing of it is left, also after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.cost.tier import with_model
from difyops.errors import Refused
from difyops.evaluation.cases import Case, Expectation
from difyops.evaluation.trial.run import TrialRequest, run_trial
from tests.drill.conftest import Killed, counting, killing
from tests.release.conftest import Rig

STEPS = 33
ECHO = (Expectation(check="contains", parameters={"text": "echo"}),)


def cases(count: int, dull: Sequence[int] = (), expect: tuple[Expectation, ...] = ECHO) -> tuple[Case, ...]:
    """Return cases; to some of them the other model has no answer."""
    said = ["case {} [[delay=0]]" + ("[[dull=gpt-4o]]" if number in dull else "") for number in range(count)]
    return tuple(
        Case(id=str(number), inputs={"query": text.format(number)}, query=text.format(number), expect=expect)
        for number, text in enumerate(said)
    )


def request(rig: Rig, name: str = "wf-llm", count: int = 8, dull: Sequence[int] = (), **fields: Any) -> TrialRequest:
    given = {"margin": 0.3, "by": "none", "cases": cases(count, dull), **fields}
    return TrialRequest(
        app_id=rig.app_id(name), what="gpt-4o", change=lambda document: with_model(document, "gpt-4o")[0], **given
    )


@pytest.mark.parametrize("name", ["wf-llm", "flow-chat", "chat-basic", "completion-basic"])
async def test_a_model_that_answers_alike_is_not_worse(rig: Rig, name: str) -> None:
    apps, runs = rig.names(), len(rig.emulator.app_named(name).runs)
    found = await run_trial(rig.workspace, request(rig, name))
    assert (found.overall.verdict, found.overall.judged, found.error) == ("not worse", 8, None), found
    assert rig.names() == apps
    assert len(rig.emulator.app_named(name).runs) == runs  # the app itself was not asked
    assert rig.open == []
    assert found.used > 0


async def test_a_model_that_loses_more_than_allowed_is_worse_and_does_for_some(rig: Rig) -> None:
    many = cases(24, dull=range(12, 24))
    few = tuple(replace(case, inputs={**case.inputs, "kind": "easy" if int(case.id) < 12 else "hard"}) for case in many)
    found = await run_trial(rig.workspace, request(rig, cases=few, by="input:kind", at_once=4))
    assert found.overall.verdict == "worse"
    assert {item.name: item.verdict for item in found.classes} == {"kind: easy": "not worse", "kind: hard": "worse"}
    assert found.error is not None
    assert found.error.exit_code == 5
    assert "not worse for: kind: easy" in found.error.message
    assert len(found.broken) == 12
    assert "does not hold 'echo'" in found.broken[0].why


async def test_a_provider_that_is_away_proves_nothing_and_ends_it(rig: Rig) -> None:
    rig.emulator.control.mood("provider_down")
    found = await run_trial(rig.workspace, request(rig, count=40))
    assert found.overall.verdict == "not enough"
    assert found.error is not None
    assert found.error.exit_code == 3
    assert found.ended == "stopped"
    assert any("20 pairs in a row" in text for text in found.warnings)
    assert "provider" in found.left_out[0].why


async def test_what_cannot_be_tried_is_refused_before_anything_is_made(rig: Rig) -> None:
    apps = rig.names()
    wanted = request(rig)
    for change, said in (
        (lambda document: with_model(document, "acme/acme/acme/tiny")[0], "cannot be tried here"),
        (lambda document: with_model(document, "gpt-9")[0], "'gpt-9'"),
    ):
        with pytest.raises(Refused, match=said):
            await run_trial(rig.workspace, replace(wanted, change=change))
    with pytest.raises(Refused, match="begins with a trigger"):
        await run_trial(rig.workspace, replace(request(rig, "wf-cron"), change=dict))
    assert rig.names() == apps
    assert rig.workspace.journal.all() == []


async def test_these_are_all_the_steps(rig: Rig) -> None:
    names, counted = counting()
    await run_trial(rig.workspace, request(rig, count=1, checkpoint=names))
    assert counted() == STEPS


@pytest.mark.exhaustive(22)
@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("way", ["next", "undo"])
async def test_nothing_is_left_after_a_kill(rig: Rig, step: int, way: str) -> None:
    apps, wanted = rig.names(), request(rig, count=1)
    with pytest.raises(Killed):
        await run_trial(rig.workspace, replace(wanted, checkpoint=killing(step)))
    if way == "next":
        found = await run_trial(rig.workspace, wanted)
        assert any("was cut off" in text for text in found.warnings) == (step > 0)
    else:
        recovery = Recovery(journal=rig.workspace.journal, kinds=kinds())
        for record in rig.open:
            assert "scratch app" in await recovery.tell(rig.workspace.instance, record)
            assert (await recovery.undo(rig.workspace.instance, record)).error is None
    assert rig.names() == apps
    assert rig.open == []
