"""Restoring: a deleted app, another instance, what cannot be resolved, imports that fail half way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague


@pytest.fixture
def elsewhere() -> Iterator[tuple[Emulator, str]]:
    """A second instance, empty."""
    emulator = Emulator(basics=False, seed=99)
    with emulator.listening() as url:
        yield emulator, url


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("name", ["wf-llm", "flow-chat", "chat-basic", "agent", "completion-basic", "wf-hook"])
def test_a_deleted_app_comes_back_switched_off(
    cli: Cli, v1: str, colleague: Colleague, tmp_path: Path, name: str
) -> None:
    token = tmp_path / "token"
    token.write_text("given-canary-token\n")
    token.chmod(0o600)
    app = colleague.app_id(name)
    before = colleague.live(app)["graph"] if name in ("wf-llm", "flow-chat", "wf-hook") else colleague.config(app)
    colleague.call("DELETE", f"/apps/{app}")
    gone = cli("snapshot", "rollback", name, "--to", v1, "--yes")
    assert gone.code == 2
    assert "snapshot restore" in gone.err
    words = ["--secret", f"env:API_TOKEN=file:{token}"] if name == "wf-llm" else []
    done = cli("snapshot", "restore", name, "--to", v1, "--yes", *words, "-o", "json")
    assert done.code == 0, done.err
    new = done.json["data"]["apps"][0]["app_id"]
    assert new != app
    detail = colleague.call("GET", f"/apps/{new}")
    assert (detail["name"], detail["enable_api"], detail["enable_site"]) == (name, False, False)
    if name == "wf-llm":
        assert colleague.live(new)["graph"] == before
        assert colleague.clear(new)["API_TOKEN"] == "given-canary-token"
    elif name in ("chat-basic", "agent", "completion-basic"):
        assert colleague.config(new)["pre_prompt"] == before["pre_prompt"]


def test_what_cannot_be_resolved_is_listed_and_nothing_is_created(cli: Cli, v1: str, colleague: Colleague) -> None:
    colleague.call("DELETE", f"/apps/{colleague.app_id('wf-llm')}")
    planned = cli("snapshot", "restore", "wf-llm", "--to", v1, "--dry-run", "-o", "json")
    assert planned.code == 8, "as what would follow"
    assert planned.json["data"]["apps"][0]["unresolved"] == [
        "secret environment variable API_TOKEN has no value (env:API_TOKEN)"
    ]
    refused = cli("snapshot", "restore", "wf-llm", "--to", v1, "--yes")
    assert refused.code == 8
    assert "wf-llm" not in [row["name"] for row in colleague.call("GET", "/apps?limit=100")["data"]]
    allowed = cli("snapshot", "restore", "wf-llm", "--to", v1, "--yes", "--allow-missing")
    assert allowed.code == 0
    assert "<difyops" not in str(colleague.clear(colleague.app_id("wf-llm")))


def test_an_app_that_is_still_there_is_for_rollback(cli: Cli, v1: str) -> None:
    refused = cli("snapshot", "restore", "wf-echo", "--to", v1, "--yes")
    assert refused.code == 8
    assert "snapshot rollback" in refused.err


def test_into_another_context_with_a_mapping(
    cli: Cli, v1: str, elsewhere: tuple[Emulator, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, url = elsewhere
    monkeypatch.setenv("OTHER_PASSWORD", other.password)
    monkeypatch.setenv("STAGING_TOKEN", "staging-canary-token")
    added = cli(
        "context", "add", "staging", "--user", "--url", url, "--email", other.email, "--password", "env:OTHER_PASSWORD"
    )
    assert added.code == 0, added.err
    mapping = tmp_path / "map.yaml"
    mapping.write_text("secrets:\n  env:API_TOKEN: env:STAGING_TOKEN\n")
    words = ("snapshot", "restore", "wf-llm", "--to", v1, "--from", "env", "-c", "staging", "--map", str(mapping))
    planned = cli(*words, "--dry-run", "-o", "json")
    assert planned.code == 0
    assert planned.json["data"]["apps"][0]["unresolved"] == [
        "model provider langgenius/openai/openai is not installed here"
    ] or (planned.json["data"]["apps"][0]["unresolved"] == [])
    done = cli(*words, "--yes", "--allow-missing", "--api")
    assert done.code == 0, done.err
    there = Colleague(url, str(other.admin_key), other.workspace_id)
    new = there.app_id("wf-llm")
    assert there.clear(new)["API_TOKEN"] == "staging-canary-token"
    assert there.call("GET", f"/apps/{new}")["enable_api"] is True


def test_a_mapping_with_a_mistake_names_file_line_and_field(cli: Cli, v1: str, tmp_path: Path) -> None:
    mapping = tmp_path / "map.yaml"
    mapping.write_text("datasets: {}\nsecret:\n  x: y\n")
    ran = cli("snapshot", "restore", "wf-llm", "--to", v1, "--map", str(mapping), "--yes")
    assert ran.code == 2
    assert f"{mapping}:2" in ran.err
    assert "secret" in ran.err


@pytest.mark.parametrize("version", ["1.13.0", "1.15"])
def test_a_failed_import_names_what_it_left_behind(cli: Cli, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    emulator = Emulator(version=version)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        assert cli("snapshot", "create", "--tag", "v1").code == 0
        colleague = Colleague(url, str(emulator.admin_key), emulator.workspace_id)
        colleague.call("DELETE", f"/apps/{colleague.app_id('wf-echo')}")
        emulator.control.mood("half_written_import")
        failed = cli("snapshot", "restore", "wf-echo", "--to", "v1", "--yes")
        emulator.control.mood("happy")
        left = [row["id"] for row in colleague.call("GET", "/apps?limit=100")["data"] if row["name"] == "wf-echo"]
    assert failed.code == 1
    assert all(app in failed.err for app in left)
    assert ("left an app behind" in failed.err) == bool(left)


def test_a_dsl_newer_than_the_server_waits_for_a_decision(
    cli: Cli, v1: str, colleague: Colleague, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = Emulator(version="1.11.2", basics=False)
    with older.listening() as url:
        monkeypatch.setenv("OLD_PASSWORD", older.password)
        reference = "env:OLD_PASSWORD"
        assert (
            cli("context", "add", "old", "--user", "--url", url, "--email", older.email, "--password", reference).code
            == 0
        )
        words = ("snapshot", "restore", "wf-echo", "--to", v1, "--from", "env", "-c", "old", "--yes")
        refused = cli(*words)
        assert refused.code == 8, refused.err
        assert "newer" in refused.err
        there = Colleague(url, str(older.admin_key), older.workspace_id)
        assert there.call("GET", "/apps?limit=100")["data"] == []
        assert cli(*words, "--confirm-newer").code == 0
        assert there.app_id("wf-echo")


def test_a_half_made_app_that_somebody_works_on_is_left_alone(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator
) -> None:
    colleague.call("DELETE", f"/apps/{colleague.app_id('wf-echo')}")
    emulator.control.fail(method="POST", path="workflows/publish", how="status:500", times=10)
    assert cli("snapshot", "restore", "wf-echo", "--to", v1, "--yes").code == 1
    emulator.control.clear_failures()
    rows = colleague.call("GET", "/apps?limit=100")["data"]
    half = next(row["id"] for row in rows if "restoring" in row["name"])
    colleague.edit(half, lambda document: document["graph"]["nodes"][0]["data"].update(title="theirs"))
    ended = cli("changes", "undo", "wf-echo", "--yes")
    assert ended.code == 8
    assert "left alone" in ended.out
    assert colleague.draft(half)["graph"]["nodes"][0]["data"]["title"] == "theirs"


@pytest.mark.parametrize("asked", [False, True])
def test_triggers_come_back_off_unless_asked_for_and_then_as_the_snapshot_holds_them(
    cli: Cli, v1: str, colleague: Colleague, asked: bool
) -> None:
    colleague.call("DELETE", f"/apps/{colleague.app_id('wf-hook')}")
    words = ["--triggers"] if asked else []
    done = cli("snapshot", "restore", "wf-hook", "--to", v1, "--yes", *words, "-o", "json")
    assert done.code == 0, done.err
    triggers = colleague.call("GET", f"/apps/{done.json['data']['apps'][0]['app_id']}/triggers")["data"]
    assert [item["status"] for item in triggers] == ["enabled" if asked else "disabled"]
