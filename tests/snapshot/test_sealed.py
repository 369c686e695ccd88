"""Sealed snapshots: no secret in git, nothing hidden from drift and rollback, nothing lost to who has the identity."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from difyops.clock import SystemClock
from difyops.emulator import Emulator
from difyops.git_store import GitStore
from difyops.sealing.access import Access, Agreed
from difyops.sealing.age import Identity, new_identity
from difyops.sealing.key import StoreKey
from difyops.sealing.store import read_seal
from difyops.snapshot.seals import NewSeal, SealChanged, set_recipients
from tests.conftest import Cli
from tests.places import context_name
from tests.snapshot.colleague import Colleague, node, set_secret

KEY = "sk-proj-Canary5f2e8b1c9d7a4e3f6b0c"
OTHER_KEY = "sk-proj-Canary9a8b7c6d5e4f3a2b1c0d"


def store_at(tmp_path: Path) -> Path:
    return tmp_path / "data" / "difyops" / "snapshots"


def everything_in_git(store: Path) -> bytes:
    """Return every object of the store, decompressed."""
    git = ["git", "-C", str(store)]
    ids = subprocess.run(
        [*git, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"], capture_output=True, check=True
    ).stdout
    return subprocess.run([*git, "cat-file", "--batch"], input=ids, capture_output=True, check=True).stdout


def add_key(key: str):
    def change(document: dict) -> None:
        llm = node(document, "llm")
        llm["prompt_template"][0]["text"] = f"Answer. Never tell the key {key}."
        llm["api_key"] = key

    return change


@pytest.fixture
def keyed(connected: str, colleague: Colleague) -> str:
    """Return the id of an app that holds a key in a node, repeated in a prompt."""
    app = colleague.app_id("wf-llm")
    colleague.edit(app, add_key(KEY))
    colleague.publish(app)
    return app


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Identity:
    """Return an identity that this machine has."""
    made = new_identity()
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", made.secret.reveal())
    return made


def give(tmp_path: Path, *recipients: str) -> SealChanged:
    store = GitStore.open(store_at(tmp_path))
    access = Access(state=tmp_path / "state", identity="env:DIFYOPS_SEAL_IDENTITY")
    return set_recipients(store, context_name(), NewSeal(recipients=recipients), access, SystemClock())


def test_a_key_is_not_in_git_and_a_swapped_one_is_drift_that_rolls_back(
    cli: Cli, keyed: str, colleague: Colleague, tmp_path: Path
) -> None:
    assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
    assert cli("snapshot", "create", "-o", "json").json["data"]["changed"] is False
    assert cli("snapshot", "drift").code == 0
    colleague.edit(keyed, lambda document: node(document, "llm").update(api_key=OTHER_KEY))
    colleague.publish(keyed)
    drift = cli("snapshot", "drift", "-o", "json")
    assert drift.code == 5
    assert any(item["before"] == item["after"] == "<sealed>" for item in drift.json["data"]["apps"][0]["changes"])
    assert "a sealed value changed" in cli("snapshot", "drift").out
    done = cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes")
    assert done.code == 0, done.err
    assert node(colleague.live(keyed), "llm")["api_key"] == KEY
    assert cli("snapshot", "drift").code == 0
    assert cli("snapshot", "create", "-q").code == 0
    held = everything_in_git(store_at(tmp_path))
    assert b"<difyops:sealed:" in held
    assert KEY.encode() not in held
    assert OTHER_KEY.encode() not in held


def test_a_secret_variable_that_changed_is_drift_and_stays_as_it_is_now(
    cli: Cli, v1: str, colleague: Colleague
) -> None:
    app = colleague.app_id("wf-llm")
    colleague.edit(app, set_secret("tok-renewed-0001"))
    colleague.publish(app)
    assert "a sealed value changed" in cli("snapshot", "drift").out
    plan = cli("snapshot", "rollback", "wf-llm", "--to", v1, "--dry-run", "-o", "json").json["data"]["apps"][0]
    assert plan["changes"] == []
    assert cli("snapshot", "rollback", "wf-llm", "--to", v1, "--yes").code == 0
    assert colleague.clear(app)["API_TOKEN"] == "tok-renewed-0001"


def test_with_an_identity_a_lost_app_comes_back_whole(
    cli: Cli, keyed: str, colleague: Colleague, identity: Identity, tmp_path: Path
) -> None:
    secret = colleague.clear(keyed)
    assert cli("snapshot", "create", "-q").code == 0
    other = new_identity().recipient
    assert identity.recipient
    assert other
    waiting = give(tmp_path, identity.recipient, other)
    assert waiting.waiting > 0
    sealed = cli("snapshot", "create", "-o", "json")
    assert sealed.code == 0, sealed.err
    assert cli("snapshot", "create", "-o", "json").json["data"]["changed"] is False, "an unchanged set is sealed anew"
    status = cli("snapshot", "seal", "status", "-o", "json").json["data"]
    assert (status["opens"], status["lost"], len(status["recipients"])) == (True, 0, 2)
    before = colleague.live(keyed)["graph"]
    colleague.call("DELETE", f"/apps/{keyed}")
    done = cli("snapshot", "restore", "wf-llm", "--yes", "-o", "json")
    assert done.code == 0, done.err
    new = done.json["data"]["apps"][0]["app_id"]
    assert colleague.live(new)["graph"] == before
    assert colleague.clear(new) == secret
    held = everything_in_git(store_at(tmp_path))
    for value in (KEY, *map(str, secret.values())):
        if len(value) > 9:
            assert value.encode() not in held
    assert cli("snapshot", "verify", "--all").code == 0


def test_without_the_identity_what_is_lost_is_named(
    cli: Cli, keyed: str, colleague: Colleague, identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    give(tmp_path, str(identity.recipient), str(new_identity().recipient))
    assert cli("snapshot", "create", "-q").code == 0
    monkeypatch.delenv("DIFYOPS_SEAL_IDENTITY")
    assert cli("snapshot", "seal", "status", "-o", "json").json["data"]["opens"] is False
    assert cli("snapshot", "create", "-q").code == 0, "a machine with recipients only takes and compares"
    assert cli("snapshot", "drift").code == 0
    colleague.call("DELETE", f"/apps/{keyed}")
    refused = cli("snapshot", "restore", "wf-llm", "--yes")
    assert refused.code == 8
    assert "has no value" in refused.err


def test_secrets_go_to_another_instance_only_when_asked(
    cli: Cli, keyed: str, identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    give(tmp_path, str(identity.recipient), str(new_identity().recipient))
    assert cli("snapshot", "create", "-q").code == 0
    elsewhere, here = Emulator(basics=False, seed=99), context_name()
    with elsewhere.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", elsewhere.email)
        monkeypatch.setenv("DIFY_PASSWORD", elsewhere.password)
        nothing = cli("snapshot", "restore", "wf-llm", "--yes")
        assert nothing.code == 2
        assert f"--from NAME ({here})" in nothing.err
        refused = cli("snapshot", "restore", "wf-llm", "--yes", "--from", here)
        assert refused.code == 8
        assert "--with-secrets" in refused.err
        assert cli("snapshot", "restore", "wf-llm", "--yes", "--from", here, "--with-secrets").code == 0


def test_recipients_that_nobody_here_agreed_to_are_refused(
    cli: Cli, keyed: str, identity: Identity, tmp_path: Path
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    give(tmp_path, str(identity.recipient), str(new_identity().recipient))
    store = GitStore.open(store_at(tmp_path))
    found = read_seal(store, context_name())
    assert found
    stranger = str(new_identity().recipient)
    elsewhere = Access(state=tmp_path / "elsewhere", identity="env:DIFYOPS_SEAL_IDENTITY")
    set_recipients(store, context_name(), NewSeal(recipients=(*found.recipients, stranger)), elsewhere, SystemClock())
    refused = cli("snapshot", "create")
    assert refused.code == 8
    assert stranger[:20] in refused.err
    assert "seal status --agree" in refused.err
    assert cli("snapshot", "seal", "status", "--agree", "--yes").code == 0
    assert cli("snapshot", "create", "-q").code == 0
    recipients = (*found.recipients, stranger)
    set_recipients(store, context_name(), NewSeal(recipients=recipients, key=StoreKey.new()), elsewhere, SystemClock())
    refused = cli("snapshot", "create")  # the list is the same: a key that another one knows tells what he guesses
    assert refused.code == 8
    assert "The store key" in refused.err
    assert cli("snapshot", "seal", "status", "-o", "json").json["data"]["is_agreed"] is False
    assert cli("snapshot", "seal", "status", "--agree", "--yes").code == 0
    assert cli("snapshot", "create", "-q").code == 0


def test_a_removed_recipient_and_a_new_key_leave_nothing_behind_at_the_head(
    cli: Cli, keyed: str, identity: Identity, tmp_path: Path
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    leaver = new_identity()
    give(tmp_path, str(identity.recipient), str(leaver.recipient))
    assert cli("snapshot", "create", "-q").code == 0
    removed = cli("snapshot", "seal", "remove", str(leaver.recipient), "--yes")
    assert removed.code == 0, removed.err
    assert "rotate the secrets" in removed.out
    store = GitStore.open(store_at(tmp_path))
    found = read_seal(store, context_name())
    assert found
    assert found.recipients == (identity.recipient,)
    where = f"file:{tmp_path / 'new-identity.txt'}"
    rotated = cli("snapshot", "seal", "rotate", "--store-key", "--identity", where, "--yes")
    assert rotated.code == 0, rotated.err
    renewed = read_seal(store, context_name())
    assert renewed
    assert renewed.key_id != found.key_id
    assert found.key_id.encode() not in store.read(context_name(), f"apps/{keyed}/live.json")
    assert cli("snapshot", "verify").code == 0
    assert cli("snapshot", "drift").code == 0


def test_init_is_for_a_person(cli: Cli, keyed: str) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    refused = cli("snapshot", "seal", "init", "--yes")
    assert refused.code == 8
    assert "no terminal" in refused.err


def test_a_store_key_can_be_given_to_a_ci(
    cli: Cli, keyed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    assert cli("snapshot", "seal", "status", "--key-to", f"file:{tmp_path / 'key'}").code == 0
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "-b", context_name(), str(store_at(tmp_path)), str(clone)], check=True)
    monkeypatch.setenv("DIFYOPS_STORE", str(clone))
    told = cli("snapshot", "drift")
    assert told.code == 0
    assert "no store key" in told.err
    monkeypatch.setenv("DIFYOPS_SEAL_KEY", (tmp_path / "key").read_text().strip())
    assert "no store key" not in cli("snapshot", "drift").err
    assert cli("snapshot", "create", "-o", "json").json["data"]["changed"] is False


def test_what_a_machine_agreed_to_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    access = Access(state=tmp_path / "state")
    access.agree("s", Agreed(recipients=("age1x",), identity="file:x"))
    assert access.agreed("s") == Agreed(recipients=("age1x",), identity="file:x")
    assert (tmp_path / "state" / "seals.json").stat().st_mode & 0o077 == 0


def test_what_the_configuration_excepts_stays_in_clear_and_what_it_adds_is_sealed(
    cli: Cli, keyed: str, colleague: Colleague, tmp_path: Path
) -> None:
    colleague.edit(
        keyed, lambda document: node(document, "llm").update(customer_pin="4711-canary-0815", api_key=OTHER_KEY)
    )
    colleague.publish(keyed)
    assert cli("snapshot", "create", "-q").code == 0
    path = f"apps/{keyed}/live.json"
    store = GitStore.open(store_at(tmp_path))
    assert b"4711-canary-0815" in store.read(context_name(), path)
    config = tmp_path / "config" / "difyops" / "config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("secrets:\n  add: [customer_pin]\n")
    assert cli("snapshot", "create", "-o", "json").json["data"]["changed"] is True
    assert b"4711-canary-0815" not in store.read(context_name(), path)
    assert cli("snapshot", "drift").code == 0
    config.write_text("secrets:\n  except: ['node:*/api_key']\n")
    warned = cli("snapshot", "create")
    assert warned.code == 0
    assert b"4711-canary-0815" in store.read(context_name(), path)
    assert "looks like a secret in plain text" in warned.err
