"""``difyops secret`` as people, cron and pipelines meet it: exit codes, envelopes, what is written and what is not."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from difyops import atomic_file
from difyops.clock import SystemClock
from difyops.emulator import Emulator
from difyops.ledger import Ledger
from tests.conftest import Cli
from tests.processes import Process
from tests.rotation.rig import CASES, PROVIDER, Console, count_of, value_in_use
from tests.waiting import wait_until

NEW = CASES["provider"].new
RULES = "failures: 4, rules: [{match: 'provider/*', failures: 3}]"


@pytest.fixture
def at(emulator: Emulator, url: str, console: Console, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the command line at the emulator."""
    monkeypatch.setenv("DIFY_BASE_URL", url)
    monkeypatch.setenv("DIFY_ADMIN_API_KEY", str(emulator.admin_key))
    monkeypatch.setenv("DIFY_WORKSPACE_ID", emulator.workspace_id)
    monkeypatch.setenv("NEW_KEY", NEW)
    monkeypatch.setattr(SystemClock, "sleep", nap)
    return url


async def nap(clock: SystemClock, seconds: float) -> None:
    """Wait a hundredth of the time: the pauses that a real server needs are for nothing here."""
    await asyncio.sleep(min(0.05, seconds / 100))


def configured(text: str) -> None:
    Path("difyops.yaml").write_text(text)


def test_list_shows_every_kind_and_who_uses_it(at: str, cli: Cli) -> None:
    ran = cli("secret", "list", "-o", "json")
    assert ran.code == 0, ran.err
    rows = ran.json["data"]["secrets"]
    assert {row["kind"] for row in rows} == set(CASES) - {"webhook-secret"}  # no server, no configuration of one
    provider = next(row for row in rows if row["kind"] == "provider")
    assert "wf-llm" in provider["users"]
    for secret in (*(case.old for case in CASES.values() if case.old), value_of(rows)):
        assert secret not in ran.out


def value_of(rows: list[dict[str, object]]) -> str:
    return "app-" if any("app-" in str(row["name"]) for row in rows) else "no such text"


def test_list_overdue_is_5_when_a_policy_is_broken_and_0_when_not(at: str, cli: Cli, emulator: Emulator) -> None:
    assert cli("secret", "list", "--overdue").code == 0
    configured("secrets:\n  rules:\n    - {match: 'app-key/wf-*', rotate_every: 30d}\n")
    assert cli("secret", "list", "--overdue").code == 0
    emulator.app_named("wf-echo").keys[0].created_at -= 40 * 86400
    ran = cli("secret", "list", "--overdue", "-o", "json")
    assert ran.code == 5
    assert [row["owner"] for row in ran.json["data"]["secrets"]] == ["wf-echo"]


def test_a_list_that_misses_something_is_3_and_says_what(at: str, cli: Cli, emulator: Emulator) -> None:
    emulator.control.fail(method="GET", path="api-keys", times=9, how="status:500")
    ran = cli("secret", "list", "--overdue", "-o", "json")
    assert ran.code == 3
    assert any("keys could not be read" in warning for warning in ran.json["warnings"])


def test_secrets_in_clear_are_listed_with_a_way_out_and_never_shown(at: str, cli: Cli, console: Console) -> None:
    path = f"/apps/{console.app_id('wf-echo')}/workflows"
    draft = console.call("GET", f"{path}/draft")
    data = {
        "type": "http-request",
        "title": "call",
        "method": "get",
        "url": "https://api.example.com",
        "headers": "Authorization: Bearer canary-clear-0123456789",
        "authorization": {"type": "no-auth"},
    }
    draft["graph"]["nodes"].append({"id": "http1", "type": "custom", "data": data})
    parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
    console.call("POST", f"{path}/draft", {part: draft[part] for part in parts})
    console.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})
    ran = cli("secret", "list", "-o", "json")
    found = ran.json["data"]["in_clear"]
    assert [item["app"] for item in found] == ["wf-echo"]
    assert "{{#env.AUTHORIZATION#}}" in found[0]["advice"]
    assert "canary-clear" not in ran.out + ran.err


def test_a_dry_run_tells_everything_and_changes_nothing(at: str, cli: Cli, emulator: Emulator) -> None:
    before = emulator.control.counts()["routes"]
    ran = cli("secret", "rotate", "app-key", "wf-echo", "--dry-run", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.json["kind"] == "secret.plan"
    assert ran.json["data"]["probes"] == ["wf-echo"]
    assert count_of(emulator, "app-key") == 1
    after = emulator.control.counts()["routes"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    changed = {route for route in after if after[route] != before.get(route)}
    assert all(route.startswith(("GET", "POST /console/api/workspaces/current")) for route in changed), changed
    assert not (Path(os.environ["DIFYOPS_STATE"]) / "rotation-secrets").exists()


def test_without_a_terminal_and_without_yes_it_is_refused(at: str, cli: Cli, emulator: Emulator) -> None:
    ran = cli("secret", "rotate", "app-key", "wf-echo")
    assert ran.code == 8
    assert count_of(emulator, "app-key") == 1


def test_rotate_ends_0_and_says_what_it_did(at: str, cli: Cli, emulator: Emulator) -> None:
    words = ("--value-from", "env:NEW_KEY", "--grace", "500ms", "--yes", "--no-probe", "-o", "json")
    ran = cli("secret", "rotate", "provider", PROVIDER, *words)
    assert ran.code == 0, ran.err
    assert ran.json["ok"] is True
    assert ran.json["data"]["state"] == "done"
    assert value_in_use(emulator, "provider") == NEW
    assert NEW not in ran.out + ran.err


def test_a_value_that_does_not_work_is_5_and_the_old_one_stays(
    at: str, cli: Cli, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEW_KEY", "sk-canary-wrong-0001")
    ran = cli("secret", "rotate", "provider", PROVIDER, "--value-from", "env:NEW_KEY", "--yes", "-o", "json")
    assert ran.code == 5
    assert ran.json["error"]["code"] == "no"
    assert ran.json["data"]["state"] == "rolled_back"
    assert value_in_use(emulator, "provider") == "sk-good-1"
    assert "sk-canary-wrong" not in ran.out + ran.err


def test_the_value_can_come_from_standard_input(
    at: str, cli: Cli, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(NEW + "\n"))
    ran = cli("secret", "rotate", "provider", PROVIDER, "--value-from", "-", "--yes", "--grace", "200ms", "--no-probe")
    assert ran.code == 0, ran.err
    assert value_in_use(emulator, "provider") == NEW


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("rotate", "nonsense"), 2),
        (("rotate", "provider", "nonsense", "--value-from", "env:HOME"), 2),
        (("list", "--overdue", "--kind", "nonsense"), 2),
        (("rotate", "app-key", "no-such-app"), 2),
        (("rotate", "provider", PROVIDER), 2),
        (("rotate", "app-key", "wf-echo", "--value-from", "env:NEW_KEY"), 2),
        (("rotate", "app-key", "wf-echo", "--probe", "wf-llm", "--no-probe"), 2),
        (("rotate", "app-key", "wf-echo", "--deliver", "env:X"), 2),
        (("rotate", "app-key", "wf-echo", "--deliver", "cmd:no-such-command-here put"), 2),
        (("rotate", "app-key", "wf-echo", "--deliver", "cmd:'"), 2),
        (("rotate", "provider", PROVIDER, "--value-from", "sk-not-a-reference", "--yes"), 2),
        (("rotate", "env", "chat-basic", "X", "--value-from", "env:NEW_KEY"), 6),
        (("rotate", "app-key", "wf-echo", "--grace", "soon"), 2),
        (("resume",), 2),
        (("revert", "abc"), 2),
        (("status",), 0),
        (("history",), 0),
        (("resume", "--due"), 0),
    ],
)
def test_exit_codes_of_what_does_not_begin(words: tuple[str, ...], code: int, at: str, cli: Cli) -> None:
    ran = cli("secret", *words)
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert "sk-not-a-reference" not in ran.out + ran.err


def test_detach_leaves_it_to_cron_which_finishes_what_is_due(
    at: str, cli: Cli, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--value-from", "env:NEW_KEY", "--grace", "1h", "--yes", "--no-probe", "--detach", "-o", "json")
    ran = cli("secret", "rotate", "provider", PROVIDER, *words)
    assert ran.code == 0, ran.err
    assert ran.json["data"]["state"] == "grace"
    rows = cli("secret", "status", "-o", "json").json["data"]
    assert [row["state"] for row in rows] == ["grace"]
    assert rows[0]["next"]
    assert cli("secret", "rotate", "provider", PROVIDER, *words).code == 8
    assert cli("secret", "resume", "--due").code == 0
    assert count_of(emulator, "provider") == 2
    monkeypatch.setattr(SystemClock, "now", lambda clock: datetime.now(UTC) + timedelta(hours=2))
    ran = cli("secret", "resume", "--due", "-o", "json")
    assert ran.code == 0, ran.err
    assert count_of(emulator, "provider") == 1
    assert cli("secret", "status", "-o", "json").json["data"] == []


def test_a_deadline_leaves_a_rotation_that_the_next_run_finishes(at: str, cli: Cli, emulator: Emulator) -> None:
    words = ("--value-from", "env:NEW_KEY", "--grace", "3s", "--yes", "--no-probe", "--deadline", "2s")
    ran = cli("secret", "rotate", "provider", PROVIDER, *words)
    assert ran.code == 1
    assert "difyops secret resume" in ran.err
    ran = cli("secret", "resume", "-o", "json")
    assert ran.code == 0, ran.err
    assert [row["state"] for row in ran.json["data"]] == ["done"]
    assert count_of(emulator, "provider") == 1


def test_revert_brings_the_old_one_back_and_history_tells(at: str, cli: Cli, emulator: Emulator) -> None:
    words = ("--value-from", "env:NEW_KEY", "--grace", "1h", "--yes", "--no-probe", "--detach", "-o", "json")
    identity = cli("secret", "rotate", "provider", PROVIDER, *words).json["data"]["id"]
    assert cli("secret", "revert").code == 8
    ran = cli("secret", "revert", identity[:5], "--yes")
    assert ran.code == 0, ran.err
    assert value_in_use(emulator, "provider") == "sk-good-1"
    ran = cli("secret", "history", identity, "-o", "json")
    assert ran.json["data"]["audit_whole"] is True
    steps = [line["step"] for line in ran.json["data"]["steps"] if line["entry"] == "did"]
    assert steps[0] == "add credential"
    assert steps[-1] == "delete new credential"
    added = next(line for line in ran.json["data"]["audit"] if line["what"] == "secret.rotate.add_credential")
    assert added["who"]
    assert len(added["fingerprint"]) == 16
    assert cli("secret", "revert", identity, "--yes").code == 8


def test_after_a_revert_nothing_advises_to_revoke_the_key_that_is_in_use_again(at: str, cli: Cli) -> None:
    words = ("--value-from", "env:NEW_KEY", "--grace", "1h", "--yes", "--no-probe", "--detach", "-o", "json")
    rotated = cli("secret", "rotate", "provider", PROVIDER, *words).json["data"]
    assert "revoke it there" in rotated["old_use"]
    ran = cli("secret", "revert", rotated["id"], "--yes")
    assert ran.code == 0, ran.err
    assert "revoke" not in ran.out
    assert cli("secret", "revert", rotated["id"], "--yes", "-o", "json").code == 8


def test_a_dry_run_of_a_revert_says_what_the_revert_would(at: str, cli: Cli, emulator: Emulator) -> None:
    words = ("--value-from", "env:NEW_KEY", "--yes", "--no-probe", "-o", "json")
    rotated = cli("secret", "rotate", "provider", PROVIDER, "--grace", "1h", "--detach", *words).json["data"]
    ran = cli("secret", "revert", rotated["id"], "--dry-run")
    assert ran.code == 0, ran.err
    assert "would bring the old" in ran.err
    assert value_in_use(emulator, "provider") == NEW
    assert cli("secret", "revert", rotated["id"], "--yes").code == 0
    assert cli("secret", "revert", rotated["id"], "--dry-run").code == 8


def test_the_history_tells_moments_and_checks_in_words(at: str, cli: Cli) -> None:
    words = ("--value-from", "env:NEW_KEY", "--grace", "1s", "--yes", "--probe", "wf-llm", "-o", "json")
    identity = cli("secret", "rotate", "provider", PROVIDER, *words).json["data"]["id"]
    ran = cli("secret", "history", identity, "-o", "json")
    texts = [str(line["text"]) for line in ran.json["data"]["steps"]]
    assert "before=wf-llm healthy" in texts
    assert any(re.fullmatch(r"grace_until=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text) for text in texts)


def test_a_dataset_key_is_not_said_to_lack_a_harmless_app(at: str, cli: Cli) -> None:
    ran = cli("secret", "rotate", "dataset-key", "--dry-run")
    assert ran.code == 0, ran.err
    assert "No app is known to use it" in ran.err
    assert "without effects" not in ran.err


def test_a_policy_in_the_configuration_says_where_a_key_goes_and_what_is_probed(
    at: str, cli: Cli, emulator: Emulator, tmp_path: Path
) -> None:
    place = tmp_path / "handed"
    configured(
        "secrets:\n"
        "  probes:\n    wf-echo: {inputs: {text: canary-free}, contains: CANARY-FREE, schema: {type: object}}\n"
        "  rules:\n    - {match: 'app-key/wf-echo', grace: 300ms}\n"
        f"deliver:\n  'app-key/*': 'file:{place}'\n"
    )
    assert cli("secret", "list").code == 0  # nothing is handed out
    refused = cli("secret", "rotate", "app-key", "wf-echo", "--yes")
    assert (refused.code, place.exists()) == (8, False), "the file was found, and says where a key goes"
    assert cli("trust", "--yes").code == 0
    ran = cli("secret", "rotate", "app-key", "wf-echo", "--yes", "-o", "json")
    assert ran.code == 0, ran.out + ran.err
    assert place.read_text().strip() == value_in_use(emulator, "app-key")
    assert ran.json["data"]["checks"][0]["health"] == "healthy"


@pytest.mark.parametrize(
    "text",
    [
        "secrets: [1]",
        "secrets: {rotate_evry: 90d}",
        "secrets: {rotate_every: often}",
        "secrets: {hold: nowhere}",
        "secrets: {failures: 0}",
        "secrets: {failures: often}",
        "secrets: {rules: [{match: x, failures: true}]}",
        "secrets: {rules: [{rotate_every: 90d}]}",
        "secrets: {probes: {wf-echo: {inputs: 7}}}",
        "deliver: {x: 'env:NAME'}",
    ],
)
def test_a_mistake_in_the_policy_is_a_usage_error_that_names_the_field(text: str, at: str, cli: Cli) -> None:
    configured(text)
    ran = cli("secret", "list")
    assert ran.code == 2
    assert "secrets" in ran.err or "deliver" in ran.err


def in_grace(cli: Cli) -> bool:
    return [row["state"] for row in cli("secret", "status", "-o", "json").json["data"]] == ["grace"]


@pytest.mark.slow
def test_a_terminal_that_closes_in_the_grace_period_loses_nothing(
    at: str, cli: Cli, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--value-from", "env:NEW_KEY", "--grace", "1h", "--yes", "--no-probe"]
    process = subprocess.Popen(
        [sys.executable, "-m", "difyops", "secret", "rotate", "provider", PROVIDER, *words],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # whoever runs the tests may be under nohup
    )
    wait_until(lambda: in_grace(cli), "the grace period")
    line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.send_signal(signal.SIGHUP)
    process.wait(timeout=60)
    assert NEW.encode() not in line
    assert count_of(emulator, "provider") == 2
    monkeypatch.setattr(SystemClock, "now", lambda clock: datetime.now(UTC) + timedelta(hours=2))
    ran = cli("secret", "resume", "-o", "json")
    assert ran.code == 0, ran.err
    assert [row["state"] for row in ran.json["data"]] == ["done"]
    assert count_of(emulator, "provider") == 1


@pytest.mark.slow
def test_a_rotation_that_another_terminal_takes_back_did_not_succeed(at: str, cli: Cli, emulator: Emulator) -> None:
    words = ["--value-from", "env:NEW_KEY", "--grace", "1h", "--yes", "--no-probe", "-o", "json"]
    process = Process(
        [sys.executable, "-m", "difyops", "secret", "rotate", "provider", PROVIDER, *words],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    told = next(line for line in process.stderr if b"both secrets are valid until" in line)  # a line an event
    assert b": grace, " in told
    wait_until(lambda: in_grace(cli), "the grace period")
    assert cli("secret", "revert", "--yes").code == 0
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 5
    assert json.loads(said)["data"]["state"] == "rolled_back"
    assert value_in_use(emulator, "provider") == "sk-good-1"


def test_cron_leaves_alone_what_another_process_works_on(at: str, cli: Cli, emulator: Emulator) -> None:
    words = ("--value-from", "env:NEW_KEY", "--grace", "100ms", "--yes", "--no-probe", "--detach")
    assert cli("secret", "rotate", "provider", PROVIDER, *words).code == 0
    (path,) = (Path(os.environ["DIFYOPS_STATE"]) / "rotation-locks").glob("*.lock")
    with atomic_file.lock(path, holding="the secrets"):
        ran = cli("secret", "resume", "--due", "-o", "json")
        assert ran.code == 0, ran.err
        assert any("left alone" in warning for warning in ran.json["warnings"])
        assert cli("secret", "resume").code == 8
    assert count_of(emulator, "provider") == 2


def test_a_command_that_receives_a_secret_gets_no_other_in_its_environment(
    at: str, cli: Cli, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, place = tmp_path / "take.sh", tmp_path / "taken"
    script.write_text(f"#!/bin/sh\ncat > {place}\nenv > {place}.env\n")
    script.chmod(0o700)
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example.com")
    words = ("--value-from", "env:NEW_KEY", "--deliver", f"cmd:{script}", "--grace", "100ms", "--yes", "--no-probe")
    ran = cli("secret", "rotate", "provider", PROVIDER, *words)
    assert ran.code == 0, ran.err
    assert place.read_text() == NEW
    seen = (tmp_path / "taken.env").read_text()
    assert "VAULT_ADDR=" in seen
    for secret in (NEW, str(emulator.admin_key)):
        assert secret not in seen


def test_a_key_that_nobody_is_handed_is_warned_of(at: str, cli: Cli, tmp_path: Path) -> None:
    words = ("secret", "rotate", "app-key", "wf-echo", "--dry-run")
    assert "Nobody is handed the new key" in cli(*words).err
    assert "Nobody is handed the new key" not in cli(*words, "--deliver", f"file:{tmp_path / 'key'}").err


def test_a_key_that_nobody_is_handed_is_refused_where_nobody_answers(at: str, cli: Cli, emulator: Emulator) -> None:
    ran = cli("secret", "rotate", "app-key", "wf-echo", "--yes", "--no-probe", "-o", "json")
    assert ran.code == 8
    assert "--deliver" in ran.json["error"]["hint"]
    assert "--by-hand" in ran.json["error"]["hint"]
    assert count_of(emulator, "app-key") == 1


def test_a_key_that_a_person_brings_to_its_callers_is_rotated(at: str, cli: Cli, emulator: Emulator) -> None:
    before = value_in_use(emulator, "app-key")
    words = ("--by-hand", "--yes", "--no-probe", "--grace", "100ms", "-o", "json")
    ran = cli("secret", "rotate", "app-key", "wf-echo", *words)
    assert ran.code == 0, ran.err
    assert not any("Nobody is handed" in warning for warning in ran.json["warnings"])
    assert value_in_use(emulator, "app-key") != before


def test_a_first_key_takes_nothing_from_anybody(at: str, cli: Cli, emulator: Emulator, console: Console) -> None:
    old = emulator.app_named("wf-echo").keys[0]
    console.call("DELETE", f"/apps/{console.app_id('wf-echo')}/api-keys/{old.id}")
    ran = cli("secret", "rotate", "app-key", "wf-echo", "--yes", "--no-probe", "--grace", "100ms")
    assert ran.code == 0, ran.err
    assert count_of(emulator, "app-key") == 1


@pytest.mark.parametrize(
    ("rules", "words", "failures"),
    [("", (), 2), ("failures: 4", (), 4), ("failures: 4", ("--failures", "1"), 1), (RULES, (), 3)],
)
def test_how_many_failed_checks_turn_back_is_said_by_flag_rule_or_default(
    rules: str, words: tuple[str, ...], failures: int, at: str, cli: Cli
) -> None:
    if rules:
        configured(f"secrets: {{{rules}}}\n")
    given = ("--value-from", "env:NEW_KEY", "--no-probe", "--grace", "1h", "--detach", "--yes")
    assert cli("secret", "rotate", "provider", PROVIDER, *given, *words).code == 0
    with Ledger.open(Path(os.environ["DIFYOPS_STATE"]) / "ledger.sqlite3") as ledger:
        facts = ledger.events("change.begun")[0].data["facts"]
    assert isinstance(facts, dict)
    assert facts["settings"]["sick_limit"] == failures


def test_canaries_show_nowhere(at: str, cli: Cli, emulator: Emulator, tmp_path: Path) -> None:
    old = value_in_use(emulator, "app-key")
    place = tmp_path / "reader"
    said = ""
    for words in (
        ("rotate", "app-key", "wf-echo", "--deliver", f"file:{place}", "--no-probe"),
        ("rotate", "provider", PROVIDER, "--value-from", "env:NEW_KEY", "--no-probe"),
        ("history",),
        ("list",),
    ):
        ran = (
            cli("secret", *words, "--yes", "--grace", "100ms", "-vv") if words[0] == "rotate" else cli("secret", *words)
        )
        assert ran.code == 0, ran.err
        said += ran.out + ran.err
    state = Path(os.environ["DIFYOPS_STATE"])
    written = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    for secret in (old, value_in_use(emulator, "app-key"), "sk-good-1", NEW):
        assert secret not in said
        assert secret.encode() not in written
        assert json.dumps(secret).encode() not in written


def test_drift_says_who_rotated_a_changed_secret(at: str, cli: Cli) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    words = ("secret", "rotate", "env", "wf-llm", "API_TOKEN", "--value-from", "env:NEW_KEY", "--grace", "1s", "--yes")
    rotated = cli(*words)
    assert rotated.code == 0, rotated.err
    items = cli("snapshot", "drift", "-o", "json").json["data"]["apps"]
    item = next(item for item in items if item["kind"] == "secret changed")
    assert "API_TOKEN rotated by difyops, " in item["what"], items
