"""SIGKILL at every numbered step: the next command tells the state and brings it to an end, forward or back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.places import context_name
from tests.processes import run
from tests.snapshot.colleague import Colleague, break_prompt, node, set_secret

ROOT = Path(__file__).parents[2]
WORKFLOW_STEPS = (
    "journal written", "before write draft", "after write draft", "before publish", "after publish",
    "before put draft back", "after put draft back", "before proof",
)  # fmt: skip
CHAT_STEPS = ("journal written", "before write config", "after write config", "before proof")


def child(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the operation in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), *map(str, words)]
    return run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def spoil(colleague: Colleague, name: str) -> str:
    """Break an app, and for workflows leave an unpublished draft with a secret of its own behind."""
    app = colleague.app_id(name)
    if name != "wf-llm":
        colleague.set_config(app, lambda config: config.update(pre_prompt="BROKEN"))
        return app
    colleague.edit(app, break_prompt)
    colleague.publish(app)

    def unfinished(document: dict) -> None:
        node(document, "start")["title"] = "half done"
        set_secret("draft-canary")(document)

    colleague.edit(app, unfinished)
    return app


def state_of(colleague: Colleague, app: str) -> tuple[object, ...]:
    """Return what must be as before or as the target: live content, draft, secrets."""
    live, draft = colleague.live(app), colleague.draft(app)
    return live["graph"], draft["graph"], colleague.clear(app)["API_TOKEN"]


def test_the_steps_are_the_ones_that_are_killed(cli: Cli, v1: str, colleague: Colleague) -> None:
    spoil(colleague, "wf-llm")
    assert tuple(child("rollback", "wf-llm", v1, -1).stdout.split("\n")[:-1]) == WORKFLOW_STEPS
    spoil(colleague, "chat-basic")
    assert tuple(child("rollback", "chat-basic", v1, -1).stdout.split("\n")[:-1]) == CHAT_STEPS


@pytest.mark.exhaustive(4)
@pytest.mark.parametrize("step", range(len(WORKFLOW_STEPS)), ids=WORKFLOW_STEPS)
@pytest.mark.parametrize("way", ["--finish", "--undo"])
def test_a_killed_rollback_is_finished_or_undone(cli: Cli, v1: str, colleague: Colleague, step: int, way: str) -> None:
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoil(colleague, "wf-llm")
    broken, drafted, secret = state_of(colleague, app)
    assert child("rollback", "wf-llm", v1, step).returncode == -9

    told = cli("snapshot", "doctor", "-o", "json")
    assert told.code == 0
    assert [item["label"] for item in told.json["data"]] == ["wf-llm"]
    assert told.json["data"][0]["state"]
    again = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes")
    assert again.code == 8
    assert "difyops changes finish" in again.err

    ended = cli("snapshot", "doctor", "wf-llm", way, "--yes")
    assert ended.code == 0, ended.err
    live, draft, now = state_of(colleague, app)
    assert live == (target if way == "--finish" else broken)
    assert draft == drafted
    assert now == secret == "draft-canary"
    assert cli("snapshot", "doctor", "-o", "json").json["data"] == []
    if way == "--finish":
        assert "tok=tok-" in str(colleague.run(app, {"query": "hi"}))


@pytest.mark.exhaustive(4)
@pytest.mark.parametrize("step", range(len(CHAT_STEPS)), ids=CHAT_STEPS)
@pytest.mark.parametrize("way", ["--finish", "--undo"])
def test_a_killed_rollback_of_a_chat_app(cli: Cli, v1: str, colleague: Colleague, step: int, way: str) -> None:
    app = colleague.app_id("chat-basic")
    target = colleague.config(app)["pre_prompt"]
    spoil(colleague, "chat-basic")
    assert child("rollback", "chat-basic", v1, step).returncode == -9
    assert cli("snapshot", "doctor", "chat-basic", way, "--yes").code == 0
    assert colleague.config(app)["pre_prompt"] == (target if way == "--finish" else "BROKEN")
    assert cli("snapshot", "doctor", "-o", "json").json["data"] == []


@pytest.mark.exhaustive(6)
@pytest.mark.parametrize("step", range(7))
@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("killed_at", [1, 5], ids=["before draft", "before draft back"])
def test_an_ending_that_is_killed_can_be_done_again(
    cli: Cli, v1: str, colleague: Colleague, step: int, way: str, killed_at: int
) -> None:
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoil(colleague, "wf-llm")
    broken, drafted, _ = state_of(colleague, app)
    assert child("rollback", "wf-llm", v1, killed_at).returncode == -9
    ended = child(way, "wf-llm", step)
    if ended.returncode == 0:
        assert len(ended.stdout.strip().splitlines()) <= step  # there are fewer steps than that
    else:
        assert ended.returncode == -9
        assert cli("snapshot", "doctor", "wf-llm", f"--{way}", "--yes").code == 0
    live, draft, secret = state_of(colleague, app)
    assert live == (target if way == "finish" else broken)
    assert draft == drafted
    assert secret == "draft-canary"


@pytest.mark.parametrize("step", [*(pytest.param(step, marks=pytest.mark.long) for step in (0, 1, 5)), 9, 10])
def test_a_killed_snapshot_leaves_the_last_good_state(cli: Cli, v1: str, colleague: Colleague, step: int) -> None:
    spoil(colleague, "wf-llm")
    before = cli("snapshot", "list", "-o", "name").out
    assert child("create", "v2", step).returncode == -9
    listed = cli("snapshot", "list", "-o", "name").out
    written = listed != before
    assert written == (step == 10)  # step 10 is after the commit: all of it is there, tag included
    assert cli("snapshot", "verify", "--all").code == 0
    again = cli("snapshot", "create", "--tag", "v3", "-o", "json")
    assert again.code == 0
    assert again.json["data"]["complete"]
    assert cli("snapshot", "drift").code == 0


def test_somebody_publishes_after_the_kill(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    spoil(colleague, "wf-llm")
    drafted = colleague.draft(app)["graph"]
    assert child("rollback", "wf-llm", v1, 3).returncode == -9  # the draft holds the target
    colleague.edit(app, lambda document: node(document, "start").update(title="a new version"))
    colleague.publish(app)
    live = colleague.live(app)["id"]
    ended = cli("changes", "finish", "wf-llm", "--yes", "-o", "json")
    assert ended.code == 8
    assert "left alone" in ended.json["data"][0]["state"]
    assert colleague.live(app)["id"] == live
    assert cli("changes", "list", "-o", "json").json["data"] == []
    assert drafted != colleague.draft(app)["graph"]


def test_the_same_instance_under_another_name_sees_it_too(
    cli: Cli, v1: str, colleague: Colleague, connected: str
) -> None:
    app = spoil(colleague, "wf-llm")
    assert child("rollback", "wf-llm", v1, 3).returncode == -9
    login = ("--email", os.environ["DIFY_EMAIL"], "--password", "env:DIFY_PASSWORD")
    assert cli("context", "add", "prod", "--user", "--url", connected, *login).code == 0
    assert cli("snapshot", "create", "-c", "prod", "--tag", "p1", "-q").code == 0
    refused = cli("snapshot", "rollback", app, "-c", "prod", "--to", "p1", "--yes")
    assert refused.code == 8
    assert f"-c {context_name()}" in refused.err
