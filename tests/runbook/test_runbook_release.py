"""``canary-failed``, ``release.gates`` and ``release.abort``: a release whose look failed is taken back, no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difyops.errors import DifyopsError
from difyops.publishing.putting import now_of
from difyops.release.plan import ReleasePlan, Shadow, WatchRules
from difyops.release.planning import PlanRequest, make_plan
from difyops.release.run import ReleaseOptions, apply
from difyops.runbook.library import shipped_folder
from difyops.runbook.load import load
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass
from difyops.workspace import Workspace
from tests.release.conftest import broken
from tests.runbook.runbook_tools import Stage, applied, carried, check, consent, planned, results
from tests.snapshot.colleague import Colleague


async def released(stage: Stage, resources: Resources) -> tuple[Workspace, ReleasePlan, Colleague, str]:
    """Release a broken version of an app with 40 good runs behind it."""
    colleague = Colleague(stage.url, str(stage.emulator.admin_key), stage.emulator.workspace_id)
    app = colleague.app_id("wf-echo")
    for number in range(40):
        colleague.run(app, {"text": f"hi {number}"})
    colleague.edit(app, broken)
    workspace = await resources.workspace()
    watch = WatchRules(events=8, least=3, every=0.01)
    request = PlanRequest(app_id=app, shadow=Shadow(calls=0), watch=watch)
    plan = (await make_plan(workspace, request)).plan
    await apply(workspace, plan, ReleaseOptions(wait=0.0))
    return workspace, plan, colleague, app


async def test_the_runbook_goes_back_to_the_version_before(stage: Stage) -> None:
    runbook = load(shipped_folder() / "canary-failed.yaml")
    async with stage.resources() as resources:
        assert isinstance(await check(resources, "release.gates", app="wf-echo"), Pass)
        before = await now_of(await resources.instance(), stage.emulator.app_named("wf-echo").id)
        workspace, plan, colleague, app = await released(stage, resources)
        assert isinstance(await check(resources, "release.gates", app="wf-echo"), Inconclusive)
        for _ in range(6):
            colleague.run(app, {"text": "hi"})
        await apply(workspace, plan, ReleaseOptions(wait=0.0))
        assert isinstance(await check(resources, "release.gates", app="wf-echo"), Fail)
        allowed = consent(act=True, approved=frozenset({"all"}))
        record = await carried(runbook, resources, allow=allowed, inputs={"app": "wf-echo"})
        assert record.verdict == "repaired", [(step.id, step.result, step.text) for step in record.steps]
        assert results(record) == {
            "gates": "fail",
            "health": "pass",
            "failures": "warn",
            "back": "pass",
            "after": "pass",
        }
        after: Any = await now_of(await resources.instance(), app)
        assert after.live == before.live


async def test_abort_leaves_alone_what_is_no_open_release(stage: Stage) -> None:
    async with stage.resources() as resources:
        assert (await planned(resources, "release.abort", app="wf-echo")).apply is None
        _, _, colleague, app = await released(stage, resources)
        plan = await planned(resources, "release.abort", app="wf-echo")
        assert "the former version is live again" in await applied(plan)
        assert (await planned(resources, "release.abort", app="wf-echo")).apply is None
        assert colleague.run(app, {"text": "hi"})


async def test_a_healthy_app_passes(stage: Stage) -> None:
    runbook = load(shipped_folder() / "canary-failed.yaml")
    async with stage.resources() as resources:
        record = await carried(runbook, resources, allow=consent(act=True), inputs={"app": "wf-echo"})
        assert record.verdict == "pass"


async def test_cases_are_asked_and_one_that_fails_fails_the_step(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    line = '{"id": "%s", "inputs": {"text": "hi"}, "expect": [{"check": "contains", "text": "%s"}]}\n'
    async with stage.resources() as resources:
        path.write_text(line % ("good", "HI"))
        assert "1 case passes" in await applied(await planned(resources, "eval.run", app="wf-echo", cases=str(path)))
        path.write_text(line % ("good", "HI") + line % ("bad", "nothing of this"))
        with pytest.raises(DifyopsError):
            await applied(await planned(resources, "eval.run", app="wf-echo", cases=str(path)))
