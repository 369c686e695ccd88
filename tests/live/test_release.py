"""A bad publish and its way back on a real instance (``make test-live``), with the seconds that it took."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import difyops.emulator
from tests.conftest import Cli
from tests.release.conftest import better, broken
from tests.snapshot.agent_author import MODEL, AgentAuthor
from tests.snapshot.colleague import Colleague

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

APPS = Path(difyops.emulator.__file__).parent / "known_apps"


@pytest.fixture
def app(colleague: Colleague) -> Iterator[tuple[str, str]]:
    """Make one published scratch app with a key; yield id and name; remove it."""
    name = f"difyops-live-release-{secrets.token_hex(3)}"
    text = (APPS / "wf-echo.yml").read_text()
    answer = colleague.call("POST", "/apps/imports", {"mode": "yaml-content", "yaml_content": text, "name": name})
    assert answer["status"].startswith("completed"), answer
    try:
        colleague.publish(answer["app_id"], "scratch")
        colleague.call("POST", f"/apps/{answer['app_id']}/api-keys", {})
        yield answer["app_id"], name
    finally:
        colleague.call("DELETE", f"/apps/{answer['app_id']}")


def ask(colleague: Colleague, app: str, count: int) -> int:
    """Ask the app; return how many answers came."""
    return sum(bool(colleague.run(app, {"text": f"hi {number}"})) for number in range(count))


def test_a_bad_publish_comes_back(cli: Cli, colleague: Colleague, app: tuple[str, str]) -> None:
    app_id, name = app
    assert ask(colleague, app_id, 40) == 40
    former = colleague.live(app_id)
    colleague.edit(app_id, broken)
    options = ("--plan", "bad.yaml", "--events", "8", "--least", "4", "--every", "1s", "-q")
    assert cli("release", "plan", name, "--no-shadow", *options).code == 0
    began = time.monotonic()
    assert cli("release", "apply", "bad.yaml", "--yes", "--wait", "0s").code == 3
    assert ask(colleague, app_id, 6) == 0
    assert cli("release", "apply", "bad.yaml", "--yes", "--wait", "0s").code == 3
    assert ask(colleague, app_id, 6) == 0
    back = cli("release", "apply", "bad.yaml", "--yes", "--wait", "30s", "-o", "json")
    seconds = time.monotonic() - began
    assert back.code == 5, (back.out, back.err)
    assert back.json["data"]["state"] == "rolled back"
    assert colleague.live(app_id)["graph"] == former["graph"]
    assert ask(colleague, app_id, 1) == 1
    assert cli("release", "plan", name, "--no-shadow").code == 8
    print(f"\nbad publish to restored version: {seconds:.1f} s, {back.json['data']['looks'][-1]['failed']} runs failed")
    assert seconds < 60


def test_a_shadow_and_a_pass(cli: Cli, colleague: Colleague, app: tuple[str, str]) -> None:
    app_id, name = app
    assert ask(colleague, app_id, 10) == 10
    colleague.edit(app_id, better)
    plan: tuple[Any, ...] = (
        "release",
        "plan",
        name,
        "--plan",
        "good.yaml",
        "--events",
        "4",
        "--least",
        "2",
        "--calls",
        "6",
    )
    assert cli(*plan).code == 0
    held = cli("release", "apply", "good.yaml", "--yes", "--wait", "0s", "-o", "json")
    assert held.code == 3, (held.out, held.err)
    assert held.json["data"]["shadow"]["word"] == "pass"
    assert named(colleague, name) == [name]
    assert ask(colleague, app_id, 5) == 5
    done = cli("release", "apply", "good.yaml", "--yes", "--wait", "0s", "-o", "json")
    assert done.code == 0, (done.out, done.err)
    print(f"\nshadow: {held.json['data']['shadow']['text']}")


def named(colleague: Colleague, name: str) -> list[str]:
    """Return the apps that have this name in theirs, as scratch copies of it have; others work on the server, too."""
    rows = list(colleague.call("GET", "/apps?limit=100")["data"])
    agents = colleague.http.get("/console/api/apps?limit=100&mode=agent")
    if agents.status_code == 200:  # older servers know no such mode
        rows += agents.json()["data"]
    return sorted({row["id"]: row["name"] for row in rows if name in row["name"]}.values())


def test_an_agent_app_stands_in_a_shadow_with_cases(cli: Cli, colleague: Colleague, own_place: Path) -> None:
    if colleague.http.get("/console/api/agent?page=1&limit=1").status_code != 200:
        pytest.skip("this server has no agent apps")
    helper = AgentAuthor(colleague, f"difyops-live-shadow-{secrets.token_hex(3)}")
    try:
        helper.edit(lambda soul: soul.update(model=MODEL))
        helper.say("You are a helper.")
        helper.publish("first")
        colleague.call("POST", f"/apps/{helper.app_id}/api-keys", {})
        helper.say("You are another helper.")
        rows = [{"id": str(number), "query": f"question {number}"} for number in range(4)]
        (own_place / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = (
            "release",
            "plan",
            helper.name,
            "--plan",
            "a.yaml",
            "--calls",
            "4",
            "--slower",
            "1000",
            "--cases",
            "c.jsonl",
        )
        assert cli(*words).code == 0
        held = cli("release", "apply", "a.yaml", "--yes", "--wait", "0s", "-o", "json")
        assert held.code == 3, (held.out, held.err)
        data = held.json["data"]
        assert named(colleague, helper.name) == [helper.name]
        assert data["shadow"]["pairs"] == 4
        if "caller" in data["shadow"]["text"]:  # this server has no agent service: every answer is an error
            assert data["state"] == "not published"
            return  # with AGENT_BACKEND_USE_FAKE=true the server answers by itself
        assert [(row["where"], row["word"]) for row in data["cases"]] == [("shadow", "pass"), ("live", "pass")], data
        assert helper.live()["prompt"]["system_prompt"] == "You are another helper."
        assert cli("release", "abort", helper.name, "--yes").code == 0
        assert helper.live()["prompt"]["system_prompt"] == "You are a helper."
        print(f"\nshadow of an agent app: {data['shadow']['text']}; live: {data['cases'][-1]['text']}")
    finally:
        colleague.call("DELETE", f"/apps/{helper.app_id}")
