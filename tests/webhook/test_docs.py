"""Every command of docs/webhooks.md is run, in its order, with the rules that stand there, by a real server."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.webhook.serve import running_in
from tests.processes import run
from tests.waiting import wait_until
from tests.webhook.test_watch import Took

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "webhooks.md").read_text()


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.fixture
def place(tmp_path: Path, emulator: Emulator, connected: str) -> dict[str, str]:
    emulator.app_named("wf-llm").name = "support-triage"
    (tmp_path / "event.json").write_text('{"type": "order.paid", "text": "one hundred"}')
    names = ("WEBHOOK_PAGE", "ORDERS_SECRET", "GITHUB_SECRET", "CALLBACK_SECRET")
    return {**os.environ, **{name: f"canary-{name.lower()}-1" for name in names}}


def test_every_command_of_the_page(place: dict[str, str], tmp_path: Path, emulator: Emulator) -> None:
    receiver = Took()
    rules = re.search(r"<!-- test: configure -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert rules
    text = rules[1].replace("127.0.0.1:9000", receiver.url.removeprefix("http://"))
    for address in ("127.0.0.1:8099", "127.0.0.1:8098"):
        text = text.replace(address, f"127.0.0.1:{free_port()}")
    Path("difyops.yaml").write_text(text)
    place["DIFYOPS_CONFIG"] = str(tmp_path / "difyops.yaml")
    said: dict[str, str] = {}
    try:
        for line in re.findall(r"^\$ difyops (.*)$", PAGE, re.MULTILINE):
            words = shlex.split(line.replace("http://127.0.0.1:9000", receiver.url))
            done = run([sys.executable, "-m", "difyops", *words], capture_output=True, text=True, env=place)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            said[line] = done.stdout + done.stderr
            if "test orders" in line:
                wait_until(lambda: emulator.app_named("support-triage").runs, "the run")
    finally:
        state = Path(place["DIFYOPS_STATE"])
        if running_in(state) is not None:
            subprocess.run([sys.executable, "-m", "difyops", "webhook", "stop"], env=place, check=False)
        receiver.server.shutdown()
    assert "order.paid" in said["webhook list"]
    assert "does not run" not in said["webhook status"]
    (ran,) = emulator.app_named("support-triage").runs
    assert ran.inputs["query"] == "one hundred"
    assert "canary-" not in "".join(said.values()) + (state / "webhook.log").read_text()


def test_the_unit_and_the_container_name_commands_that_there_are() -> None:
    from difyops.cli.webhook import noun

    names = {command.name for command in noun.registered_commands}
    for name in ("systemd/difyops-webhook.service", "compose.yaml"):
        text = (ROOT / "deploy" / name).read_text()
        assert set(re.findall(r"difyops\"?,? \"?webhook\"?,? \"?([a-z]+)", text)) <= names
