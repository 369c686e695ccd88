"""The main job, as an operator lives it: snapshot, something breaks, drift, rollback, proof."""

from __future__ import annotations

import json

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, break_prompt, node, set_secret
from tests.waiting import let_pass

WORKFLOW_APPS = ("wf-llm", "flow-chat")
CHAT_APPS = ("chat-basic", "agent", "completion-basic")


def test_first_snapshot_then_nothing_to_do(cli: Cli, connected: str) -> None:
    first = cli("snapshot", "create", "--tag", "v1", "-o", "json")
    assert first.code == 0
    assert first.json["data"]["complete"]
    again = cli("snapshot", "create", "-o", "json")
    assert again.code == 0
    assert again.json["data"]["changed"] is False
    assert again.json["data"]["commit"] == first.json["data"]["commit"]
    assert cli("snapshot", "drift").code == 0
    assert cli("snapshot", "verify").code == 0


def test_a_bad_publish_is_drift_and_rolls_back_with_live_secrets(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    good = colleague.run(app, {"query": "hi"})
    assert "tok=tok-" in str(good)
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    assert colleague.run(app, {"query": "hi"}) == {}

    drift = cli("snapshot", "drift", "-o", "json")
    assert drift.code == 5
    assert [(item["name"], item["kind"]) for item in drift.json["data"]["apps"]] == [("wf-llm", "live changed")]
    assert drift.json["data"]["apps"][0]["who"]
    assert drift.json["data"]["apps"][0]["when"]

    done = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert done.json["data"]["apps"][0]["state"] == "rolled back"
    assert all(proof["ok"] for proof in done.json["data"]["apps"][0]["proofs"])
    assert colleague.app_id("wf-llm") == app
    assert colleague.run(app, {"query": "hi"}) == good
    assert cli("snapshot", "drift").code == 0


@pytest.mark.exhaustive(16)
@pytest.mark.parametrize("version", ["1.9.1", "1.11.2", "1.13.0", "1.13.3", "1.15"])
@pytest.mark.parametrize("name", [*WORKFLOW_APPS, *CHAT_APPS])
def test_every_mode_rolls_back_on_every_version(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, version: str, name: str
) -> None:
    emulator = Emulator(version=version)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        assert cli("snapshot", "create", "--tag", "v1").code == 0
        colleague = Colleague(url, str(emulator.admin_key), emulator.workspace_id)
        app = colleague.app_id(name)
        if name in WORKFLOW_APPS:
            colleague.edit(app, break_prompt)
            colleague.publish(app)
        else:
            colleague.set_config(app, lambda config: config.update(pre_prompt="BROKEN"))
        assert cli("snapshot", "drift", name).code == 5
        done = cli("snapshot", "rollback", name, "--to", "v1", "--yes")
        assert done.code == 0, done.err
        assert cli("snapshot", "drift").code == 0
        if name == "wf-llm":
            assert colleague.clear(app)["API_TOKEN"].startswith("tok-")


def test_a_rotated_secret_stays_rotated(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, set_secret("rotated-canary-1"))
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes").code == 0
    assert "tok=rotated-canary-1" in str(colleague.run(app, {"query": "hi"}))


def test_the_old_secret_comes_back_only_when_asked_for(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    before = colleague.clear(app)["API_TOKEN"]
    colleague.edit(app, set_secret("rotated-canary-2"))
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes", "--with-old-secrets").code == 0
    assert f"tok={before}" in str(colleague.run(app, {"query": "hi"}))


def test_a_colleagues_unpublished_draft_survives_with_its_own_secret(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, break_prompt)
    colleague.publish(app)

    def unfinished(document: dict) -> None:
        node(document, "start")["title"] = "half done"
        set_secret("draft-canary-3")(document)

    colleague.edit(app, unfinished)
    drafted = colleague.draft(app)
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes").code == 0
    after = colleague.draft(app)
    assert after["graph"] == drafted["graph"]
    assert after["environment_variables"] == drafted["environment_variables"]
    assert colleague.clear(app)["API_TOKEN"] == "draft-canary-3"
    assert "tok=tok-" in str(colleague.run(app, {"query": "hi"}))


def test_name_and_description_stay_as_they_are_now(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    detail = colleague.call("GET", f"/apps/{app}")
    body = {key: detail[key] for key in ("icon", "icon_type", "icon_background")}
    colleague.call("PUT", f"/apps/{app}", {**body, "name": "renamed", "description": "new words"})
    assert cli("snapshot", "rollback", app, "--to", v1, "--yes").code == 0
    now = colleague.call("GET", f"/apps/{app}")
    assert (now["name"], now["description"]) == ("renamed", "new words")


def test_a_disabled_trigger_stays_disabled(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-hook")
    trigger = colleague.call("GET", f"/apps/{app}/triggers")["data"][0]
    colleague.call("POST", f"/apps/{app}/trigger-enable", {"trigger_id": trigger["id"], "enable_trigger": False})
    address = colleague.call("GET", f"/apps/{app}/workflows/triggers/webhook?node_id={trigger['node_id']}")
    colleague.edit(app, lambda document: document["graph"].update(edges=document["graph"]["edges"][:-1]))
    colleague.publish(app)
    assert cli("snapshot", "rollback", "wf-hook", "--to", v1, "--yes").code == 0
    now = colleague.call("GET", f"/apps/{app}/triggers")["data"][0]
    assert now["status"] == "disabled"
    same = colleague.call("GET", f"/apps/{app}/workflows/triggers/webhook?node_id={trigger['node_id']}")
    assert same["webhook_url"] == address["webhook_url"]


def test_rollback_all_brings_every_app_back(cli: Cli, v1: str, colleague: Colleague) -> None:
    for name in WORKFLOW_APPS:
        colleague.edit(colleague.app_id(name), break_prompt)
        colleague.publish(colleague.app_id(name))
    colleague.set_config(colleague.app_id("agent"), lambda config: config.update(pre_prompt="BROKEN"))
    done = cli("snapshot", "rollback", "all", "--to", v1, "--yes", "-o", "json")
    assert done.code == 0
    moved = {item["app_name"] for item in done.json["data"]["apps"] if item["state"] == "rolled back"}
    assert moved == {*WORKFLOW_APPS, "agent"}
    assert cli("snapshot", "drift").code == 0


def test_the_test_run_keeps_a_broken_version_from_going_live(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    assert cli("snapshot", "create", "--tag", "broken").code == 0
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes").code == 0
    live = colleague.live(app)["id"]
    refused = cli("snapshot", "rollback", "wf-llm", "--to", "broken", "--yes", "--smoke", '{"query": "hi"}')
    assert refused.code == 1
    assert "blank outputs" in refused.err
    assert colleague.live(app)["id"] == live
    assert cli("snapshot", "drift", "wf-llm").code == 5  # against the newest snapshot, which is the broken one
    assert cli("snapshot", "diff", v1, "--app", "wf-llm", "-o", "json").json["data"]["apps"] == []
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes", "--smoke", '{"query": "hi"}').code == 0


def test_a_dry_run_writes_nothing_anywhere(cli: Cli, v1: str, colleague: Colleague, emulator: Emulator) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    live = colleague.live(app)["id"]
    emulator.control.reset_counts()
    planned = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--dry-run", "-o", "json")
    assert planned.code == 0
    assert planned.json["data"]["apps"][0]["id"]
    assert planned.json["data"]["apps"][0]["changes"]
    assert colleague.live(app)["id"] == live
    routes: dict = dict(emulator.control.counts())["routes"]  # type: ignore[assignment]
    writes = [route for route in routes if not route.startswith("GET")]
    assert [route for route in writes if "login" not in route and "current" not in route] == []


def test_a_plan_made_before_somebody_published_is_refused(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    plan = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--dry-run", "-o", "name").out.strip()
    colleague.publish(app)
    stale = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes", "--plan", plan)
    assert stale.code == 8
    fresh = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--dry-run", "-o", "name").out.strip()
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes", "--plan", fresh).code == 0


def test_without_terminal_and_yes_it_is_refused(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    live = colleague.live(app)["id"]
    refused = cli("snapshot", "rollback", "wf-llm", "--to", v1)
    assert refused.code == 8
    assert "--yes" in refused.err
    assert colleague.live(app)["id"] == live


def test_name_and_icon_come_back_when_asked_for(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    before = colleague.call("GET", f"/apps/{app}")
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    body = {"name": "renamed", "description": "new", "icon": "🔥", "icon_type": "emoji", "icon_background": "#000000"}
    colleague.call("PUT", f"/apps/{app}", {**body, "max_active_requests": 7})
    done = cli("snapshot", "rollback", app, "--to", v1, "--yes", "--with-name", "-m", "after the incident")
    assert done.code == 0, done.err
    now = colleague.call("GET", f"/apps/{app}")
    assert [now[key] for key in ("name", "description", "icon")] == [
        before[key] for key in ("name", "description", "icon")
    ]
    assert now["max_active_requests"] == 7
    assert colleague.live(app)["marked_comment"].endswith(" after the incident")


def http_node(key: str) -> dict:
    return {
        "id": "http1",
        "type": "custom",
        "position": {"x": 0, "y": 0},
        "data": {
            "type": "http-request",
            "title": "Call",
            "method": "get",
            "url": "https://api.example.com",
            "headers": f"X-Api-Key:{key}",
            "params": "",
            "body": {"type": "none", "data": []},
            "authorization": {"type": "api-key", "config": {"type": "bearer", "api_key": key}},
        },
    }


def test_a_key_in_an_http_node_goes_back_with_its_version(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, lambda document: document["graph"]["nodes"].append(http_node("old-http-key-1")))
    colleague.publish(app)
    assert cli("snapshot", "create", "--tag", "v1").code == 0

    def rotate_and_break(document: dict) -> None:
        node(document, "http-request").update(http_node("new-http-key-2")["data"])
        break_prompt(document)

    colleague.edit(app, rotate_and_break)
    colleague.publish(app)
    assert cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes").code == 0
    live = node(colleague.live(app), "http-request")
    assert live["headers"] == "X-Api-Key:old-http-key-1"
    assert live["authorization"]["config"]["api_key"] == "old-http-key-1"


def test_a_key_whose_node_is_gone_comes_from_the_old_version(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, lambda document: document["graph"]["nodes"].append(http_node("old-http-key-1")))
    colleague.publish(app)
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    colleague.edit(app, lambda document: document["graph"]["nodes"].pop())
    colleague.publish(app)
    planned = cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--dry-run", "-o", "json").json["data"]["apps"][0]
    assert planned["problems"] == []
    assert any("comes from the old version" in note for note in planned["notes"])
    assert cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes").code == 0
    assert node(colleague.live(app), "http-request")["headers"] == "X-Api-Key:old-http-key-1"


def test_what_cannot_be_brought_back_is_said_before_anything_is_written(
    cli: Cli, connected: str, colleague: Colleague, emulator: Emulator
) -> None:
    app = colleague.app_id("wf-llm")

    def with_knowledge(document: dict) -> None:
        data = {"type": "knowledge-retrieval", "title": "K", "dataset_ids": ["6ad21e94-d676-4dc7-b609-fb8dec4dd701"]}
        tool = {"type": "tool", "title": "T", "provider_id": "gone", "provider_type": "builtin", "tool_name": "x"}
        pinned = {**tool, "provider_id": "langgenius/google/google", "credential_id": "retired-long-ago"}
        for number, item in enumerate((data, tool, pinned)):
            document["graph"]["nodes"].append(
                {"id": f"x{number}", "type": "custom", "position": {"x": 0, "y": 0}, "data": item}
            )

    colleague.edit(app, with_knowledge)
    colleague.publish(app)
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    colleague.edit(app, lambda document: document["graph"].update(nodes=document["graph"]["nodes"][:-3]))
    colleague.publish(app)
    live = colleague.live(app)["id"]
    planned = cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--dry-run", "-o", "json").json["data"]["apps"][0]
    assert len(planned["problems"]) == 3
    assert (
        "the credential retired-long-ago of tool provider langgenius/google/google was deleted" in planned["problems"]
    )
    refused = cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes")
    assert refused.code == 8
    assert colleague.live(app)["id"] == live
    assert cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes", "--allow-missing").code == 0


def test_a_look_at_one_app_does_not_pass_for_a_look_at_all(cli: Cli, v1: str, colleague: Colleague) -> None:
    whole = cli("snapshot", "drift", "-o", "json").json["data"]["checked_at"]
    let_pass(1.1)
    assert cli("snapshot", "create", "wf-llm").code == 0
    assert cli("snapshot", "drift", "-o", "json").json["data"]["checked_at"] == whole
    assert cli("snapshot", "create").code == 0
    assert cli("snapshot", "drift", "-o", "json").json["data"]["checked_at"] > whole


@pytest.mark.parametrize("ending", [("--dry-run",), ("--yes",)])
def test_one_app_and_two_have_one_shape(cli: Cli, v1: str, ending: tuple[str, ...]) -> None:
    def shape(*apps: str) -> tuple[str, set[str], set[str]]:
        envelope = cli("snapshot", "rollback", *apps, "--to", v1, *ending, "-o", "json").json
        rows = cli("snapshot", "rollback", *apps, "--to", v1, *ending, "-o", "ndjson").out.splitlines()
        assert len(rows) == len(envelope["data"]["apps"]) == len(apps)
        assert set(json.loads(rows[0])) == set(envelope["data"]["apps"][0])
        return envelope["kind"], set(envelope["data"]), set(envelope["data"]["apps"][0])

    assert shape("wf-llm") == shape("wf-llm", "wf-echo")


def test_what_a_way_back_takes_away_may_be_of_any_type(cli: Cli, v1: str, colleague: Colleague) -> None:
    """Going to the version with one edge less: the edge is told as a list, as it is where one comes back."""
    app = colleague.app_id("wf-llm")
    whole = colleague.live(app)["graph"]["edges"]
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    assert cli("snapshot", "create", "wf-llm", "--tag", "v2", "-q").code == 0
    for tag, edges in ((v1, whole), ("v2", whole[:-1])):
        for word in ("--dry-run", "--yes"):
            done = cli("snapshot", "rollback", "wf-llm", "--to", tag, word, "-o", "json")
            assert done.code == 0, done.err
        assert len(colleague.live(app)["graph"]["edges"]) == len(edges)
