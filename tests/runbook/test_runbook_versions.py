"""One contract over all server versions: the same checks and actions, whatever answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.runbook.library import shipped_folder
from difyops.runbook.load import load
from difyops.runbook.result import Inconclusive, Pass
from difyops.snapshot.take import TakeOptions, take
from tests.runbook.runbook_tools import add_message, add_run, carried, check, planned, results, staged

VERSIONS = ["1.9.1", "1.11.2", "1.13.0", "1.13.3", "1.15"]


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("version", VERSIONS)
async def test_checks_pass_on_every_version(tmp_path: Path, version: str) -> None:
    with staged(tmp_path, version=version) as stage:
        async with stage.resources() as resources:
            await take(await resources.instance(), resources.make_store(), TakeOptions())
            for app in ("wf-echo", "flow-chat"):
                for number in range(20):
                    add_run(stage, app, ago=100 + number)
            for app in ("chat-basic", "completion-basic", "flow-chat"):
                for number in range(20):
                    add_message(stage, app, ago=100 + number)
            for app in ("wf-echo", "flow-chat", "chat-basic", "completion-basic"):
                found = await check(resources, "runs.failure_rate", apps=[app])
                assert isinstance(found, Pass), (app, found)
            for name, parameters in (
                ("instance.health", {"worker_app": "wf-echo"}),
                ("instance.version", {}),
                ("app.wiring", {"apps": ["wf-echo", "wf-llm", "flow-*", "mode:chat"]}),
                ("app.access", {"apps": ["all"]}),
                ("app.answers", {"app": "wf-llm"}),
                ("app.answers", {"app": "chat-basic"}),
                ("app.answers", {"app": "flow-chat"}),
                ("secret.age", {}),
                ("snapshot.age", {}),
                ("snapshot.drift", {}),
                ("knowledge.indexing", {}),
                ("provider.credential", {"provider": "openai"}),
            ):
                found = await check(resources, name, **parameters)
                assert isinstance(found, Pass), (name, found)


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("version", VERSIONS)
async def test_actions_work_on_every_version_or_say_that_it_lacks_them(tmp_path: Path, version: str) -> None:
    with staged(tmp_path, version=version) as stage:
        async with stage.resources() as resources:
            for name, parameters in (
                ("app.disable_api", {"app": "wf-echo"}),
                ("app.switch_model", {"app": "wf-llm", "model": "gpt-4o-mini", "to_model": "gpt-4o"}),
                ("trigger.disable", {"app": "wf-hook"}),
                ("snapshot.create", {}),
            ):
                plan = await planned(resources, name, **parameters)
                if plan.apply is None:
                    assert version == "1.9.1", plan
                    assert name == "trigger.disable"
                else:
                    await plan.apply()
            if plan.undo is not None:
                await planned(resources, str(plan.undo.action), **plan.undo.parameters)


@pytest.mark.parametrize("version", ["1.9.1", "1.15"])
async def test_a_shipped_runbook_says_the_same_on_the_oldest_and_the_newest(tmp_path: Path, version: str) -> None:
    with staged(tmp_path, version=version) as stage:
        async with stage.resources() as resources:
            record = await carried(load(shipped_folder() / "auth-failures.yaml"), resources)
        found = results(record)
        assert {key: found[key] for key in ("health", "access")} == {"health": "pass", "access": "pass"}
        assert found["changed"] == Inconclusive.word  # there is no snapshot
