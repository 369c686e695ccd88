"""What is left after a kill, a full disk and a race: the last good state, and a next run that works."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from difyops.errors import StoreError
from difyops.git_store import GitStore
from tests.store.store_tools import git, save, start_child, tree

# Stands in for git on PATH: at the given call it kills the writer (and, in the middle, itself) without warning.
SHIM = """#!/bin/bash
number=$(( $(cat {state} 2>/dev/null || echo 0) + 1 ))
echo $number > {state}
if [ $number -ne {at} ]; then exec {git} "$@"; fi
case {moment} in
before) kill -9 $PPID; exit 1;;
after) {git} "$@"; status=$?; kill -9 $PPID; exit $status;;
middle) {git} "$@" < <(head -c 20000) & sleep 0.0{at}; kill -9 $!; kill -9 $PPID;;
esac
"""


def _install(folder: Path, **values: object) -> Path:
    folder.mkdir()
    program = folder / "git"
    program.write_text(SHIM.format(state=folder / "calls", git=shutil.which("git"), **values))
    program.chmod(0o755)
    return folder


def _is_sound(path: Path, former: str) -> GitStore:
    """Open what a killed writer left: either nothing happened or everything did, and writing goes on."""
    store = GitStore.open(path)
    head = store.head("prod")
    assert head is not None
    new = [info.id for info in store.log("prod")]
    assert former in new[:2]
    happened = head != former
    assert (store.read_note("prod") == b"k0") == happened
    assert [tag.name for tag in store.tags("prod")] == (["k0"] if happened else [])
    assert store.check() == []
    after = save(store, {"after": b"the kill"}, tag=("after", ""))
    assert tree(store, after) == {"after": b"the kill"}
    left = [each.name for each in (path / ".git").rglob("*") if "incoming" in each.name or each.suffix == ".lock"]
    # the young lock of a tag that the new commit does not touch is left to its owner, who may live
    assert [name for name in left if name != "k0.lock"] == ["difyops.lock"]
    return store


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after", "middle"])
def test_killed_at_any_call_of_git_nothing_or_everything_happened(
    tmp_path: Path, moment: str, points: Iterable[int]
) -> None:
    template = GitStore.open(tmp_path / "template", create=True)
    former = save(template, {"a": b"1", "apps/x/draft.yml": b"2"})
    git(template.path, "checkout", "-q", "prod")
    for at in points:
        copy = tmp_path / f"{at}"
        shutil.copytree(template.path, copy)
        shim = _install(tmp_path / f"bin{at}", at=at, moment=moment)
        child = start_child("commit", str(copy), "k", "1", path_first=shim)
        child.communicate(timeout=60)
        assert child.returncode in (0, -signal.SIGKILL)
        time.sleep(0.05)  # a git that outlived its writer may still be ending
        _is_sound(copy, former)
        assert (copy / "a").read_bytes() == b"1"
        if child.returncode == 0:
            break
    assert at > 5, "there were fewer calls than a commit makes"


@pytest.mark.slow
def test_killed_at_random_every_acknowledged_commit_is_there(tmp_path: Path) -> None:
    path = tmp_path / "store"
    acknowledged: list[str] = []
    chance = random.Random(20261120)
    for trial in range(3):
        child = start_child("commit", str(path), f"t{trial}-", "1000")
        assert child.stdout is not None
        acknowledged += [child.stdout.readline().strip() for _ in range(2)]  # however long this machine takes for it
        time.sleep(chance.random() * 0.3)
        os.killpg(child.pid, signal.SIGKILL)  # git, too, dies in the middle of what it does
        acknowledged += [line for line in child.stdout.read().splitlines() if len(line) == 40]
        child.communicate()
        store = GitStore.open(path, create=True)
        save(store, {f"between/{trial}": b"x"}, replace=False)
    history = [info.id for info in store.log("prod", limit=10_000)]
    assert all(len(line) == 40 for line in acknowledged)
    assert set(acknowledged) <= set(history)
    assert store.check() == []
    assert len(store.tags("prod")) == len([1 for info in store.log("prod", limit=10_000) if info.tags])


@pytest.mark.slow
def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    children = [start_child("commit", str(path), name, "6") for name in ("one", "two", "three")]
    for child in children:
        _, errors = child.communicate(timeout=110)
        assert child.returncode == 0, errors
    store = GitStore.open(path)
    assert set(store.blob_ids("prod")) == {
        f"apps/{name}{number}/draft.yml" for name in ("one", "two", "three") for number in range(6)
    }
    assert len(store.log("prod")) == len(store.tags("prod")) == 18
    assert store.check() == []


def test_a_lock_left_by_a_killed_git_does_not_block(store: GitStore) -> None:
    save(store, {"a": b"1"})
    locks = [store.path / ".git" / name for name in ("refs/heads/prod.lock", "HEAD.lock")]
    for lock in locks:
        lock.write_text("")
        os.utime(lock, (time.time() - 60, time.time() - 60))
    second = save(store, {"a": b"2"})
    assert store.head("prod") == second
    assert not any(lock.exists() for lock in locks)


@pytest.mark.slow
def test_a_lock_whose_owner_may_live_is_waited_for(store: GitStore) -> None:
    save(store, {"a": b"1"})
    lock = store.path / ".git" / "refs/heads/prod.lock"
    lock.write_text("")
    os.utime(lock, (time.time() + 3600, time.time() + 3600))  # a clock that was wrong must not block for ever
    began = time.monotonic()
    save(store, {"a": b"2"})
    assert time.monotonic() - began > 4


def test_a_persons_index_lock_is_not_ours(store: GitStore) -> None:
    lock = store.path / ".git" / "index.lock"
    lock.write_text("")
    save(store, {"a": b"1"})
    assert lock.exists()


def test_a_file_size_limit_is_a_full_disk_in_one_sentence(store: GitStore) -> None:
    first = save(store, {"a": b"1"})
    child = start_child("starve", str(store.path), "big", "1")
    output, errors = child.communicate(timeout=60)
    assert output.startswith("store: No room left to write the snapshot store"), errors
    _is_intact(store, first)


def test_a_full_disk_leaves_the_last_good_state(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        store = GitStore.open(disk / "store", create=True)
        first = save(store, {"a": b"1"})
        with pytest.raises(StoreError, match="No room left"):
            save(store, {"big": os.urandom(8_000_000)}, tag=("big", ""))
        _is_intact(store, first)
        store.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _is_intact(store: GitStore, first: str) -> None:
    assert store.head("prod") == first
    assert store.tags("prod") == []
    assert store.check() == []
    left = [each.name for each in (store.path / ".git").iterdir()]
    assert not [name for name in left if "incoming" in name or "crash" in name]
    save(store, {"a": b"small"})
    assert store.read("prod", "a") == b"small"


def test_damage_is_found_and_named(store: GitStore) -> None:
    first = save(store, {"a": b"content " * 1000, "b": b"2"})
    (pack,) = (store.path / ".git" / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 0xFF
    pack.write_bytes(content)
    assert store.check()
    with pytest.raises(StoreError) as caught:
        store.read_many(first, ["a", "b"])
    assert caught.value.hint == "difyops snapshot verify"


def test_a_damaged_branch_is_not_taken_for_a_new_one(store: GitStore) -> None:
    save(store, {"a": b"1"})
    (store.path / ".git" / "refs" / "heads" / "prod").write_text("")
    with pytest.raises(StoreError, match="damaged"):
        store.head("prod")
    with pytest.raises(StoreError, match="damaged"):
        save(store, {"a": b"2"}, base=None)
    assert store.check()


def test_tidying_keeps_everything(store: GitStore) -> None:
    ids = [save(store, {f"f{n}": str(n).encode()}, replace=False) for n in range(60)]
    packs = store.path / ".git" / "objects" / "pack"
    assert len(list(packs.glob("*.pack"))) > 50
    store.note("prod", b"kept")
    store.tidy()
    assert len(list(packs.glob("*.pack"))) < 5
    assert [info.id for info in store.log("prod", limit=100)] == ids[::-1]
    assert store.read_note("prod") == b"kept"
    assert store.check() == []


@pytest.mark.slow
def test_ten_changed_apps_of_many_write_ten_apps_and_nothing_more(store: GitStore) -> None:
    chance = random.Random(1)
    text = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz     :\n", k=200_000)).encode()
    files: dict[str, bytes] = {}
    for number in range(300):
        for name, size in (("draft.yml", 20_000), ("published.yml", 30_000), ("meta.json", 2_000)):
            start = chance.randrange(160_000)
            files[f"apps/{number}/{name}"] = text[start : start + size]
    save(store, files)
    changed = {path: b"new" + files[path] for path in files if int(path.split("/")[1]) < 10}
    before = objects(store)
    save(store, files | changed)
    assert len(changed) == 30
    assert objects(store) - before == 30 + 10 + 2 + 1  # files, their folders, apps/ and the root, the commit


def objects(store: GitStore) -> int:
    counted = dict(line.split(": ") for line in git(store.path, "count-objects", "-v").splitlines())
    return int(counted["count"]) + int(counted["in-pack"])


def test_a_folder_of_another_maker_that_vanishes_is_nobodys_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten contexts take their first snapshot into one new store: each makes it, one is first."""
    path = tmp_path / "store"
    (path / ".difyops-new-other").mkdir(parents=True)
    real = Path.stat

    def vanishing(self: Path, **words: bool) -> os.stat_result:
        if self.name == ".difyops-new-other" and self.exists():
            self.rmdir()
        return real(self, **words)

    looked = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(list(looked(self))))
    monkeypatch.setattr(Path, "stat", vanishing)
    monkeypatch.setattr(Path, "exists", lambda self, **_: os.path.lexists(self))
    assert GitStore.open(path, create=True).branches() == []
