"""``difyops doctor``: one row a check, a next step for what is wrong, exit 5 when anything failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import VERSIONS, Emulator
from difyops.emulator.routes import all_routes
from difyops.emulator.routing import Router
from tests import faults
from tests.conftest import Cli
from tests.places import context_name


def verdicts(cli: Cli, *words: str) -> tuple[int, dict[str, Any]]:
    ran = cli("doctor", *words, "-o", "json")
    return ran.code, {check["name"]: check for check in ran.json["data"]["checks"]}


def test_a_sound_machine_and_instance_pass(cli: Cli, connected: str) -> None:
    code, checks = verdicts(cli)
    assert code == 0
    for name in ("python", "git", "state folder", "disk", "context", "instance", "login", "clock", "apps", "audit log"):
        assert checks[name]["verdict"] == "pass", checks[name]
    assert checks["keyring"]["verdict"] == "skipped"
    assert checks["store"]["verdict"] == "warn"


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_examined(cli: Cli, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(version)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        code, checks = verdicts(cli)
    assert code == 0, checks
    assert "owner" in checks["login"]["found"]


def test_a_console_without_the_service_api_is_told(cli: Cli, emulator: Emulator, connected: str) -> None:
    without = replace(emulator.instance.release, lacks=("^/v1/",))
    emulator._application.router = Router(all_routes(), without)
    code, checks = verdicts(cli)
    assert (code, checks["instance"]["verdict"], checks["login"]["verdict"]) == (0, "warn", "pass")
    assert "no service API (/v1)" in checks["instance"]["found"]
    assert "api_url" in checks["instance"]["hint"]


def test_without_an_instance_the_rest_is_examined(cli: Cli) -> None:
    code, checks = verdicts(cli)
    assert code == 5
    assert checks["git"]["verdict"] == "pass"
    assert checks["context"]["verdict"] == "fail"
    assert "difyops context add" in checks["context"]["hint"]


def test_an_instance_that_is_down_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFY_BASE_URL", f"http://127.0.0.1:{faults.free_port()}")
    monkeypatch.setenv("DIFY_EMAIL", "a@b.example")
    monkeypatch.setenv("DIFY_PASSWORD", "canary-pass")
    code, checks = verdicts(cli)
    assert code == 5
    assert "cannot connect" in checks["instance"]["found"]


def test_a_wrong_password_is_tried_once_by_all_checks_together(
    cli: Cli, emulator: Emulator, connected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFY_PASSWORD", "canary-wrong-1")
    code, checks = verdicts(cli)
    assert code == 5
    assert checks["login"]["verdict"] == "fail"
    assert emulator.account("owner").failures == 1


def test_a_role_that_cannot_keep_secrets_fails(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.account("owner").role = "normal"
    code, checks = verdicts(cli)
    assert (code, checks["login"]["verdict"]) == (5, "fail")


@pytest.mark.parametrize("stamp", ["yesterday", "", "Mon, 99 Foo 2026 25:00:00 GMT"])
def test_a_clock_that_makes_no_sense_is_no_crash(cli: Cli, stamp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = {"/console/api/setup": faults.answer(200, {"step": "finished"}, date=stamp)}
    with faults.serving(faults.by_path(setup, faults.answer(500, {}))) as server:
        monkeypatch.setenv("DIFY_BASE_URL", server.url)
        monkeypatch.setenv("DIFY_EMAIL", "a@b.example")
        monkeypatch.setenv("DIFY_PASSWORD", "canary-pass")
        _, checks = verdicts(cli)
    assert checks["clock"]["verdict"] == "skipped"


def test_a_state_folder_that_cannot_be_used_is_named(
    cli: Cli, connected: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_place / "a-file").touch()
    monkeypatch.setenv("DIFYOPS_STATE", str(own_place / "a-file" / "state"))
    code, checks = verdicts(cli)
    assert (code, checks["state folder"]["verdict"]) == (5, "fail")


def test_after_a_snapshot_plaintext_secrets_are_named_and_not_shown(
    cli: Cli, emulator: Emulator, connected: str
) -> None:
    app = emulator.app_named("wf-echo")
    assert app.draft
    canary = "sk-canary0123456789abcdefghijkl"
    graph = app.draft.graph
    graph["nodes"][0]["data"]["desc"] = f"call it with {canary}"
    app.draft.store_graph(graph, app.draft.features)
    assert app.live
    app.live.store_graph(graph, app.live.features)
    app.changed()
    assert cli("snapshot", "create", "--yes").code == 0
    ran = cli("doctor", "-o", "json")
    found = [check for check in ran.json["data"]["checks"] if check["name"].startswith("plaintext secret")]
    assert any(check["verdict"] == "warn" and "wf-echo" in check["found"] for check in found), found
    assert canary not in ran.out + ran.err


def test_the_failed_checks_are_the_names(cli: Cli) -> None:
    assert cli("doctor", "-o", "name").out == "context\n"


def test_it_changes_nothing_on_the_instance(cli: Cli, emulator: Emulator, connected: str) -> None:
    cli("doctor")
    routes = emulator.control.counts()["routes"]
    assert isinstance(routes, dict)
    writing = {route for route in routes if not route.startswith("GET ")}
    assert writing <= {"POST /console/api/login", "POST /console/api/workspaces/current"}


@pytest.mark.parametrize(
    ("mood", "words", "row", "says"),
    [
        ("redis_down", (), "parts", "redis"),
        ("daemon_down", (), "parts", "plugin daemon"),
        ("worker_down", ("--set", "probe_app=wf-echo", "--deadline", "60s"), "worker", "worker"),
    ],
)
def test_a_part_that_is_down_is_named_though_the_health_page_says_ok(
    cli: Cli, emulator: Emulator, connected: str, mood: str, words: tuple[str, ...], row: str, says: str
) -> None:
    emulator.control.mood(mood)
    code, checks = verdicts(cli, *words)
    assert code == 5
    assert checks[row]["verdict"] == "fail", checks[row]
    assert says in checks[row]["found"]


def test_what_it_did_not_look_at_says_what_it_needs(cli: Cli, connected: str) -> None:
    _, checks = verdicts(cli)
    for name in ("worker", "queues"):
        assert checks[name]["verdict"] == "skipped"
        assert "difyops doctor --set" in checks[name]["hint"]


def test_it_agrees_with_the_list_of_secrets(cli: Cli, emulator: Emulator, connected: str) -> None:
    app = emulator.app_named("wf-echo")
    assert app.live
    graph = app.live.graph
    graph["nodes"][0]["data"]["desc"] = "call it with sk-canary0123456789abcdefghijkl"
    app.live.store_graph(graph, app.live.features)
    app.changed()
    listed = cli("secret", "list", "-o", "json").json["data"]["in_clear"]
    _, checks = verdicts(cli)
    assert any(row["app"] == "wf-echo" for row in listed)
    assert checks["plaintext secrets"]["found"].startswith(f"{len(listed)} in clear")


def test_a_last_look_in_the_future_is_a_finding(cli: Cli, connected: str, own_place: Path) -> None:
    from difyops.config import load
    from difyops.git_store import GitStore

    assert cli("snapshot", "create", "--yes").code == 0
    GitStore.open(load().store).note(context_name(), b'{"checked_at": "2101-01-01T00:00:00Z"}')
    _, checks = verdicts(cli)
    assert checks["store"]["verdict"] == "warn"
    assert "from now" in checks["store"]["found"]
