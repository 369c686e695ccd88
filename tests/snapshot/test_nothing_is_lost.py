"""What a rollback must not lose, or do, without saying so: secrets, a colleague's draft, its own end."""

from __future__ import annotations

import copy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difyops import config
from difyops.emulator import Emulator
from difyops.errors import DifyopsError
from tests.conftest import Cli
from tests.processes import Process
from tests.snapshot.colleague import Colleague, node, set_secret
from tests.snapshot.test_faults import cut_off, open_changes, roll_back_with, spoiled
from tests.snapshot.test_killed import child, spoil
from tests.waiting import wait_until

ALPHA = {"provider_id": "alpha", "provider_type": "builtin", "provider_name": "alpha", "tool_name": "one"}
BETA = {"provider_id": "beta", "provider_type": "builtin", "provider_name": "beta", "tool_name": "two"}


def tool(of: dict[str, Any], key: str) -> dict[str, Any]:
    return {**of, "enabled": True, "tool_parameters": {"api_key": key}}


def set_tools(colleague: Colleague, app: str, *tools: dict[str, Any]) -> None:
    colleague.set_config(app, lambda body: body["agent_mode"].update(tools=copy.deepcopy(list(tools))))


def keys(colleague: Colleague, app: str) -> dict[str, str]:
    tools = colleague.config(app)["agent_mode"]["tools"]
    return {item["tool_name"]: item["tool_parameters"]["api_key"] for item in tools}


def break_export(emulator: Emulator, app: str) -> None:
    emulator.control.fail(method="GET", path=f"{app}/export", how="status:500", times=1000)


def test_a_secret_that_is_only_in_the_draft_is_put_back(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = spoiled(colleague)
    colleague.edit(app, set_secret("draft-canary"))
    ran = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes")
    assert ran.code == 0, ran.err
    assert "unpublished draft" in ran.err
    assert colleague.clear(app)["API_TOKEN"] == "draft-canary"


def test_a_secret_that_is_empty_in_the_draft_stays_empty(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = spoiled(colleague)
    colleague.edit(app, set_secret(""))
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes").code == 0
    assert colleague.clear(app)["API_TOKEN"] == ""


@pytest.mark.parametrize("way", ["--finish", "--undo"])
def test_a_draft_never_comes_back_with_blank_secrets(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator, way: str
) -> None:
    app = spoiled(colleague)
    broken = colleague.live(app)["graph"]
    before = colleague.clear(app)["API_TOKEN"]
    colleague.edit(app, lambda document: node(document, "start").update(title="half done"))
    with pytest.raises(DifyopsError, match="could not be undone") as failed:
        roll_back_with("after publish", lambda: break_export(emulator, app))
    assert "deleted" not in failed.value.message
    assert cut_off() == 1
    emulator.control.clear_failures()
    assert cli("snapshot", "doctor", way, "--yes").code == 0
    assert node(colleague.draft(app), "start")["title"] == "half done"
    assert colleague.clear(app)["API_TOKEN"] == before
    assert (colleague.live(app)["graph"] == broken) == (way == "--undo")


def test_old_secrets_alone_are_something_to_do(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    old = colleague.clear(app)["API_TOKEN"]
    colleague.edit(app, set_secret("rotated-canary"))
    colleague.publish(app)
    assert "nothing to do" in cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes").out
    ran = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--with-old-secrets", "--yes")
    assert ran.code == 0, ran.err
    assert "another value than it has now" in ran.err
    assert colleague.clear(app)["API_TOKEN"] == old


def test_a_secret_that_was_blanked_comes_back(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    old = colleague.clear(app)["API_TOKEN"]
    colleague.edit(app, set_secret(""))
    colleague.publish(app)
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes").code == 0
    assert colleague.clear(app)["API_TOKEN"] == old
    assert "nothing to do" in cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes").out


def test_a_key_never_goes_to_another_tool(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("agent")
    set_tools(colleague, app, tool(ALPHA, "alpha-canary"), tool(BETA, "beta-canary"))
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    set_tools(colleague, app, tool(BETA, "beta-rotated"))
    back = ("snapshot", "rollback", "agent", "--to", "v1", "--yes", "--allow-missing")
    ran = cli(*back)
    assert ran.code == 0, ran.err
    assert keys(colleague, app) == {"one": "", "two": "beta-rotated"}
    assert "agent_mode.tools.0.tool_parameters.api_key" in ran.err


def test_a_given_value_wins_over_what_is_there(
    cli: Cli, connected: str, colleague: Colleague, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = colleague.app_id("agent")
    set_tools(colleague, app, tool(ALPHA, "alpha-canary"))
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    monkeypatch.setenv("GIVEN", "given-canary")
    given = "config:agent_mode.tools.0.tool_parameters.api_key=env:GIVEN"
    assert cli("snapshot", "rollback", "agent", "--to", "v1", "--yes", "--secret", given).code == 0
    assert keys(colleague, app) == {"one": "given-canary"}


def test_a_finished_rollback_proves_the_secrets(cli: Cli, v1: str, colleague: Colleague) -> None:
    spoil(colleague, "wf-llm")
    assert child("rollback", "wf-llm", v1, 5).returncode == -9
    ended = cli("snapshot", "doctor", "--finish", "--yes", "-o", "json").json["data"][0]
    proof = {"what": "secrets as they were sent", "ok": True, "found": "1 of 1 alive"}
    assert proof in ended["data"]["proofs"]


def test_no_app_hides_behind_another_of_its_name(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    twins = [colleague.call("POST", f"/apps/{app}/copy", {"name": "twin"})["id"] for _ in range(2)]
    for twin in twins:
        colleague.publish(twin)
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    for twin in twins:
        colleague.call("DELETE", f"/apps/{twin}")
    dry = cli("snapshot", "rollback", "all", "--to", "v1", "--dry-run", "-o", "json")
    ran = cli("snapshot", "rollback", "all", "--to", "v1", "--yes", "-o", "json")
    assert dry.code == ran.code == 3
    assert len(dry.json["warnings"]) == len(ran.json["data"]["failed"]) == 2
    assert dry.json["error"]["message"] == ran.json["error"]["message"] == "2 of 10 apps failed."


def test_a_damaged_journal_hides_no_other(cli: Cli, v1: str, colleague: Colleague) -> None:
    app = spoil(colleague, "wf-llm")
    broken = colleague.live(app)["graph"]
    assert child("rollback", "wf-llm", v1, 5).returncode == -9
    bad = config.load().state / "rollbacks" / "env" / "11111111-1111-1111-1111-111111111111.json"
    bad.parent.mkdir(parents=True)
    bad.write_text("{broken")
    told = cli("snapshot", "doctor", "-o", "json")
    assert told.code == 3
    assert str(bad) in told.out
    assert "the target is live" in told.out
    assert cli("snapshot", "doctor", "--undo", "--yes").code == 3
    assert colleague.live(app)["graph"] == broken
    assert bad.exists()


def test_doctor_goes_on_after_one_that_fails(cli: Cli, v1: str, colleague: Colleague, emulator: Emulator) -> None:
    chat, app = spoil(colleague, "chat-basic"), spoil(colleague, "wf-llm")
    for name in ("wf-llm", "chat-basic"):
        assert child("rollback", name, v1, 2).returncode == -9
    for one, other in ((chat, app), (app, chat)):
        emulator.control.fail(path=one, how="status:500", times=1000)
        ended = cli("snapshot", "doctor", "--undo", "--yes", "-o", "json")
        emulator.control.clear_failures()
        found = {item["subject"].removeprefix("app/"): item["ended"] for item in ended.json["data"]}
        assert found.get(other, "undone") == "undone"
    assert colleague.config(chat)["pre_prompt"] == "BROKEN"


@pytest.mark.parametrize(("how", "code"), [("deadline", 1), ("sigint", 130)])
def test_a_rollback_that_is_interrupted_says_what_it_leaves(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator, how: str, code: int, tmp_path: Path
) -> None:
    app = spoil(colleague, "wf-llm")
    broken = colleague.live(app)["graph"]
    emulator.control.fail(method="POST", path="workflows/publish", how="hang")
    command = [sys.executable, "-m", "difyops", "snapshot", "rollback", "wf-llm", "--to", v1, "--yes"]
    command += ["--deadline", "3s"] if how == "deadline" else []
    with Process(command, stdout=-1, stderr=-1, text=True) as process:
        if how == "sigint":
            wait_until(lambda: any(change.effect == "publish" for change in open_changes()))
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "of 'wf-llm' was cut off (in the middle of 'publish')" in err
    assert "difyops changes show" in err
    emulator.control.clear_failures()
    assert cli("snapshot", "doctor", "wf-llm", "--undo", "--yes").code == 0
    assert colleague.live(app)["graph"] == broken
    assert node(colleague.draft(app), "start")["title"] == "half done"


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_model_config_that_somebody_wrote_after_the_kill_is_left_alone(
    cli: Cli, v1: str, colleague: Colleague, step: int
) -> None:
    app = spoil(colleague, "chat-basic")
    assert child("rollback", "chat-basic", v1, step).returncode == -9
    colleague.set_config(app, lambda body: body.update(pre_prompt="repaired by hand"))
    refused = cli("snapshot", "doctor", "--finish", "--yes")
    assert refused.code == 8, refused.err
    assert "left alone" in refused.out
    assert colleague.config(app)["pre_prompt"] == "repaired by hand"
    assert cut_off() == 0


@pytest.mark.parametrize("how", ["status:500", "hang"])
def test_a_restore_that_stops_half_way_names_the_app_it_made(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator, how: str
) -> None:
    colleague.call("DELETE", f"/apps/{colleague.app_id('wf-echo')}")
    emulator.control.fail(method="POST", path="workflows/publish", how=how)
    words = ["--deadline", "20s"] if how == "hang" else []
    ran = cli("snapshot", "restore", "wf-echo", "--to", v1, "--yes", *words)
    assert ran.code == 1
    rows = colleague.call("GET", "/apps?limit=100")["data"]
    half = next(row["id"] for row in rows if row["name"].startswith("wf-echo (restoring "))
    assert half in ran.err
    emulator.control.clear_failures()
    ended = cli("changes", "undo" if how == "hang" else "finish", "wf-echo", "--yes")
    assert ended.code == 0, ended.err
    names = [row["name"] for row in colleague.call("GET", "/apps?limit=100")["data"]]
    assert ("wf-echo" in names) == (how != "hang")
    assert not any("restoring" in name for name in names)


def test_the_secrets_of_an_agent_app_are_proved_too(cli: Cli, connected: str, colleague: Colleague) -> None:
    app = colleague.app_id("agent")

    def with_key(key: str) -> Callable[[dict], None]:
        tool = {"provider_id": "search", "provider_type": "builtin", "tool_name": "search", "enabled": True}

        def change(config: dict) -> None:
            config["agent_mode"]["tools"] = [{**tool, "tool_parameters": {"api_key": key}}]

        return change

    colleague.set_config(app, with_key("agent-canary-old-1"))
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    colleague.set_config(app, with_key("agent-canary-new-2"))
    colleague.set_config(app, lambda config: config.update(pre_prompt="BROKEN"))
    done = cli("snapshot", "rollback", "agent", "--to", "v1", "--yes", "--allow-missing", "-o", "json")
    assert done.code == 0, done.err
    proofs = {proof["what"]: proof for proof in done.json["data"]["apps"][0]["proofs"]}
    assert proofs["secrets as they were sent"]["ok"]
    assert "1 of 1 alive" in proofs["secrets as they were sent"]["found"]
    tools = colleague.config(app)["agent_mode"]["tools"]
    assert tools[0]["tool_parameters"]["api_key"] == "agent-canary-new-2"
