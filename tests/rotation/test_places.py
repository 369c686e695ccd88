"""References as they reach a rotation: values that are no text, places seen from another folder, keyrings that lock."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.errors
import pytest

from difyops.emulator import Emulator
from difyops.errors import StoreError
from difyops.rotation.deliver import anchored
from difyops.rotation.engine import Driver, begin
from difyops.rotation.job import RotationJob
from difyops.rotation.journal import RotationJournal
from difyops.rotation.machine import State
from difyops.rotation.vault import KEYRING, NEW, Vault
from difyops.secret_text import SecretText
from tests.conftest import Cli
from tests.rotation.rig import CASES, PROVIDER, Console, Rig, value_in_use
from tests.rotation.test_parts import InMemory
from tests.rotation.test_secret_cli import at as at  # the fixture

QUICK = ("--grace", "100ms", "--yes", "--no-probe")


class Locking(InMemory):
    """A keyring that somebody locks."""

    is_locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise keyring.errors.KeyringLocked
        return super().get_password(service, username)


@pytest.fixture
def locking() -> Iterator[Locking]:
    before, here = keyring.get_keyring(), Locking()
    keyring.set_keyring(here)
    yield here
    keyring.set_keyring(before)


def test_a_reference_means_the_same_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert anchored("file:key") == f"file:{tmp_path}/key"
    assert anchored("file:/run/key") == "file:/run/key"
    assert anchored("file:~/key") == f"file:{os.environ['HOME']}/key"
    assert anchored("cmd:./put 'a b'") == f"cmd:{tmp_path}/put 'a b'"
    for other in ("cmd:vault-put a/b", "cmd:/bin/put x", "cmd:'", "cmd:", "keyring:a/b", "env:X", "file:"):
        assert anchored(other) == other


def test_a_place_named_by_a_relative_path_gets_the_old_key_back_from_another_folder(
    at: str, cli: Cli, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here, there, old = tmp_path / "here", tmp_path / "there", value_in_use(emulator, "app-key")
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    words = ("app-key", "wf-echo", "--deliver", "file:key", "--grace", "1h", "--detach", "--yes", "--no-probe")
    ran = cli("secret", "rotate", *words)
    assert ran.code == 0, ran.err
    assert (here / "key").read_text().strip() != old
    monkeypatch.chdir(there)
    ran = cli("secret", "revert", "--yes")
    assert ran.code == 0, ran.err
    assert (here / "key").read_text().strip() == old
    assert not list(there.iterdir())


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (None, "closed"),
        (io.StringIO("\n"), "empty"),
        (io.TextIOWrapper(io.BytesIO(b"canary-\xff-value"), encoding="utf-8"), "not UTF-8"),
        (io.TextIOWrapper(io.BytesIO(b"canary-\xff-value"), encoding="utf-8", errors="surrogateescape"), "not UTF-8"),
    ],
    ids=["closed", "empty", "bytes", "half-characters"],
)
def test_a_standard_input_that_holds_no_value_is_a_usage_error_and_nothing_begins(
    stdin: object, said: str, at: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    ran = cli("secret", "rotate", "env", "wf-llm", "API_TOKEN", "--value-from", "-", *QUICK)
    assert ran.code == 2, ran.err
    assert said in ran.err
    assert "canary" not in ran.err
    assert cli("secret", "status", "-o", "json").json["data"] == []


def test_a_value_instead_of_a_reference_is_refused_by_a_dry_run_too(at: str, cli: Cli) -> None:
    ran = cli("secret", "rotate", "provider", PROVIDER, "--value-from", "sk-canary-as-a-word", "--dry-run")
    assert ran.code == 2
    assert "reference" in ran.err
    assert "canary" not in ran.out + ran.err


def test_a_grace_period_of_centuries_is_refused_before_anything_is_changed(at: str, cli: Cli, console: Console) -> None:
    ran = cli("secret", "rotate", "app-key", "wf-echo", "--by-hand", "--grace", "99999999d", "--yes", "--no-probe")
    assert ran.code == 2
    assert "is longer than" in ran.err
    assert len(console.app_keys("wf-echo")) == 1


async def test_a_command_does_not_see_the_variables_that_the_values_come_from(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "give.sh"
    script.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\nprintf canary-given\n")
    script.chmod(0o700)
    for name in ("FIRST", "SECOND", "OTHER"):
        monkeypatch.setenv(name, "short")  # too short to be known by its text
    async with rig.bench() as bench:
        planned = await rig.plan(bench, CASES["provider"], value_from="env:FIRST", also_from={"x": "env:SECOND"})
        rotation = await begin(bench, planned, None)
        assert await RotationJob.of(bench, rotation).resolve(f"cmd:{script}") == SecretText("canary-given")
    seen = (tmp_path / "seen").read_text().splitlines()
    assert "OTHER=short" in seen
    assert not [line for line in seen if line.startswith(("FIRST=", "SECOND="))]


def test_a_keyring_that_locks_is_no_sign_that_nothing_is_held(locking: Locking, tmp_path: Path) -> None:
    vault = Vault.of(tmp_path, "abc", KEYRING)
    vault.keep(NEW, SecretText("canary-held-value"))
    locking.is_locked = True
    for look in (lambda: vault.get(NEW), vault.clear):
        with pytest.raises(StoreError, match="locked"):
            look()
    locking.is_locked = False
    assert vault.get(NEW) == SecretText("canary-held-value")


async def test_a_keyring_that_locks_in_the_grace_period_stops_this_run_and_nothing_else(
    locking: Locking, rig: Rig, emulator: Emulator
) -> None:
    case = CASES["env"]
    async with rig.bench() as bench:
        object.__setattr__(bench, "hold", KEYRING)
        planned = await rig.plan(bench, case, grace=3600.0)
        driven = await Driver(bench, wait=False).drive(await begin(bench, planned, SecretText(case.new)))
        assert driven.rotation.state is State.GRACE
        bench.journal.write(driven.rotation, "note", memo={"last_round": 0.0})
        locking.is_locked = True
        for _ in range(3):
            with pytest.raises(StoreError, match="locked"):
                await Driver(bench, wait=False).drive(driven.rotation)
        assert bench.journal.open()[0].state is State.GRACE
        locking.is_locked = False
    assert value_in_use(emulator, "env") == case.new
    resumed = await rig.resume(wait=False)
    assert resumed
    assert resumed.rotation.state is State.GRACE


async def test_nothing_begins_where_the_keyring_cannot_hold_the_value(locking: Locking, rig: Rig) -> None:
    locking.is_locked = True
    async with rig.bench() as bench:
        object.__setattr__(bench, "hold", KEYRING)
        planned = await rig.plan(bench, CASES["provider"])
        with pytest.raises(StoreError, match="locked"):
            await begin(bench, planned, SecretText("sk-good-canary-8"))
        journal: RotationJournal = bench.journal
        assert journal.open() == []
