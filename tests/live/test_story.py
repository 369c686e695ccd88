"""The story against a real instance (``make test-live``): scratch apps of every mode, removed at the end.

Needs ``DIFY_BASE_URL`` and credentials in the environment, as the README says. Without them everything is skipped.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.dsl.load import load_dsl
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, break_prompt, node, set_secret

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
MODES = {
    "workflow": "wf-llm",
    "advanced-chat": "flow-chat",
    "chat": "chat-basic",
    "agent-chat": "agent",
    "completion": "completion-basic",
}


@pytest.fixture
def scratch(colleague: Colleague) -> Iterator[dict[str, str]]:
    """Make one published scratch app of each mode; yield name by mode; remove them."""
    suffix = secrets.token_hex(3)
    made: dict[str, str] = {}
    names: dict[str, str] = {}
    try:
        for mode, stem in MODES.items():
            name = f"difyops-live-{stem}-{suffix}"
            text = (HERE / "dsl" / f"{stem}.yml").read_text()
            body = {"mode": "yaml-content", "yaml_content": text, "name": name}
            answer = colleague.call("POST", "/apps/imports", body)
            assert answer["status"].startswith("completed"), answer
            made[mode], names[mode] = answer["app_id"], name
            if mode in ("workflow", "advanced-chat"):
                colleague.publish(answer["app_id"], "scratch")
            assert load_dsl(text)["app"]["mode"] == mode
        yield names
    finally:
        for app in made.values():
            colleague.call("DELETE", f"/apps/{app}")


@pytest.mark.parametrize("mode", list(MODES))
def test_every_mode_rolls_back(cli: Cli, colleague: Colleague, scratch: dict[str, str], mode: str) -> None:
    name = scratch[mode]
    app = colleague.app_id(name)
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    if mode in ("workflow", "advanced-chat"):
        good = colleague.live(app)["graph"]
        colleague.edit(app, set_secret("live-rotated-1"))
        colleague.edit(app, break_prompt)
        colleague.publish(app)
        colleague.edit(app, lambda document: node(document, "start").update(title="half done"))
        drafted = colleague.draft(app)["graph"]
    else:
        colleague.set_config(app, lambda body: body.update(pre_prompt="BROKEN"))
    assert cli("snapshot", "drift", name).code == 5
    done = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err + done.out
    assert all(proof["ok"] for proof in done.json["data"]["apps"][0]["proofs"])
    if mode in ("workflow", "advanced-chat"):
        assert colleague.live(app)["graph"] == good
        assert colleague.draft(app)["graph"] == drafted
        left = cli("snapshot", "diff", "v1", "--app", name, "-o", "json").json["data"]["apps"]
        assert {change["before"] for item in left for change in item["changes"]} <= {"<sealed>"}, left
    else:
        assert colleague.config(app)["pre_prompt"] != "BROKEN"
    if mode == "workflow":
        assert colleague.clear(app)["API_TOKEN"] == "live-rotated-1"


def test_killed_and_ended(cli: Cli, colleague: Colleague, scratch: dict[str, str]) -> None:
    name = scratch["workflow"]
    app = colleague.app_id(name)
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    good = colleague.live(app)["graph"]
    for step, way in ((2, "--finish"), (4, "--finish"), (2, "--undo"), (4, "--undo")):
        colleague.edit(app, break_prompt)
        colleague.publish(app)
        bad = colleague.live(app)["graph"]
        command = [sys.executable, "-m", "tests.snapshot.killed", "rollback", name, "v1", str(step)]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
        assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == -9
        assert cli("snapshot", "doctor", name, way, "--yes").code == 0
        assert colleague.live(app)["graph"] == (good if way == "--finish" else bad)
        if way == "--undo":
            assert cli("snapshot", "rollback", name, "--to", "v1", "--yes").code == 0


def test_a_deleted_app_comes_back(cli: Cli, colleague: Colleague, scratch: dict[str, str]) -> None:
    name = scratch["advanced-chat"]
    app = colleague.app_id(name)
    assert cli("snapshot", "create", name, "--tag", "v1").code == 0
    copy = f"{name}-back"
    done = cli("snapshot", "restore", app, "--to", "v1", "--name", copy, "--yes", "-o", "json")
    try:
        assert done.code == 0, done.err + done.out
    finally:
        colleague.call("DELETE", f"/apps/{colleague.app_id(copy)}")
