"""Pushing to another repository: everything of a context arrives, and nothing over there is ever overwritten."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from difyops.errors import Refused, StoreError, UsageError
from difyops.git_store import GitStore
from tests.store.store_tools import git, save


@pytest.fixture
def far(tmp_path: Path) -> Path:
    path = tmp_path / "far.git"
    subprocess.run(["git", "init", "-q", "--bare", str(path)], check=True)
    return path


def test_branch_tags_and_note_arrive(store: GitStore, far: Path) -> None:
    first = save(store, {"a": b"1"}, tag=("v1", "one"), note=b"noon")
    save(store, {"a": b"1"}, branch="staging")
    assert sorted(store.push(str(far), branch="prod")) == [
        "refs/difyops/checked/prod",
        "refs/heads/prod",
        "refs/tags/prod/v1",
    ]
    assert git(far, "rev-parse", "prod").strip() == first
    assert git(far, "cat-file", "blob", "refs/difyops/checked/prod") == "noon"
    assert "staging" not in git(far, "for-each-ref")
    assert store.push(str(far)) == ["refs/heads/staging"]
    assert store.push(str(far)) == []
    store.note("prod", b"evening")
    assert store.push(str(far)) == ["refs/difyops/checked/prod"]


def test_a_configured_remote_is_used_by_name(store: GitStore, far: Path) -> None:
    save(store, {"a": b"1"})
    git(store.path, "remote", "add", "backup", str(far))
    assert store.push("backup") == ["refs/heads/prod"]


def test_a_diverged_remote_is_refused_and_unchanged(store: GitStore, far: Path, tmp_path: Path) -> None:
    save(store, {"a": b"1"})
    other = GitStore.open(tmp_path / "other", create=True)
    theirs = save(other, {"a": b"2"}, note=b"theirs")
    other.push(str(far))
    save(store, {"a": b"3"}, branch="staging")
    store.note("prod", b"ours")
    with pytest.raises(Refused, match="refs/heads/prod") as caught:
        store.push(str(far))
    assert "never forced" in str(caught.value)
    assert caught.value.details["pushed"] == ["refs/heads/staging"]
    assert git(far, "rev-parse", "prod").strip() == theirs
    assert git(far, "cat-file", "blob", "refs/difyops/checked/prod") == "theirs"


def test_a_tag_that_differs_over_there_is_refused(store: GitStore, far: Path, tmp_path: Path) -> None:
    save(store, {"a": b"1"}, message="same", tag=("v1", "theirs"))
    store.push(str(far))
    first = store.head("prod")
    git(store.path, "tag", "-d", "prod/v1")
    save(store, {"a": b"2"}, tag=("v1", "ours"))
    with pytest.raises(Refused, match="prod/v1"):
        store.push(str(far))
    assert git(far, "rev-parse", "prod").strip() == first


def test_a_remote_that_is_not_there_is_a_store_error(store: GitStore, tmp_path: Path) -> None:
    save(store, {"a": b"1"})
    for remote in (str(tmp_path / "nowhere.git"), "no-such-name"):
        with pytest.raises(StoreError, match="Cannot push"):
            store.push(remote)
    with pytest.raises(StoreError, match="Cannot push") as caught:
        store.push("http://127.0.0.1:9/x.git")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "remote",
    ["", "--receive-pack=touch x", "-f", "ext::sh -c touch% x", "a\nb", "https://me:canary-pw@example.com/x.git",
     "https://canary-token@example.com/x.git", "ssh://me:canary-pw@example.com/x.git", "https://a:canary@b@c/x"],
)  # fmt: skip
def test_an_address_that_is_more_than_an_address_is_refused(store: GitStore, remote: str) -> None:
    save(store, {"a": b"1"})
    with pytest.raises(UsageError) as caught:
        store.push(remote)
    assert "canary" not in str(caught.value)


def test_credentials_of_a_configured_remote_never_show(store: GitStore) -> None:
    save(store, {"a": b"1"})
    git(store.path, "remote", "add", "backup", "http://me:canary-pw@127.0.0.1:9/x.git")
    with pytest.raises(StoreError) as caught:
        store.push("backup")
    assert "canary" not in f"{caught.value} {caught.value.hint} {caught.value.details}"


def test_pushing_what_is_not_there_says_so(store: GitStore, far: Path) -> None:
    with pytest.raises(StoreError, match="no snapshot of prod"):
        store.push(str(far), branch="prod")
    assert store.push(str(far)) == []


def test_a_hook_over_there_that_says_no_is_heard(store: GitStore, far: Path) -> None:
    save(store, {"a": b"1"})
    hook = far / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Refused, match="pre-receive hook declined"):
        store.push(str(far))
