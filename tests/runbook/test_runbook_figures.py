"""What running costs: side by side as far as the instance allows, and next to nothing of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from difyops.runbook.result import Pass, Result
from difyops.runbook.scene import Scene
from tests.runbook.runbook_tools import Stage, book, carried, from_text, scene_at, step

HUNDRED = 100


async def _instant(scene: Scene) -> Result:
    return Pass(text="there")


@pytest.mark.slow
async def test_the_engine_and_its_evidence_cost_less_than_two_milliseconds_a_check(tmp_path: Path) -> None:
    made = book(*(step(f"s{number}", _instant) for number in range(HUNDRED)))
    best = 9.0
    async with scene_at(tmp_path) as scene:
        for _ in range(5):
            began = time.perf_counter()
            record = await carried(made, scene)
            best = min(best, (time.perf_counter() - began) / HUNDRED)
            assert record.count("pass") == HUNDRED
    assert best < 0.002, f"{best * 1000:.2f} ms"


@pytest.mark.slow
async def test_a_hundred_checks_take_as_long_as_the_slowest_and_their_bare_calls(stage: Stage) -> None:
    names = ["wf-echo", "wf-llm", "wf-hook", "wf-cron", "flow-chat", "chat-basic", "agent", "completion-basic"]
    steps = "".join(
        f"  - {{id: s{number}, check: app.access, with: {{apps: {names[number % 8]}, keys: false}}}}\n"
        for number in range(HUNDRED)
    )
    made = replace(from_text("runbook: trial\ntitle: T\nwhy: W\nsteps:\n" + steps), parallel=16)
    ratios = []
    async with stage.scene() as scene:
        instance = await scene.instance()
        ids = [app.id for app in await scene.apps()]
        for _ in range(4):
            began = time.perf_counter()
            for number in range(HUNDRED):
                await instance.console.app(ids[number % len(ids)])
            bare = time.perf_counter() - began
            began = time.perf_counter()
            record = await carried(made, scene)
            whole = time.perf_counter() - began
            assert record.verdict == "pass"
            slowest = max(item.seconds for item in record.steps)
            ratios.append(whole / (1.5 * slowest + bare))
    assert min(ratios) <= 1.0, ratios
