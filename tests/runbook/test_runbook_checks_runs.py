"""Checks of runs: failure rate, latency, the stuck ones; and apps whose runs cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difyops.api.run_faults import RunFailed
from difyops.api.service import Question
from difyops.asking import ask_app
from difyops.clock import SystemClock
from difyops.history.store import History
from difyops.runbook.result import Fail, Inconclusive, Pass, Skipped, Warn
from tests.emulator.humans import with_person
from tests.runbook.runbook_tools import Stage, add_run, check
from tests.slo.kept import App as Kept


async def test_runs_left_behind_are_found_and_live_ones_are_not(stage: Stage) -> None:
    add_run(stage, "wf-echo", ago=60, status="running")
    async with stage.resources() as resources:
        assert isinstance(await check(resources, "runs.stuck", apps=["all"]), Pass)
        dead = add_run(stage, "wf-echo", ago=4000, status="running")
        found = await check(resources, "runs.stuck", apps=["all"])
        patient = await check(resources, "runs.stuck", apps=["all"], older_than="2h")
    assert isinstance(found, Fail), found
    assert dead.id in found.excerpt
    assert isinstance(patient, Pass)


async def test_the_failure_rate_counts_dead_runs_and_wants_enough_of_them(stage: Stage) -> None:
    for number in range(18):
        add_run(stage, "wf-echo", ago=100 + number)
    async with stage.resources() as resources:
        few = await check(resources, "runs.failure_rate", apps=["wf-echo"], min_runs=20)
        passed = await check(resources, "runs.failure_rate", apps=["wf-echo"], min_runs=10)
        add_run(stage, "wf-echo", ago=50, status="failed", version="v2")
        add_run(stage, "wf-echo", ago=3000, status="running")
        add_run(stage, "wf-echo", ago=40, status="stopped")
        add_run(stage, "wf-echo", ago=30, status="running")
        found = await check(resources, "runs.failure_rate", apps=["wf-echo"], max_percent=5)
        warned = await check(resources, "runs.failure_rate", apps=["wf-echo"], max_percent=50, warn_percent=5)
    assert isinstance(few, Inconclusive)
    assert isinstance(passed, Pass), passed
    assert isinstance(found, Fail), found
    assert found.values[0].value == 10.0  # 2 of 20: one failed, one dead; stopped and live ones do not count
    assert "boom" in found.excerpt
    assert "v2: 1 of 1, v1: 1 of 19" in found.excerpt
    assert isinstance(warned, Warn)


async def test_latency_is_held_to_limits_and_to_the_window_before(stage: Stage) -> None:
    for number in range(20):
        add_run(stage, "wf-echo", ago=4020 - number, seconds=1.0)
    for number in range(20):
        add_run(stage, "wf-echo", ago=120 - number, seconds=3.0)
    async with stage.resources() as resources:
        assert isinstance(await check(resources, "runs.latency", app="wf-echo", max_p95="5s"), Pass)
        slow = await check(resources, "runs.latency", app="wf-echo", max_p95="2s")
        ratio = await check(resources, "runs.latency", app="wf-echo", max_ratio=2)
        warned = await check(resources, "runs.latency", app="wf-echo", max_ratio=5, warn_ratio=2)
        few = await check(resources, "runs.latency", app="wf-echo", min_runs=50)
        no_before = await check(resources, "runs.latency", app="wf-echo", window="2h", max_ratio=2)
    assert isinstance(slow, Fail)
    assert isinstance(ratio, Fail), ratio
    assert ratio.values[-1].value == 3.0
    assert isinstance(warned, Warn)
    assert isinstance(few, Inconclusive)
    assert isinstance(no_before, Inconclusive), no_before


def _unreadable(stage: Stage, app: str) -> None:
    stage.emulator.control.fail(path=f"/apps/{stage.emulator.app_named(app).id}/", times=999, how="status:500")


@pytest.mark.parametrize("name", ["runs.failure_rate", "runs.latency", "runs.stuck"])
async def test_of_two_apps_one_of_which_cannot_be_read_the_other_is_not_taken_for_both(stage: Stage, name: str) -> None:
    for app in ("wf-echo", "wf-hook"):
        for number in range(25):
            add_run(stage, app, ago=100 + number)
    many = {"app": "wf-[eh]*o*"} if name == "runs.latency" else {"apps": ["wf-echo", "wf-hook"]}
    async with stage.resources() as resources:
        await resources.apps()
        _unreadable(stage, "wf-hook")
        found = await check(resources, name, **many)
    assert isinstance(found, Inconclusive), found
    assert "wf-hook could not be read" in found.text


async def test_an_app_that_fails_too_often_fails_and_names_the_one_that_could_not_be_read(stage: Stage) -> None:
    for number in range(25):
        add_run(stage, "wf-echo", ago=100 + number, status="failed" if number < 9 else "succeeded")
    async with stage.resources() as resources:
        await resources.apps()
        _unreadable(stage, "wf-hook")
        found = await check(resources, "runs.failure_rate", apps=["wf-echo", "wf-hook"])
    assert isinstance(found, Fail), found
    assert "wf-hook could not be read" in found.text


async def test_a_limit_that_is_broken_now_fails_though_the_window_before_cannot_be_read(stage: Stage) -> None:
    for number in range(25):
        add_run(stage, "wf-echo", ago=100 + number, seconds=9.0)
    asked: dict[str, Any] = {"app": "wf-echo", "max_ratio": 2}
    async with stage.resources() as resources:
        await resources.apps()
        stage.emulator.control.fail(path="/workflow-app-logs|/workflow-runs", nth=2, times=999, how="status:500")
        found = await check(resources, "runs.latency", **asked, max_p95="2s")
        stage.emulator.control.reset_counts()
    assert isinstance(found, Fail), found


async def test_goals_are_judged_from_the_history(stage: Stage, tmp_path: Path) -> None:
    now = SystemClock().now().timestamp()
    file = tmp_path / "goals.yaml"
    file.write_text("goals:\n  - name: works\n    apps: [wf-echo]\n    target: 99\n    period: 7d\n")
    async with stage.resources() as resources:
        nothing = await check(resources, "slo.goals", goals=str(file))
        with History.open(resources.config.state) as history:
            app = Kept(
                history, id=stage.emulator.app_named("wf-echo").id, name="wf-echo", context=resources.context_name
            )
            app.run(now - 3600)
            app.write(upto=now - 60)
            few = await check(resources, "slo.goals", goals=str(file))
            required = await check(resources, "slo.goals", goals=str(file), require_events=True)
            app.spread(300, now - 5 * 86400, now - 3600)
            app.write(upto=now - 60)
            passed = await check(resources, "slo.goals", goals=str(file))
            app.spread(40, now - 3000, now - 100, "failed", kind="other", node=("code", "other"))
            app.write(upto=now - 60)
            burns = await check(resources, "slo.goals", goals=str(file))
        skipped = await check(resources, "slo.goals", goals=str(file), only=["other"])
    assert isinstance(nothing, Inconclusive)
    assert isinstance(few, Warn), few
    assert isinstance(required, Inconclusive)
    assert isinstance(passed, Pass), passed
    assert isinstance(burns, Fail), burns
    assert "wf-echo: 40 of 341 bad" in burns.excerpt
    assert "since 20" in burns.excerpt
    assert isinstance(skipped, Skipped)


async def test_runs_that_wait_for_a_person_too_long_are_told(stage: Stage) -> None:
    with_person(stage.emulator)
    async with stage.resources() as resources:
        assert isinstance(await check(resources, "runs.paused", apps=["all"]), Pass)
        app = next(app for app in await resources.chosen(["wf-echo"]))
        with pytest.raises(RunFailed, match="waits for a person"):
            await ask_app(await resources.instance(), app, Question(inputs={"text": "go"}))
        young = await check(resources, "runs.paused", apps=["wf-echo"])
        soon = await check(resources, "runs.paused", apps=["wf-echo"], expires_within="2h")
        for form in stage.emulator.instance.forms.values():
            form.since -= 7200
        late = await check(resources, "runs.paused", apps=["wf-echo"])
        allowed = await check(resources, "runs.paused", apps=["wf-echo"], max_waiting=1)
        instance = await resources.instance()
        instance.capabilities.learn("human_input", present=False)
        old = await check(resources, "runs.paused", apps=["wf-echo"])
    assert isinstance(young, Pass), young
    assert young.values[1].value == 1
    for found in (soon, late):
        assert isinstance(found, Fail), found
        assert "Approval" in found.excerpt
        assert found.hint is not None
        assert found.hint.startswith("difyops app resume")
    assert isinstance(allowed, Pass)
    assert isinstance(old, Skipped)
