"""Writers of different branches go side by side; those of one branch, and who packs the store, one after the other."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from difyops.errors import LockHeld
from difyops.git_store import GitStore, incoming, writers
from tests.store.store_tools import git, save


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_PATIENCE", 0.0)


def test_another_branch_is_written_meanwhile_and_the_same_one_is_not(store: GitStore) -> None:
    first = save(store, {"a": b"1"})
    with writers.alongside(store._git, ["prod"]):
        save(store, {"b": b"2"}, "staging")
        store.note("staging", b"looked")
        with pytest.raises(LockHeld, match=r"the snapshots of prod in .*: process \d+ since"):
            save(store, {"a": b"2"})
        with pytest.raises(LockHeld, match="prod"):
            store.note("prod", b"looked")
    assert store.head("prod") == first
    assert store.read("staging", "b") == b"2"
    save(store, {"a": b"2"})
    assert store.check() == []


def test_a_branch_that_takes_over_another_holds_both(store: GitStore) -> None:
    first = save(store, {"a": b"1"}, "env", tag=("t", ""))
    store.takes_over("prod", "env")
    with writers.alongside(store._git, ["env"]), pytest.raises(LockHeld, match="env"):
        save(store, {"a": b"2"}, "prod", base=first)
    save(store, {"a": b"2"}, "prod", base=first)
    assert [tag.name for tag in store.tags("prod")] == ["t"]


def test_what_a_living_writer_brings_is_not_swept(store: GitStore) -> None:
    dead, living = (store.path / ".git" / f"{writers.INCOMING}{name}" for name in ("dead", "living"))
    dead.mkdir()
    with writers.alongside(store._git, ["prod"]):
        assert not dead.exists()
        living.mkdir()
        save(store, {"a": b"1"}, "staging")
        assert living.exists()
    save(store, {"a": b"2"}, "staging")
    assert not living.exists()


def test_nobody_packs_while_somebody_writes(store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store, {"a": b"1"})
    save(store, {"a": b"2"})
    monkeypatch.setattr(incoming, "MANY_PACKS", 1)
    packs = store.path / ".git" / "objects" / "pack"
    with writers.alongside(store._git, ["staging"]):
        store.tidy()
        assert len(list(packs.glob("*.pack"))) == 2
    store.tidy()
    assert len(list(packs.glob("*.pack"))) == 1
    assert store.check() == []


@contextmanager
def _as_before_branches_had_locks(store: GitStore) -> Iterator[None]:
    descriptor = os.open(store.path / ".git" / "difyops.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        os.close(descriptor)


def test_a_difyops_that_knows_of_no_branches_keeps_out_and_is_kept_out(store: GitStore) -> None:
    with _as_before_branches_had_locks(store), pytest.raises(LockHeld, match="the snapshot store"):
        save(store, {"a": b"1"})
    with (
        writers.alongside(store._git, ["prod"]),
        pytest.raises(BlockingIOError),
        _as_before_branches_had_locks(store),
    ):
        pass
    save(store, {"a": b"1"})


def test_a_lock_that_a_killed_git_left_on_the_packed_references_stops_nobody(
    store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, {"a": b"1"})
    git(store.path, "pack-refs", "--all")
    lock = store.path / ".git" / "packed-refs.lock"
    lock.write_text("")
    os.utime(lock, (0, 0))
    save(store, {"a": b"2"}, tag=("t", ""), note=b"looked")
    monkeypatch.setattr(incoming, "MANY_PACKS", 1)
    store.tidy()
    assert not lock.exists()
    assert store.check() == []


def test_ten_first_snapshots_at_once(store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_PATIENCE", 60.0)
    names = [f"c{number}" for number in range(10)]
    failed: list[BaseException] = []

    def write(name: str) -> None:
        try:
            mine = GitStore.open(store.path)
            for number in range(2):
                save(mine, {name: b"%d" % number, "same": b"content"}, name, tag=(f"t{number}", ""), note=b"looked")
                mine.keep_anchor(name, "here", b"%d" % number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert store.branches() == names
    assert all(len(store.log(name)) == len(store.tags(name)) == 2 for name in names)
    assert all(store.anchors(name) == {"here": b"1"} for name in names)
    assert store.check() == []
