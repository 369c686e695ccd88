"""Faults while the main job is done: others at work, a failing server, a full disk, a store edited by hand."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difyops import config
from difyops.api.instance import ConnectOptions, connect
from difyops.changes import ChangeRecord, Journal
from difyops.clock import SystemClock
from difyops.emulator import Emulator
from difyops.errors import DifyopsError, NotFound
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.snapshot.history import kept_app
from difyops.snapshot.rollback import RollbackOptions, RolledBack, roll_back
from difyops.workspace import Workspace
from tests.conftest import Cli
from tests.places import context_name
from tests.processes import Process
from tests.snapshot.colleague import Colleague, break_prompt, node
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def spoiled(colleague: Colleague, name: str = "wf-llm") -> str:
    app = colleague.app_id(name)
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    return app


def roll_back_with(at: str, act: Callable[[], object], *, app: str = "wf-llm") -> RolledBack:
    """Roll an app back to v1 and let ``act`` happen at a numbered step."""

    async def work() -> RolledBack:
        settings = config.load()
        store = GitStore.open(settings.store)
        instance = await connect(settings.context(), ConnectOptions(state=settings.state))
        try:
            kept = kept_app(store, store.resolve("v1", branch=instance.name), app)

            def checkpoint(name: str) -> None:
                if name == at:
                    act()

            with Ledger.open(settings.state / "ledger.sqlite3") as ledger:
                workspace = Workspace(
                    instance=instance, state=settings.state, ledger=ledger, actor="tester", store=store
                )
                return await roll_back(workspace, kept, "v1", RollbackOptions(checkpoint=checkpoint))
        finally:
            await instance.close()

    return asyncio.run(work())


def open_changes() -> list[ChangeRecord]:
    state = config.load().state
    with Ledger.open(state / "ledger.sqlite3") as ledger:
        return Journal(ledger=ledger, state=state, context=context_name(), clock=SystemClock(), actor="").open()


def cut_off() -> int:
    return len(open_changes())


def test_a_draft_edited_in_the_last_moment_is_not_lost(v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    target = colleague.live(app)["graph"]
    spoiled(colleague)
    saves = iter([lambda document: node(document, "start").update(title="mine")])

    def save() -> None:
        for change in saves:
            colleague.edit(app, change)

    done = roll_back_with("before write draft", save)
    assert done.state == "rolled back"
    assert colleague.live(app)["graph"] == target
    assert node(colleague.draft(app), "start")["title"] == "mine"
    assert cut_off() == 0


def test_an_app_deleted_between_plan_and_apply(v1: str, colleague: Colleague) -> None:
    app = spoiled(colleague)
    with pytest.raises(NotFound):
        roll_back_with("journal written", lambda: colleague.call("DELETE", f"/apps/{app}"))
    assert cut_off() == 0


def test_a_proof_that_fails_puts_the_former_version_back(v1: str, colleague: Colleague) -> None:
    app = spoiled(colleague)
    broken = colleague.live(app)["graph"]
    switch_off = {"enable_api": False}
    with pytest.raises(DifyopsError, match="was undone"):
        roll_back_with("before proof", lambda: colleague.call("POST", f"/apps/{app}/api-enable", switch_off))
    assert colleague.live(app)["graph"] == broken
    assert cut_off() == 0


def test_somebody_publishes_just_after_us(v1: str, colleague: Colleague) -> None:
    app = spoiled(colleague)

    def publish_another() -> None:
        colleague.edit(app, lambda document: node(document, "start").update(title="theirs"))
        colleague.publish(app)

    with pytest.raises(DifyopsError, match="left alone"):
        roll_back_with("before proof", publish_another)
    assert node(colleague.live(app), "start")["title"] == "theirs"


@pytest.mark.parametrize("how", ["status:500", "garbage"])
def test_a_publish_that_fails_is_undone(cli: Cli, v1: str, colleague: Colleague, emulator: Emulator, how: str) -> None:
    app = spoiled(colleague)
    broken, drafted = colleague.live(app), colleague.draft(app)
    emulator.control.fail(method="POST", path="workflows/publish", how=how)
    failed = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes")
    assert failed.code == 1
    assert "undone" in failed.err
    assert colleague.live(app)["graph"] == broken["graph"]
    assert colleague.draft(app)["graph"] == drafted["graph"]


def test_a_publish_that_may_have_arrived_is_told_and_can_be_ended(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator
) -> None:
    app = spoiled(colleague)
    emulator.control.fail(method="POST", path="workflows/publish", how="reset")
    failed = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes")
    assert failed.code == 1
    assert "unknown" in failed.err
    assert "difyops changes finish" in failed.err
    assert cli("changes", "finish", "wf-llm", "--yes").code == 0
    assert cli("snapshot", "drift").code == 0
    assert "tok=tok-" in str(colleague.run(app, {"query": "hi"}))


@pytest.mark.parametrize("how", ["lost", "cut"])
def test_a_publish_whose_answer_alone_is_lost_is_found_by_its_comment(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator, how: str
) -> None:
    app = spoiled(colleague)
    emulator.control.fail(method="POST", path="workflows/publish", how=how)
    done = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes")
    assert done.code == 0, done.err
    assert cli("snapshot", "drift").code == 0
    assert "tok=tok-" in str(colleague.run(app, {"query": "hi"}))


def test_a_busy_editor_wins(cli: Cli, v1: str, colleague: Colleague, emulator: Emulator) -> None:
    app = spoiled(colleague)
    live = colleague.live(app)["id"]
    emulator.control.mood("busy_editor")
    refused = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes")
    emulator.control.mood("happy")
    assert refused.code == 8
    assert colleague.live(app)["id"] == live


def test_redis_down_makes_the_snapshot_partial_and_says_so(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator
) -> None:
    emulator.control.mood("redis_down")
    partial = cli("snapshot", "create", "-o", "json")
    emulator.control.mood("happy")
    assert partial.code == 3
    assert partial.json["ok"] is False
    assert partial.json["data"]["complete"] is False
    assert [item["id"] for item in partial.json["data"]["failed"]] == ["workspace/models"]
    assert cli("snapshot", "list", "-o", "json").json["data"][0]["state"] == "partial"
    healed = cli("snapshot", "create", "-o", "json")
    assert (healed.code, healed.json["data"]["complete"]) == (0, True)


def test_an_app_that_cannot_be_read_is_named_and_its_last_content_kept(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator
) -> None:
    app = spoiled(colleague)
    emulator.control.fail(path=f"/apps/{app}/workflows", times=50, how="status:500")
    ran = cli("snapshot", "create", "-o", "json")
    assert ran.code == 3
    assert [item["name"] for item in ran.json["data"]["failed"]] == ["wf-llm"]
    shown = cli("snapshot", "show", "latest", "-o", "json").json["data"]
    entry = shown["manifest"]["apps"][app]
    assert entry["state"] == "failed"
    assert entry["error"]
    kept = {record["id"]: record for record in shown["apps"]}
    emulator.control.clear_failures()
    assert kept[app]["live"]["id"] != colleague.live(app)["id"]
    assert cli("snapshot", "verify").code == 0


def test_a_session_that_expires_in_the_middle_of_a_fleet(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    emulator = Emulator(apps=25, delay=0.02)

    def expire() -> None:
        wait_until(lambda: int(str(emulator.control.counts()["total"])) > 30, "the fleet")
        emulator.control.mood("expired_session")

    with emulator.listening() as url:
        threading.Thread(target=expire, daemon=True).start()
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        ran = cli("snapshot", "create", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.json["data"]["complete"]
    counts: dict[str, Any] = dict(emulator.control.counts())
    routes = counts["routes"]
    assert routes["POST /console/api/refresh-token"] >= 1
    assert routes["POST /console/api/login"] == 2  # the one that finds out how, and the one login


def test_two_writers_at_once_both_get_in(cli: Cli, v1: str, colleague: Colleague) -> None:
    spoiled(colleague)
    command = [sys.executable, "-m", "difyops", "snapshot", "create", "-q", "--tag"]
    children = [Process([*command, f"w{number}"]) for number in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    tags = {tag for row in cli("snapshot", "list", "-o", "json").json["data"] for tag in row["tags"]}
    assert tags == {"v1", "w0", "w1", "w2"}
    assert cli("snapshot", "verify", "--all").code == 0


def test_a_full_disk_leaves_the_last_snapshot_and_the_server_alone(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = spoiled(colleague)
    live = colleague.live(app)["id"]

    def tiny() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    for words in (["create"], ["rollback", "wf-llm", "--to", v1, "--yes"]):
        command = [sys.executable, "-m", "difyops", "snapshot", *words]
        ran = subprocess.run(
            command, env=environment, preexec_fn=tiny, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 1, ran.stderr
        assert "Traceback" not in ran.stderr
        assert "room" in ran.stderr or "write" in ran.stderr
    assert colleague.live(app)["id"] == live
    assert cli("snapshot", "doctor", "-o", "json").json["data"] == []
    assert cli("snapshot", "verify").code == 0
    assert cli("snapshot", "create").code == 0


def test_a_tag_that_exists_is_refused(cli: Cli, v1: str, colleague: Colleague) -> None:
    spoiled(colleague)
    assert cli("snapshot", "create", "--tag", v1).code == 8
    assert cli("snapshot", "drift").code == 5


def test_a_store_edited_by_hand_is_noticed(cli: Cli, v1: str, tmp_path: Path) -> None:
    store = tmp_path / "data" / "difyops" / "snapshots"

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(store), *words], capture_output=True, text=True, check=True)
        return done.stdout

    git("checkout", "-q", context_name())
    victim = next(store.glob("apps/*/live.json"))
    victim.write_text(victim.read_text().replace('"title": "', '"title": "x'))
    git("-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "-qam", "by hand")
    bad = cli("snapshot", "verify", "-o", "json")
    assert bad.code == 5
    assert "not what was written" in bad.json["data"]["problems"][0]
    assert cli("snapshot", "verify", v1).code == 0
    healed = cli("snapshot", "create", "--full", "-o", "json")
    assert healed.code == 0, healed.err
    assert cli("snapshot", "verify").code == 0


def test_local_changes_in_a_checkout_are_not_touched(cli: Cli, v1: str, colleague: Colleague, tmp_path: Path) -> None:
    store = tmp_path / "data" / "difyops" / "snapshots"
    subprocess.run(["git", "-C", str(store), "checkout", "-q", context_name()], check=True)
    note = next(store.glob("apps/*/app.json"))
    note.write_text("my notes\n")
    spoiled(colleague)
    assert cli("snapshot", "create").code == 0
    assert note.read_text() == "my notes\n"
    assert cli("snapshot", "verify").code == 0


def test_a_name_that_two_apps_share_is_refused_with_their_ids(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    copied = colleague.call("POST", f"/apps/{app}/copy", {"name": "wf-llm"})
    ambiguous = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes")
    assert ambiguous.code == 2
    assert app in ambiguous.err
    assert copied["id"] in ambiguous.err


def test_an_unknown_selector_lists_what_there_is(cli: Cli, connected: str) -> None:
    ran = cli("snapshot", "create", "wf-lmm")
    assert ran.code == 2
    assert "wf-llm" in ran.err
    assert cli("snapshot", "list", "-o", "json").json["data"] == []


def test_a_partial_selection_can_never_pass_for_a_full_snapshot(cli: Cli, connected: str) -> None:
    assert cli("snapshot", "create", "wf-*", "-o", "json").json["data"]["complete"] is False
    assert cli("snapshot", "list", "-o", "json").json["data"][0]["state"] == "partial"
    assert cli("snapshot", "create", "-o", "json").json["data"]["complete"] is True
    after = cli("snapshot", "create", "wf-llm", "-o", "json")
    assert after.json["data"]["changed"] is False
    assert cli("snapshot", "list", "-o", "json").json["data"][0]["state"] == "complete"


def test_a_mode_that_changed_is_refused(cli: Cli, v1: str, colleague: Colleague, emulator: Emulator) -> None:
    app = spoiled(colleague)
    emulator.app_named("wf-llm").mode = "advanced-chat"
    emulator.app_named("wf-llm").changed()
    refused = cli("snapshot", "rollback", app, "--to", v1, "--yes")
    assert refused.code == 8
    assert "cannot be mixed" in refused.err


def test_a_workspace_without_apps_is_no_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(basics=False)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        assert cli("snapshot", "create", "--tag", "v1").code == 0
        for words in (["drift"], ["diff"], ["rollback", "all", "--to", "v1", "--yes"]):
            ran = cli("snapshot", *words)
            assert ran.code == 0, ran.err
        assert cli("broadcast", "hello", "--to", "all").code == 2
