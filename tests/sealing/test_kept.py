"""Documents that outlive their change: always encrypted, opened again on this machine without asking."""

from __future__ import annotations

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import null

from difyops import atomic_file, credentials
from difyops.dry_run import dry_run
from difyops.errors import StoreError
from difyops.publishing.kept_drafts import kept_drafts
from difyops.sealing.access import Access, Agreed, access_of
from difyops.sealing.age import CannotOpen, new_identity
from difyops.sealing.kept import keep_body, opened_body

BODY = {"title": "draft of billing", "app_id": "app-1", "document": {"key": "swordfish-canary"}}


class Memory(KeyringBackend):
    """A keyring in memory."""

    priority = 1.0

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def kept(state: Path, name: str = "one") -> Path:
    place = state / "kept" / f"{name}.json"
    keep_body(state, place, BODY)
    return place


def opened(place: Path, access: Access | None = None) -> dict[str, Any]:
    found = opened_body(json.loads(place.read_text()), access or Access(state=place.parent.parent))
    return {key: found[key] for key in BODY}


def files(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def test_without_recipients_it_is_for_an_identity_of_this_machine(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, identity = kept(state), tmp_path / "config/difyops/kept-identity.txt"
    assert identity.stat().st_mode & 0o777 == 0o600
    secret = identity.read_text().strip()
    assert "swordfish" not in files(state)
    assert secret not in files(state)
    (listed,) = kept_drafts(state)
    assert (listed.title, listed.app_id, listed.document) == ("draft of billing", "app-1", {})
    assert opened(place) == BODY
    identity.unlink()
    with pytest.raises(CannotOpen, match=r"kept-identity\.txt.*not there any more") as lost:
        opened(place)
    assert "backup" in str(lost.value.hint)
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", secret)
    assert opened(place, access_of({}, state)) == BODY


def test_an_identity_that_the_environment_gives_is_taken(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", new_identity().secret.reveal())
    assert opened(kept(state), access_of({}, state)) == BODY
    assert not (tmp_path / "config").exists()


def test_recipients_take_over_and_what_was_kept_before_opens_still(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, before = new_identity(), kept(state)
    Access(state=state).agree("a-store", Agreed(recipients=(str(mine.recipient),)))
    after = kept(state, "two")
    assert opened(before) == BODY
    with pytest.raises(CannotOpen) as closed:
        opened(after)
    assert "DIFYOPS_SEAL_IDENTITY" in str(closed.value.hint)
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", mine.secret.reveal())
    assert opened(after, access_of({}, state)) == BODY


def test_what_an_older_version_kept_in_clear_is_encrypted_at_the_next_use(state: Path) -> None:
    place = state / "kept" / "old.json"
    atomic_file.write(place, json.dumps(BODY).encode(), mode=atomic_file.PRIVATE)
    os.utime(place, (1_700_000_000, 1_700_000_000))
    with dry_run(True):
        kept_drafts(state)
    assert "swordfish" in files(state)
    (listed,) = kept_drafts(state)
    assert listed.kept_at == "2023-11-14T22:13:20Z"
    assert "swordfish" not in files(state)
    assert opened(place) == BODY


def test_a_machine_makes_one_identity_whoever_is_first(state: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(lambda number: kept(state, str(number)), range(4)))
    assert all(opened(place) == BODY for place in places)
    assert len({json.loads(place.read_text())["for"]["recipients"][0] for place in places}) == 1


def test_another_machine_with_the_same_folder_is_told_whose_it_is(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFYOPS_HOST", "ops-1")
    place = kept(state)
    monkeypatch.setenv("DIFYOPS_HOST", "ops-2")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config-2"))
    with pytest.raises(CannotOpen, match=r"ops-1 made .*not here") as closed:
        opened(place)
    assert "Run this on ops-1" in str(closed.value.hint)
    assert opened(kept(state, "two")) == BODY


@pytest.mark.parametrize("is_null", [False, True])
def test_the_keyring_holds_it_where_there_is_one_that_keeps_what_it_is_given(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_null: bool
) -> None:
    former, memory = keyring.get_keyring(), Memory()
    keyring.set_keyring(null.Keyring() if is_null else memory)
    try:
        place = kept(state)
        assert (tmp_path / "config").exists() == is_null
        assert opened(place) == BODY
        if not is_null:
            monkeypatch.setattr(credentials, "keyring_problem", lambda: "The keyring is locked.")
            memory.held.clear()
            with pytest.raises(CannotOpen, match="The keyring is locked"):
                opened(place)
    finally:
        keyring.set_keyring(former)


def test_a_configuration_folder_that_cannot_be_written_leaves_the_home_and_then_nothing(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("no folder")
    assert opened(kept(state)) == BODY
    identity = tmp_path / "home/.config/difyops/kept-identity.txt"
    assert identity.exists()
    monkeypatch.setenv("HOME", str(tmp_path / "config"))
    with pytest.raises(StoreError, match="no place for an identity") as refused:
        kept(state, "two")
    assert "DIFYOPS_SEAL_IDENTITY" in str(refused.value.hint)
    old = state / "kept" / "old.json"
    atomic_file.write(old, json.dumps(BODY).encode(), mode=atomic_file.PRIVATE)
    said = list[str]()
    monkeypatch.setattr(logging.getLogger("difyops.sealing"), "warning", lambda text, *more: said.append(text % more))
    assert len(kept_drafts(state)) == 2
    assert "lies in clear" in said[0]
    monkeypatch.setenv("HOME", "nowhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    with pytest.raises(StoreError, match="this user has no home"):
        kept(state, "two")
