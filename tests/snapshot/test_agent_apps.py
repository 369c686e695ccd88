"""Agent apps (mode agent, 1.16): listed, snapshotted, compared and rolled back like the others; no secret in git."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.snapshot.agent_author import AgentAuthor
from tests.snapshot.colleague import Colleague
from tests.snapshot.test_canary import everything_below

CANARIES = ("agent-canary-token-1", "agent-canary-cli-2", "agent-canary-tool-3", "cli-canary-0123456789abcdef")


@pytest.fixture
def emulator() -> Emulator:
    return Emulator("1.16.1")


@pytest.fixture
def helper(colleague: Colleague) -> AgentAuthor:
    author = AgentAuthor(colleague)
    author.fill()
    author.publish("first")
    return author


def _kinds(cli: Cli) -> list[tuple[str, str]]:
    ran = cli("snapshot", "drift", "-o", "json")
    return [(row["name"], row["kind"]) for row in ran.json["data"]["apps"]]


def test_an_agent_app_is_listed_and_kept_whole_without_its_secrets(
    cli: Cli, helper: AgentAuthor, connected: str, own_place: Path
) -> None:
    assert ("helper", "agent") in [(row["name"], row["mode"]) for row in cli("app", "list", "-o", "json").json["data"]]
    taken = cli("snapshot", "create", "--tag", "v1", "-o", "json")
    assert taken.code == 0, taken.err
    assert taken.json["data"]["complete"]
    again = cli("snapshot", "create", "-o", "json")
    assert not again.json["data"]["changed"]
    shown = cli("snapshot", "show", "v1", "-o", "json").json["data"]
    record = next(app for app in shown["apps"] if app["name"] == "helper")
    assert (record["mode"], record["icon"]["role"]) == ("agent", "clerk")
    assert record["live"]["id"] == helper.live_id()
    content = everything_below(own_place)
    assert b"You are a helper." in content
    assert [canary for canary in CANARIES if canary.encode() in content] == []


def test_what_changes_of_an_agent_app_is_seen(cli: Cli, helper: AgentAuthor, connected: str) -> None:
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    assert _kinds(cli) == []
    helper.say("You are evil.")
    assert _kinds(cli) == [("helper", "draft edited")]
    drafts = cli("snapshot", "diff", "--draft", "-o", "json").json["data"]["apps"]
    assert [app["name"] for app in drafts] == ["helper"]
    assert cli("snapshot", "create", "-o", "json").json["data"]["changes"] == ["helper: draft edited"]
    helper.publish()
    assert _kinds(cli) == [("helper", "live changed")]
    differing = cli("snapshot", "diff", "v1", "-o", "json").json["data"]["apps"]
    assert [(app["name"], app["state"], app["changes"][0]["kind"]) for app in differing] == [
        ("helper", "changed", "prompt")
    ]
    assert "helper: live 1 change, draft published or dropped" in cli("snapshot", "create", "-o", "json").out
    assert _kinds(cli) == []
    helper.call("DELETE", f"/agent/{helper.agent_id}")
    assert _kinds(cli) == [("helper", "deleted")]


@pytest.mark.parametrize("how", ["status:500", "garbage"])
def test_an_agent_that_cannot_be_read_is_named_and_kept(
    cli: Cli, emulator: Emulator, helper: AgentAuthor, connected: str, how: str
) -> None:
    assert cli("snapshot", "create").code == 0
    emulator.control.fail(path="/console/api/agent/[^/]+/composer", times=10_000, how=how)
    taken = cli("snapshot", "create", "-o", "json")
    assert taken.code == 3, taken.err
    assert [item["name"] for item in taken.json["data"]["failed"]] == ["helper"]
    assert cli("snapshot", "drift").code == 3
    emulator.control.clear_failures()
    assert _kinds(cli) == []


def test_an_agent_that_was_never_published_has_a_draft_only(
    cli: Cli, emulator: Emulator, colleague: Colleague, connected: str
) -> None:
    author = AgentAuthor(colleague, "fresh")
    author.fill()
    taken = cli("snapshot", "create", "-o", "json")
    assert taken.code == 0, taken.err
    record = next(app for app in cli("snapshot", "show", "-o", "json").json["data"]["apps"] if app["name"] == "fresh")
    assert record["live"] is None
    assert _kinds(cli) == []
