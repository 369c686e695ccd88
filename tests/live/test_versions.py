"""The server's own versions, drift beside the workflow and a restored app's history, against a real instance."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, break_prompt, set_secret

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
HERE = Path(__file__).parent


@pytest.fixture
def name(colleague: Colleague) -> Iterator[str]:
    """Make a scratch workflow and remove what bears its name at the end."""
    called = f"difyops-live-versions-{secrets.token_hex(3)}"
    text = (HERE / "dsl" / "wf-llm.yml").read_text()
    made = colleague.call("POST", "/apps/imports", {"mode": "yaml-content", "yaml_content": text, "name": called})
    colleague.publish(made["app_id"], "first")
    yield called
    for row in colleague.call("GET", f"/apps?limit=100&name={called}")["data"]:
        colleague.call("DELETE", f"/apps/{row['id']}")


def test_a_version_of_the_server_is_a_way_back(cli: Cli, colleague: Colleague, name: str) -> None:
    app = colleague.app_id(name)
    good = colleague.live(app)
    colleague.edit(app, set_secret("live-rotated-2"))
    colleague.edit(app, break_prompt)
    colleague.publish(app, "second")
    rows = cli("app", "versions", name, "-o", "json").json["data"]
    assert [(row["name"], row["live"]) for row in rows] == [("second", True), ("first", False)]
    assert rows[0]["changes"] >= 2
    done = cli("snapshot", "rollback", name, "--to", "previous", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert all(proof["ok"] for proof in done.json["data"]["apps"][0]["proofs"])
    assert colleague.live(app)["graph"] == good["graph"]
    assert "live-rotated-2" in colleague.clear(app).values()
    by_id = cli("snapshot", "rollback", name, "--to", rows[0]["id"], "--yes", "-o", "json")
    assert by_id.code == 0, by_id.err
    assert colleague.live(app)["graph"] != good["graph"]


def test_what_is_set_beside_the_workflow_is_drift(cli: Cli, colleague: Colleague, name: str) -> None:
    app = colleague.app_id(name)
    assert cli("snapshot", "create", name, "--tag", "v1", "-q").code == 0
    assert cli("snapshot", "drift", name).code == 0
    now = colleague.call("GET", f"/apps/{app}")
    kept = ("name", "icon_type", "icon", "icon_background")
    colleague.call("PUT", f"/apps/{app}", {**{key: now[key] for key in kept}, "description": "another one"})
    found = cli("snapshot", "drift", name, "-o", "json")
    assert [item["kind"] for item in found.json["data"]["apps"]] == ["settings changed"]
    assert cli("snapshot", "create", name, "-q").code == 0
    assert cli("snapshot", "drift", name).code == 0


def test_a_restored_app_keeps_its_history(
    cli: Cli, colleague: Colleague, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = colleague.app_id(name)
    good = colleague.live(app)["graph"]
    assert cli("snapshot", "create", name, "--tag", "v1", "-q").code == 0
    colleague.edit(app, break_prompt)
    colleague.publish(app, "second")
    assert cli("snapshot", "create", name, "--tag", "v2", "-q").code == 0
    colleague.call("DELETE", f"/apps/{app}")
    monkeypatch.setenv("VALUE", "live-given-3")
    done = cli("snapshot", "restore", name, "--to", "v2", "--yes", "--secret", "env:API_TOKEN=env:VALUE")
    assert done.code == 0, done.err
    new = colleague.app_id(name)
    assert new != app
    rows = cli("snapshot", "log", name, "-o", "json").json["data"]
    assert len(rows) == 2
    back = cli("snapshot", "rollback", name, "--to", "v1", "--yes", "-o", "json")
    assert back.code == 0, back.err
    assert colleague.live(new)["graph"] == good
