"""``difyops trust`` and what a cloned folder can do before it: the commands, against a real emulator."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.runbook.library import shipped_folder
from tests.conftest import Cli

HEAD = "runbook: {name}\ntitle: t\nwhy: w\nsteps:\n"
COMMAND = "  - {{id: run, check: command, with: {{argv: [touch, {mark}]}}}}\n"
DISK = "  - {id: disk, check: disk, with: {path: /, min_free_percent: 0}}\n"


@pytest.fixture
def mark(own_place: Path) -> Path:
    return own_place / "EVIL-RAN"


@pytest.fixture
def cloned(own_place: Path, url: str, emulator: Emulator, mark: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder whose difyops.yaml runs a program for the password."""
    folder = own_place / "cloned"
    folder.mkdir()
    monkeypatch.chdir(folder)
    program = own_place / "give"
    program.write_text(f"#!/bin/sh\ntouch {mark}\necho {emulator.password}\n")
    program.chmod(0o755)
    (folder / "difyops.yaml").write_text(
        f"contexts: {{prod: {{url: '{url}', email: {emulator.email}, password: 'cmd:{program}'}}}}\nstore: kept\n"
    )
    return folder


def book(folder: Path, name: str, steps: str, ping: str = "") -> Path:
    path = folder / "runbooks" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD.format(name=name).replace("steps:", f"{ping}steps:") + steps)
    return path


def test_a_cloned_folder_runs_nothing_until_it_is_trusted(cli: Cli, cloned: Path, mark: Path) -> None:
    for words in (
        ("app", "list"), ("context", "check"), ("snapshot", "create"), ("snapshot", "list"), ("secret", "list"),
        ("snapshot", "push", "x"), ("broadcast", "hello", "--to", "all"),
        ("app", "run", "chat-basic", "hello", "--yes"),
    ):  # fmt: skip
        done = cli(*words)
        assert (done.code, "difyops trust" in done.err) == (8, True), (words, done.err)
        assert not mark.exists()
    for words in (("context", "list"), ("context", "show"), ("runbook", "list"), ("runbook", "show", "morning-check")):
        assert cli(*words).code == 0, words
    assert cli("trust").code == 8  # nobody to ask, and no --yes
    assert cli("trust", "--dry-run").code == 0
    assert cli("app", "list").code == 8
    given = cli("trust", "--yes")
    assert given.code == 0
    assert f"run {cloned.parent / 'give'}" in given.out + given.err
    assert not mark.exists()
    assert cli("app", "list").code == 0
    assert mark.exists()
    assert cli("trust", "--list", "-o", "json").json["data"][0]["state"] == "trusted"
    assert cli("trust", "--remove").code == 0
    assert cli("app", "list").code == 8


def test_yes_to_a_change_is_no_trust(cli: Cli, cloned: Path, mark: Path) -> None:
    assert cloned
    assert cli("snapshot", "create", "--yes").code == 8
    assert not mark.exists()


def test_a_named_file_needs_no_question(cli: Cli, cloned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("app", "list", "--config", str(cloned / "difyops.yaml")).code == 0
    monkeypatch.setenv("DIFYOPS_CONFIG", str(cloned / "difyops.yaml"))
    assert cli("app", "list").code == 0


def test_what_context_add_writes_is_trusted_and_nothing_else(cli: Cli, cloned: Path, url: str, own_place: Path) -> None:
    words = ("--url", url, "--email", "a@example.com", "--password", "env:PW")
    assert cli("context", "add", "mine", *words).code == 8
    assert "mine" not in (cloned / "difyops.yaml").read_text()
    (cloned / "difyops.yaml").unlink()
    assert cli("context", "add", "mine", *words).code == 0
    assert cli("context", "check").code == 2  # it goes as far as the variable, which is not set
    assert cli("context", "add", "second", *words).code == 0
    assert cli("context", "remove", "second", "--yes").code == 0
    assert cli("context", "check").code == 2
    assert own_place


class TestRunbooks:
    """A runbook that came with a folder runs programs, and stands in for a shipped one, by its own hash only."""

    def test_programs_and_pings_run_by_its_hash_only(self, cli: Cli, cloned: Path, mark: Path) -> None:
        path = book(cloned, "evil", COMMAND.format(mark=mark), ping="ping: 'cmd:touch x'\n")
        for words in ((), ("--dry-run",), ("--yes",), ("--act", "--yes")):
            done = cli("runbook", "run", "evil", *words)
            assert (done.code, "difyops trust" in done.err) == (8, True), done.err
        path.write_text(HEAD.format(name="evil") + COMMAND.format(mark=mark))
        assert cli("trust", str(path), "--yes").code == 0
        assert not mark.exists()
        assert cli("runbook", "run", "evil", "--dry-run").code in (0, 3)
        assert not mark.exists(), "under --dry-run nothing runs"
        assert cli("runbook", "run", "evil").code == 0
        assert mark.exists()
        path.write_text(path.read_text() + "# edited\n")
        assert cli("runbook", "run", "evil").code == 8

    def test_a_shipped_one_is_not_hidden_silently(self, cli: Cli, cloned: Path) -> None:
        path = book(cloned, "morning-check", DISK)
        listed = cli("runbook", "list")
        assert "project, hides shipped" in listed.out
        refused = cli("runbook", "run", "morning-check")
        assert refused.code == 8
        assert "difyops runbook run shipped:morning-check" in refused.err
        assert cli("runbook", "show", "shipped:morning-check", "-o", "json").code == 0
        assert cli("runbook", "run", str(path)).code == 0  # named, and our own
        assert cli("trust", str(path), "--yes").code == 0
        assert cli("runbook", "run", "morning-check").code == 0

    def test_one_that_only_looks_needs_no_trust(self, cli: Cli, cloned: Path) -> None:
        book(cloned, "look", DISK)
        assert cli("runbook", "run", "look").code == 0

    @pytest.mark.parametrize("mode", [0o666, 0o664])
    def test_one_that_others_can_write_runs_no_program(self, cli: Cli, cloned: Path, mark: Path, mode: int) -> None:
        path = book(cloned, "open", COMMAND.format(mark=mark))
        path.chmod(mode)
        assert cli("runbook", "run", str(path)).code == 3
        assert not mark.exists()

    def test_what_a_program_is_handed_is_a_secret_from_then_on(
        self, cli: Cli, cloned: Path, own_place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DIFY_PASSWORD", "canary-Passw0rd")
        step = "{argv: [sh, -c, 'echo $DIFY_PASSWORD; exit 1'], env: [DIFY_PASSWORD]}"
        path = book(cloned, "tell", f"  - {{id: run, check: command, with: {step}}}\n")
        done = cli("runbook", "run", str(path), "-o", "json")
        assert done.code == 5
        assert "********" in done.out
        assert "canary" not in done.out + done.err
        for each in (own_place / "state").rglob("*"):
            assert not each.is_file() or b"canary" not in each.read_bytes(), each


@pytest.mark.parametrize("owner", [0, 12345])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.usefixtures("connected")
def test_a_map_of_another_user_or_open_to_others_is_refused(cli: Cli, own_place: Path, mark: Path, owner: int) -> None:
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    file = own_place / "map.yaml"
    file.write_text(f"secrets: {{'env:API_TOKEN': 'cmd:touch {mark}'}}\n")
    file.chmod(0o644 if owner else 0o666)
    os.chown(file, owner, owner)
    words = ("snapshot", "restore", "wf-llm", "--to", "v1", "--map", str(file), "--allow-missing")
    assert cli(*words, "--dry-run").code == 8
    assert cli(*words, "--yes").code == 8
    os.chown(file, 0, 0)
    file.chmod(0o600)
    cli(*words, "--dry-run")
    assert not mark.exists(), "under --dry-run nothing runs"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--admin-key", "env:K"), "--workspace-id"),
        (("--admin-key", "env:K", "--workspace-id", "ops"), "not a UUID"),
        (("--password", "env:K"), "--email"),
        (("--email", "a@b.c", "--password", "env:"), "names nothing"),
        (("--email", "a@b.c", "--password", "keyring:dify"), "names nothing"),
        (("--email", "a@b.c", "--password", "env:K", "--ca-file", "nowhere.pem"), "no certificate"),
    ],
)
def test_context_add_checks_what_it_is_given(cli: Cli, own_place: Path, words: tuple[str, ...], said: str) -> None:
    done = cli("context", "add", "prod", "--url", "https://dify.example.com", *words)
    assert done.code == 2
    assert said in done.err
    assert not (own_place / "difyops.yaml").exists()


def test_defaults_are_told_from_what_a_file_says(cli: Cli, own_place: Path) -> None:
    (own_place / "difyops.yaml").write_text("contexts: {a: {url: 'http://a.example', timeout: 30}}\n")
    origin = cli("context", "show", "-o", "json").json["data"]["from"]
    assert "project file" in origin["url"]
    assert "project file" in origin["timeout"]
    assert origin["max_in_flight"] == "default"
    assert origin["email"] == "default"


def test_a_byte_order_mark_in_a_secret_file_is_dropped_and_said(
    cli: Cli, connected: str, own_place: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIFY_BASE_URL")
    secret = own_place / "pw"
    secret.write_bytes(b"\xef\xbb\xbf" + emulator.password.encode() + b"\r\n")
    secret.chmod(0o600)
    words = ("--url", connected, "--email", emulator.email, "--password", f"file:{secret}")
    assert cli("context", "add", "a", *words).code == 0
    done = cli("context", "check")
    assert done.code == 0
    assert "byte order mark" in done.err


def test_shipped_runbooks_are_there() -> None:
    assert (shipped_folder() / "morning-check.yaml").is_file()
