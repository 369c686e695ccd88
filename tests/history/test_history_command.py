"""``difyops history`` as a pipe sees it."""

from __future__ import annotations

import pytest

from difyops.atomic_file import lock
from difyops.config import load
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from tests.conftest import Cli
from tests.history.conftest import DAY, now


@pytest.fixture
def busy(emulator: Emulator, connected: str) -> Emulator:
    """Two apps with a past."""
    for name in ("wf-echo", "flow-chat"):
        plan = Past(count=60, since=now() - DAY, until=now() - 300, sources=("app-run", "webhook"))
        load_past(emulator.instance, emulator.app_named(name), plan)
    return emulator


def test_sync_then_status_then_forget(cli: Cli, busy: Emulator) -> None:
    first = cli("history", "sync", "-o", "json")
    assert first.code == 0, first.err
    assert {app["name"]: app["runs"] for app in first.json["data"]["apps"]}["wf-echo"] == 60
    looked = cli("history", "status", "-o", "json").json["data"]
    (echo,) = [app for app in looked["apps"] if app["name"] == "wf-echo"]
    assert set(echo["sources"]) == {"app-run", "webhook"}
    assert echo["covered"][0]["gaps"] == []
    assert 0 < echo["sampled"] < 1
    assert cli("history", "status").out.startswith("APP")
    refused = cli("history", "forget", "wf-echo")
    assert refused.code == 8
    would = cli("history", "forget", "wf-echo", "--dry-run", "-o", "json")
    assert would.json["data"]["rows"]["run"] == 60
    gone = cli("history", "forget", "wf-echo", "--yes", "-o", "json")
    assert gone.json["data"]["rows"]["run"] == 60
    assert "wf-echo" not in cli("history", "status", "-o", "name").out


def test_what_the_command_line_refuses(cli: Cli, busy: Emulator) -> None:
    for words in (
        ("sync", "--nodes", "150%"), ("sync", "--since", "soon"), ("sync", "no-such-app"), ("export",),
        ("import",), ("forget", "no-such-app", "--yes"), ("import", "--database", "env:NOT_SET"),
    ):  # fmt: skip
        found = cli("history", *words)
        assert found.code == 2, (words, found)
        assert found.err.startswith("error: ")


def test_two_syncs_at_once_are_refused(cli: Cli, busy: Emulator) -> None:
    config = load()
    name = config.context(None).name
    with lock(config.state / "locks" / f"history-{name}.lock"):
        assert cli("history", "sync").code == 8


def test_remote_text_is_harmless_in_every_output(cli: Cli, busy: Emulator) -> None:
    busy.app_named("wf-echo").name = "evil\x1b[2J\u202e[red]"
    cli("history", "sync")
    for form in ("table", "json", "yaml", "ndjson", "markdown", "name"):
        shown = cli("history", "status", "-o", form).out
        assert "\x1b" not in shown
        assert "\u202e" not in shown
