"""Every command of docs/webhooks.md is run, in its order, with the rules that stand there, by a real server."""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.webhook.serve import running_in
from tests.conftest import Cli
from tests.waiting import wait_until
from tests.webhook.test_watch import Took

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "webhooks.md").read_text()


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.fixture
def receiver() -> Iterator[Took]:
    found = Took()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def place(tmp_path: Path, emulator: Emulator, connected: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    emulator.app_named("wf-llm").name = "support-triage"
    (tmp_path / "event.json").write_text('{"type": "order.paid", "text": "one hundred"}')
    for name in ("WEBHOOK_PAGE", "ORDERS_SECRET", "GITHUB_SECRET", "CALLBACK_SECRET"):
        monkeypatch.setenv(name, f"canary-{name.lower()}-1")
    monkeypatch.setenv("DIFYOPS_CONFIG", str(tmp_path / "difyops.yaml"))
    return Path(os.environ["DIFYOPS_STATE"])


def test_every_command_of_the_page(cli: Cli, place: Path, emulator: Emulator, receiver: Took) -> None:
    rules = re.search(r"<!-- test: configure -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert rules
    text = rules[1].replace("127.0.0.1:9000", receiver.url.removeprefix("http://"))
    for address in ("127.0.0.1:8099", "127.0.0.1:8098"):
        text = text.replace(address, f"127.0.0.1:{free_port()}")
    Path("difyops.yaml").write_text(text)
    said: dict[str, str] = {}
    try:
        for line in re.findall(r"^\$ difyops (.*)$", PAGE, re.MULTILINE):
            done = cli(*shlex.split(line.replace("http://127.0.0.1:9000", receiver.url)))
            assert done.code == 0, f"{line}\n{done}"
            said[line] = done.out + done.err
            if "test orders" in line:
                wait_until(lambda: emulator.app_named("support-triage").runs, "the run")
    finally:
        if running_in(place) is not None:
            cli("webhook", "stop")
    assert "order.paid" in said["webhook list"]
    assert "does not run" not in said["webhook status"]
    (ran,) = emulator.app_named("support-triage").runs
    assert ran.inputs["query"] == "one hundred"
    assert "canary-" not in "".join(said.values()) + (place / "webhook.log").read_text()


def test_the_unit_and_the_container_name_commands_that_there_are() -> None:
    from difyops.cli.webhook import noun

    names = {command.name for command in noun.registered_commands}
    for name in ("systemd/difyops-webhook.service", "compose.yaml"):
        text = (ROOT / "deploy" / name).read_text()
        assert set(re.findall(r"difyops\"?,? \"?webhook\"?,? \"?([a-z]+)", text)) <= names
