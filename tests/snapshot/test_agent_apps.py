"""Agent apps (mode agent, 1.16): listed, snapshotted, compared and rolled back like the others; no secret in git."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difyops.changes import Change
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


@pytest.mark.exhaustive(2)
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


def test_an_agent_app_goes_back_with_the_secrets_that_are_alive(cli: Cli, helper: AgentAuthor, connected: str) -> None:
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    good = helper.live_id()

    def change(soul: dict[str, Any]) -> None:
        soul["prompt"]["system_prompt"] = "You are evil."
        soul["env"]["secret_refs"][0]["value"] = "agent-canary-token-9"

    helper.edit(change)
    helper.publish()
    helper.say("A draft that nobody published.")
    planned = cli("snapshot", "rollback", "helper", "--to", "v1", "--dry-run", "-o", "json")
    assert planned.code == 0, planned.err
    done = cli("snapshot", "rollback", "helper", "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err
    live = helper.live()
    assert live["prompt"]["system_prompt"] == "You are a helper."
    assert live["env"]["secret_refs"][0]["value"] == "agent-canary-token-9"
    assert live["tools"]["cli_tools"][0]["env"]["secret_refs"][0]["value"] == "agent-canary-cli-2"
    assert "cli-canary-0123456789abcdef" in live["tools"]["cli_tools"][0]["command"]
    assert helper.soul()["prompt"]["system_prompt"] == "A draft that nobody published."
    assert helper.live_id() not in (good, "")
    assert helper.notes()[0].startswith("difyops ")
    assert sorted(_kinds(cli)) == [("helper", "draft edited"), ("helper", "secret changed")]
    again = cli("snapshot", "rollback", "helper", "--to", "v1", "--yes", "-o", "json")
    assert "nothing to do" in again.out
    with_name = cli("snapshot", "rollback", "helper", "--to", "v1", "--yes", "--with-name")
    assert with_name.code == 0, with_name.err


def test_a_role_and_a_name_come_back_when_asked_for(cli: Cli, helper: AgentAuthor, connected: str) -> None:
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    helper.call("PUT", f"/agent/{helper.agent_id}", {"name": "renamed", "description": "d", "role": "boss"})
    ran = cli("snapshot", "rollback", helper.app_id, "--to", "v1", "--yes", "--with-name")
    assert ran.code == 0, ran.err
    now = helper.call("GET", f"/agent/{helper.agent_id}")
    assert (now["name"], now["description"], now["role"]) == ("helper", "helps", "clerk")


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("moment", ["write draft", "publish"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rollback_of_an_agent_that_was_cut_off_ends_as_wanted(
    cli: Cli, helper: AgentAuthor, connected: str, moment: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    helper.say("You are evil.")
    helper.publish()
    helper.say("Somebody's draft.")

    effect = Change.effect

    async def killed(self: Change, name: str, work: Any, **facts: Any) -> Any:
        if (name, when) == (moment, "before"):
            raise KeyboardInterrupt
        result = await effect(self, name, work, **facts)
        if name == moment:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Change, "effect", killed)
        assert cli("snapshot", "rollback", "helper", "--to", "v1", "--yes").code == 130
    listed = cli("changes", "list", "-o", "json").json["data"]
    change = listed[0]["id"]
    how = "undo" if moment == "write draft" else "finish"
    ended = cli("changes", how, change, "--yes", "-o", "json")
    assert ended.code == 0, ended.err
    wanted = "You are evil." if how == "undo" else "You are a helper."
    assert helper.live()["prompt"]["system_prompt"] == wanted
    assert helper.soul()["prompt"]["system_prompt"] == "Somebody's draft."


def test_what_others_do_to_an_agent_meanwhile_is_never_lost(cli: Cli, helper: AgentAuthor, connected: str) -> None:
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    helper.say("You are evil.")
    helper.publish()
    effect = Change.effect
    done: list[str] = []

    async def overtaken(self: Change, name: str, work: Any, **facts: Any) -> Any:
        result = await effect(self, name, work, **facts)
        if name == "write draft" and not done:
            done.append(name)
            helper.say("Saved meanwhile.")
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Change, "effect", overtaken)
        ran = cli("snapshot", "rollback", "helper", "--to", "v1", "--yes", "-o", "json")
    assert ran.code == 0, ran.err
    assert helper.live()["prompt"]["system_prompt"] == "You are a helper."
    assert helper.soul()["prompt"]["system_prompt"] == "Saved meanwhile."


def test_a_deleted_agent_app_comes_back_switched_off_and_published(
    cli: Cli, helper: AgentAuthor, colleague: Colleague, connected: str
) -> None:
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    helper.call("DELETE", f"/agent/{helper.agent_id}")
    planned = cli("snapshot", "restore", "helper", "--to", "v1", "--dry-run", "-o", "json")
    assert any("soul:" in line for line in planned.json["data"]["apps"][0]["unresolved"])
    assert cli("snapshot", "restore", "helper", "--to", "v1", "--yes").code == 8
    done = cli("snapshot", "restore", "helper", "--to", "v1", "--yes", "--allow-missing", "-o", "json")
    assert done.code == 0, done.err
    app = colleague.call("GET", f"/apps/{done.json['data']['apps'][0]['app_id']}")
    assert (app["name"], app["mode"], app["enable_api"], app["enable_site"]) == ("helper", "agent", False, False)
    agent_id = app["bound_agent_id"]
    agent = colleague.call("GET", f"/agent/{agent_id}")
    assert (agent["role"], agent["description"]) == ("clerk", "helps")
    state = colleague.call("GET", f"/agent/{agent_id}/composer")
    assert state["active_config_is_published"]
    assert state["agent_soul"]["prompt"]["system_prompt"] == "You are a helper."
    assert "<difyops" not in str(state)


def test_an_agent_app_is_asked_shown_and_keyed_like_the_others(
    cli: Cli, helper: AgentAuthor, connected: str, own_place: Path
) -> None:
    old = helper.call("POST", f"/apps/{helper.app_id}/api-keys")["token"]
    assert cli("broadcast", "hello", "--to", "helper").code == 0
    shown = cli("app", "show", "helper", "-o", "json").json["data"][0]
    assert (shown["live"]["id"], shown["draft_edited"]) == (helper.live_id(), False)
    assert shown["uses"]["models"] == ["langgenius/openai/openai/gpt-4o-mini"]
    assert "agent-canary" not in str(shown)
    assert cli("history", "sync").code == 0
    place = own_place / "key"
    rotated = cli(
        "secret", "rotate", "app-key", "helper", "--yes", "--deliver", f"file:{place}", "--grace", "1s", "--force"
    )
    assert rotated.code == 0, rotated.err
    assert place.read_text().strip() not in ("", old)
    tokens = [row["token"] for row in helper.call("GET", f"/agent/{helper.agent_id}/api-keys")["data"]]
    assert tokens == [place.read_text().strip()]
