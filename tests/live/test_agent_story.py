"""Agent apps on a real instance of 1.15 or newer: kept, compared, rolled back, restored, keyed; removed at the end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.snapshot.agent_author import MODEL, AgentAuthor
from tests.snapshot.colleague import Colleague
from tests.snapshot.test_canary import everything_below

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
CANARY = "agent-canary-live-1"


@pytest.fixture
def agent(colleague: Colleague) -> Iterator[AgentAuthor]:
    """Make a published agent app with a secret; remove it and what was restored of it."""
    if colleague.http.get("/console/api/agent?page=1&limit=1").status_code != 200:
        pytest.skip("this server has no agent apps")
    author = AgentAuthor(colleague, f"difyops-live-agent-{secrets.token_hex(3)}")

    def fill(soul: dict[str, Any]) -> None:
        soul["prompt"]["system_prompt"] = "You are a helper."
        soul["model"] = MODEL
        soul["env"]["secret_refs"] = [{"name": "TOKEN", "key": "TOKEN", "value": CANARY}]

    try:
        author.edit(fill)
        author.publish("first")
        yield author
    finally:
        for row in colleague.call("GET", "/apps?limit=100&mode=agent")["data"]:
            if row["name"].startswith(author.name):
                colleague.call("DELETE", f"/apps/{row['id']}")


def _kinds(cli: Cli, name: str) -> list[str]:
    return [row["kind"] for row in cli("snapshot", "drift", name, "-o", "json").json["data"]["apps"]]


def test_an_agent_app_is_kept_compared_and_rolled_back(cli: Cli, agent: AgentAuthor, own_place: Path) -> None:
    name = agent.name
    assert name in cli("app", "list", "-o", "name").out
    taken = cli("snapshot", "create", name, "--tag", "v1", "-o", "json")
    assert taken.code == 0, taken.err
    assert _kinds(cli, name) == []
    assert CANARY.encode() not in everything_below(own_place)
    agent.say("You are evil.")
    assert _kinds(cli, name) == ["draft edited"]
    agent.edit(lambda soul: soul["env"]["secret_refs"][0].update(value="agent-canary-live-2"))
    agent.publish()
    assert _kinds(cli, name) == ["live changed"]
    agent.say("A draft that nobody published.")
    done = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err + done.out
    assert all(proof["ok"] for proof in done.json["data"]["apps"][0]["proofs"])
    live = agent.live()
    assert live["prompt"]["system_prompt"] == "You are a helper."
    assert live["env"]["secret_refs"][0]["value"] == "agent-canary-live-2"
    assert agent.soul()["prompt"]["system_prompt"] == "A draft that nobody published."
    agent.call("PUT", f"/agent/{agent.agent_id}", {"name": name, "description": "d", "role": "boss"})
    with_name = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "--with-name")
    assert with_name.code == 0, with_name.err
    assert agent.call("GET", f"/agent/{agent.agent_id}")["role"] == "clerk"


def test_an_agent_app_comes_back_and_its_key_is_rotated(cli: Cli, agent: AgentAuthor, own_place: Path) -> None:
    old = agent.call("POST", f"/apps/{agent.app_id}/api-keys")["token"]
    place = own_place / "key"
    rotated = cli(
        "secret", "rotate", "app-key", agent.name, "--yes", "--deliver", f"file:{place}", "--grace", "1s", "--force"
    )
    assert rotated.code == 0, rotated.err
    assert place.read_text().strip() not in ("", old)
    assert cli("snapshot", "create", agent.name, "--tag", "v1").code == 0
    agent.call("DELETE", f"/agent/{agent.agent_id}")
    done = cli("snapshot", "restore", agent.name, "--to", "v1", "--yes", "--allow-missing", "-o", "json")
    assert done.code == 0, done.err + done.out
    app = agent.call("GET", f"/apps/{done.json['data']['apps'][0]['app_id']}")
    assert (app["name"], app["enable_api"], app["enable_site"]) == (agent.name, False, False)
    state = agent.call("GET", f"/agent/{app['bound_agent_id']}/composer")
    assert state["active_config_is_published"]
    assert state["agent_soul"]["prompt"]["system_prompt"] == "You are a helper."
