"""One app's history in the store, what a snapshot holds of it, what lies there in clear; bringing many apps back."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from difyops.git_store import GitStore
from tests.conftest import Cli
from tests.places import context_name
from tests.snapshot.colleague import Colleague, break_prompt, node, set_secret

KEY = "sk-canary-4f9a1c2b3d4e5f60718293a4b5c6d7e8"


def store_at(tmp_path: Path) -> Path:
    return tmp_path / "data" / "difyops" / "snapshots"


def test_the_history_of_one_app(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    colleague.edit(app, break_prompt)
    assert cli("snapshot", "create", "-q").code == 0
    colleague.publish(app, "broken")
    assert cli("snapshot", "create", "--tag", "v2", "-q").code == 0
    colleague.call("POST", f"/apps/{app}/api-enable", {"enable_api": False})
    assert cli("snapshot", "create", "-q").code == 0
    rows = cli("snapshot", "log", "wf-llm", "-o", "json").json["data"]
    assert [row["what"] for row in rows] == [
        ["settings"],
        ["live", "draft published or dropped"],
        ["draft"],
        ["first kept"],
    ]
    assert [row["tags"] for row in rows] == [[], ["v2"], [], ["v1"]]
    assert rows[1]["name"] == "broken"
    assert rows[1]["version"] != rows[2]["version"]
    assert len(cli("snapshot", "log", "wf-llm", "-n", "2", "-o", "json").json["data"]) == 2
    assert cli("snapshot", "log", "nobody").code == 2


def test_an_app_that_is_gone_has_its_history(cli: Cli, connected: str, colleague: Colleague) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    colleague.call("DELETE", f"/apps/{colleague.app_id('wf-llm')}")
    assert cli("snapshot", "create", "-q").code == 0
    rows = cli("snapshot", "log", "wf-llm", "-o", "json").json["data"]
    assert [row["what"] for row in rows] == [["removed"], ["first kept"]]


def test_one_app_of_a_snapshot(cli: Cli, connected: str, colleague: Colleague) -> None:
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    shown = cli("snapshot", "show", "v1", "wf-llm", "-o", "json").json["data"]
    assert shown["record"]["name"] == "wf-llm"
    assert shown["live"]["graph"]["nodes"]
    assert "llm" in cli("snapshot", "show", "v1", "wf-llm").out
    dsl = cli("snapshot", "show", "v1", "wf-llm", "--dsl")
    assert dsl.out.startswith("app:") or "kind: app" in dsl.out
    wrong = cli("snapshot", "show", "wf-llm")
    assert wrong.code == 2
    assert "difyops snapshot show latest wf-llm" in wrong.err
    assert cli("snapshot", "show", "v1", "nobody").code == 2
    assert cli("snapshot", "show", "v1", "--dsl").code == 2


def test_a_restored_app_keeps_the_history_of_the_one_it_came_from(
    cli: Cli, connected: str, colleague: Colleague
) -> None:
    app = colleague.app_id("wf-llm")
    good = colleague.live(app)["graph"]
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    colleague.edit(app, lambda document: node(document, "llm").update(title="second"))
    colleague.publish(app)
    assert cli("snapshot", "create", "--tag", "v2", "-q").code == 0
    colleague.call("DELETE", f"/apps/{app}")
    values = ("--secret", "env:API_TOKEN=env:VALUE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VALUE", "given-canary-5521")
        assert cli("snapshot", "restore", "wf-llm", "--to", "v2", "--yes", *values).code == 0
    assert cli("snapshot", "create", "-q").code == 0
    rows = cli("snapshot", "log", "wf-llm", "-o", "json").json["data"]
    new = colleague.app_id("wf-llm")
    assert [row["app_id"] == new for row in rows] == [True, False, False, False]
    done = cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert colleague.live(new)["graph"] == good
    assert cli("snapshot", "show", "v1", new, "-o", "json").json["data"]["record"]["id"] == app


def test_many_apps_come_back_at_once(cli: Cli, connected: str, colleague: Colleague) -> None:
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    for name in ("wf-echo", "chat-basic"):
        colleague.call("DELETE", f"/apps/{colleague.app_id(name)}")
    planned = cli("snapshot", "restore", "all", "--to", "v1", "--dry-run", "-o", "json")
    assert {item["app_name"] for item in planned.json["data"]["apps"]} == {"wf-echo", "chat-basic"}
    done = cli("snapshot", "restore", "all", "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert {item["plan"]["app_name"] for item in done.json["data"]["apps"]} == {"wf-echo", "chat-basic"}
    assert len(done.json["data"]["still_here"]) == 6
    assert colleague.app_id("wf-echo")
    again = cli("snapshot", "restore", "all", "--to", "v1", "--yes", "-o", "json").json
    assert (again["data"]["apps"], again["data"]["failed"]) == ([], {})
    assert cli("snapshot", "restore", "wf-*", "chat-*", "--name", "x", "--to", "v1", "--yes").code == 2


def test_apps_of_one_name_come_back_beside_each_other(cli: Cli, connected: str, colleague: Colleague) -> None:
    echo, chat = colleague.app_id("wf-echo"), colleague.app_id("chat-basic")
    colleague.call("PUT", f"/apps/{chat}", {"name": "wf-echo", "icon_type": "emoji", "icon": "x", "description": ""})
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    colleague.call("DELETE", f"/apps/{echo}")
    one = cli("snapshot", "restore", echo, "--to", "v1", "--yes")  # the other one is here still
    assert one.code == 0, one.err
    for row in [row for row in colleague.call("GET", "/apps?limit=100")["data"] if row["name"] == "wf-echo"]:
        colleague.call("DELETE", f"/apps/{row['id']}")
    both = cli("snapshot", "restore", "all", "--to", "v1", "--yes", "-o", "json")
    assert both.code == 0, both.err
    assert sorted(item["plan"]["former_id"] for item in both.json["data"]["apps"]) == sorted((echo, chat))
    again = cli("snapshot", "restore", echo, "--to", "v1", "--yes")
    assert again.code == 8, again.err  # it came back already


def test_secrets_of_older_snapshots_are_found_by_commit_and_place(
    cli: Cli, connected: str, colleague: Colleague, tmp_path: Path
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    clean = cli("snapshot", "leaks", "-o", "json")
    assert (clean.code, clean.json["data"]) == (0, [])
    app, branch = colleague.app_id("wf-llm"), context_name()
    store = GitStore.open(store_at(tmp_path))
    path = f"apps/{app}/live.json"
    base = store.head(branch)
    sealed = store.read(branch, path)
    document: dict[str, Any] = json.loads(sealed)
    node(document, "llm")["prompt_template"][0]["text"] = f"Authorization: Bearer {KEY}"
    when = datetime(2026, 1, 2, tzinfo=UTC)

    def keep(content: bytes, at: str | None) -> str:
        files = {path: content}
        return store.commit(branch, files, base=at, replace=False, message="by hand", author="a <a@b>", when=when)

    leaky = keep(json.dumps(document).encode(), base)
    keep(sealed, leaky)
    found = cli("snapshot", "leaks", "-o", "json")
    assert found.code == 5
    [leak] = found.json["data"]
    assert (leak["app"], leak["file"], leak["first"], leak["last"]) == ("wf-llm", "live.json", leaky, leaky)
    assert (leak["commits"], leak["at_head"]) == (1, False)
    assert KEY not in found.out + found.err + cli("snapshot", "leaks").out
    assert "Rotate these secrets first" in cli("snapshot", "leaks").err


def test_no_branch_of_a_clone_is_missed(cli: Cli, connected: str, tmp_path: Path) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(store_at(tmp_path)), str(clone)], check=True)
    assert cli("snapshot", "log", "wf-llm", "--store", str(clone)).code == 0
    assert cli("snapshot", "leaks", "--store", str(clone)).code == 0


@pytest.mark.parametrize("value", ["eu-central-1", "true", "https://api.example.com/v2"])
def test_a_given_value_that_also_stands_elsewhere_in_the_app_is_no_failed_proof(
    cli: Cli, connected: str, colleague: Colleague, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, set_secret(value))
    colleague.edit(app, lambda document: node(document, "llm")["prompt_template"][0].update(text=f"Hosted in {value}."))
    colleague.publish(app)
    assert cli("snapshot", "create", "-q").code == 0
    colleague.call("DELETE", f"/apps/{app}")
    monkeypatch.setenv("VALUE", value)
    done = cli("snapshot", "restore", "wf-llm", "--yes", "--secret", "env:API_TOKEN=env:VALUE")
    assert done.code == 0, done.err
    new = colleague.app_id("wf-llm")
    assert node(colleague.live(new), "llm")["prompt_template"][0]["text"] == f"Hosted in {value}."
