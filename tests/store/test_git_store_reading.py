"""Finding the store and finding things in it."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import difyops
from difyops.errors import StoreError
from difyops.git_store import GitStore
from tests.store.store_tools import NOON, git, save


def test_a_missing_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist") as caught:
        GitStore.open(tmp_path / "none")
    assert "snapshot create" in str(caught.value.hint)
    assert not (tmp_path / "none").exists()


def test_a_repository_further_up_is_not_taken(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", ".")
    (tmp_path / "inside").mkdir()
    with pytest.raises(StoreError, match="of its own"):
        GitStore.open(tmp_path / "inside")
    inner = GitStore.open(tmp_path / "inside", create=True)
    save(inner, {"a": b"1"})
    assert git(tmp_path, "for-each-ref") == ""


def test_a_folder_with_other_things_is_not_made_into_a_store(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"letter\.txt"):
        GitStore.open(tmp_path, create=True)
    assert not (tmp_path / ".git").exists()


def test_a_readme_and_an_ignore_file_may_be_there(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "README.md").write_text("read me")
    (folder / ".gitignore").write_text("*")
    store = GitStore.open(folder, create=True)
    assert not store.local_changes()
    assert (folder / "README.md").read_text() == "read me"


def test_a_file_in_the_place_of_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for create in (False, True):
        with pytest.raises(StoreError):
            GitStore.open(tmp_path / "file", create=create)


def test_a_broken_repository_is_named(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for create in (False, True):
        with pytest.raises(StoreError, match="not a working git repository"):
            GitStore.open(tmp_path, create=create)


def test_opening_twice_keeps_what_is_there(store: GitStore) -> None:
    first = save(store, {"a": b"1"})
    assert GitStore.open(store.path, create=True).head("prod") == first
    assert GitStore.open(store.path).head("prod") == first


def test_without_git_there_is_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from difyops.errors import StoreError\n"
        "from difyops.git_store import GitStore\n"
        "try: GitStore.open(Path('x'), create=True)\n"
        "except StoreError as error: sys.stdout.write(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": str(tmp_path), "PYTHONPATH": str(Path(difyops.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "git program is not installed" in done.stdout


def test_a_surrounding_git_does_not_lead_astray(
    store: GitStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q", ".")
    for name, value in {
        "GIT_DIR": other / ".git",
        "GIT_WORK_TREE": other,
        "GIT_INDEX_FILE": other / "index",
        "GIT_OBJECT_DIRECTORY": other / ".git" / "objects",
        "GIT_NAMESPACE": "x",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare",
        "GIT_CONFIG_VALUE_0": "true",
    }.items():
        monkeypatch.setenv(name, str(value))
    again = GitStore.open(store.path)
    first = save(again, {"a": b"1"})
    assert again.read(first, "a") == b"1"
    assert not list((other / ".git" / "objects").rglob("*.pack"))


def test_hooks_and_personal_settings_do_not_run(store: GitStore, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    sprung = tmp_path / "sprung"
    for name in ("reference-transaction", "post-commit", "pre-push", "update"):
        (trap / name).write_text(f"#!/bin/sh\ntouch {sprung}\n")
        (trap / name).chmod(0o755)
    (tmp_path / "home" / ".gitconfig").write_text(
        f"[core]\n hooksPath = {trap}\n autocrlf = true\n[commit]\n gpgSign = true\n[tag]\n gpgSign = true\n"
    )
    git(store.path, "config", "core.hooksPath", str(trap))
    git(store.path, "config", "core.fsmonitor", str(trap / "update"))
    first = save(store, {"a": b"one\r\ntwo\n"}, tag=("t", "m"))
    store.local_changes()
    assert store.read(first, "a") == b"one\r\ntwo\n"
    assert not sprung.exists()


def test_what_a_person_types_finds_the_snapshot(store: GitStore) -> None:
    ids = [save(store, {"a": str(n).encode()}, tag=(f"v{n}", "") if n % 2 else None) for n in range(5)]
    for text, number in {
        "latest": 4, "HEAD": 4, "prod": 4, "latest~2": 2, "HEAD^": 3, "latest~": 3, "latest~0": 4, "v1": 1, "v3~1": 2,
        ids[2]: 2, ids[2][:8]: 2, ids[2][:8].upper(): 2, f"{ids[3][:10]}~3": 0, " v1 ": 1,
    }.items():  # fmt: skip
        assert store.resolve(text, branch="prod") == ids[number], text


def test_a_tag_that_looks_like_an_id_is_a_tag(store: GitStore) -> None:
    first = save(store, {"a": b"1"}, tag=("20261120", "the day"))
    save(store, {"a": b"2"})
    assert store.resolve("20261120", branch="prod") == first


_NO_SNAPSHOTS = (
    ["", "v9", "latest~5", "--upload-pack=x", "-n", "a..b", "v1\n", "latest~99999999", "^v1", "v1^{tree}", ":/A",
     "v1:a", "@{-1}", "refs/heads/prod", "staging", "0" * 40, "dead", "\x1b[31m", "../../x", "~1", "^", "é\udc80"]
)  # fmt: skip


def test_what_is_no_snapshot_is_refused_with_what_there_is(store: GitStore) -> None:
    save(store, {"a": b"1"}, tag=("v1", ""))
    save(store, {"a": b"1"}, branch="staging")
    for text in _NO_SNAPSHOTS:
        if text.strip() == "v1":
            continue
        with pytest.raises(StoreError, match="no snapshot") as caught:
            store.resolve(text, branch="prod")
        assert "v1" in str(caught.value.hint), text
        assert "\x1b" not in str(caught.value)


def test_a_snapshot_of_another_context_is_not_ours(store: GitStore) -> None:
    save(store, {"a": b"1"})
    other = save(store, {"a": b"2"}, branch="staging", tag=("only-staging", ""))
    for text in (other, other[:8], "only-staging"):
        with pytest.raises(StoreError, match="of prod"):
            store.resolve(text, branch="prod")


def test_a_tagged_snapshot_survives_a_branch_set_back_by_hand(store: GitStore) -> None:
    first = save(store, {"a": b"1"})
    second = save(store, {"a": b"2"}, tag=("keep", ""))
    git(store.path, "update-ref", "refs/heads/prod", first)
    assert store.resolve("keep", branch="prod") == second
    assert store.resolve(second[:9], branch="prod") == second


def test_an_empty_context_says_how_to_begin(store: GitStore) -> None:
    with pytest.raises(StoreError) as caught:
        store.resolve("latest", branch="prod")
    assert caught.value.hint == "No snapshot was taken yet: difyops snapshot create"
    assert store.log("prod") == []
    assert store.tags("prod") == []


def test_log_and_tags_are_newest_first(store: GitStore) -> None:
    ids = [
        save(
            store, {"a": str(n).encode()}, when=NOON + timedelta(hours=n), message=f"n{n}", tag=(f"t{n}", f"m{n}\n\nx")
        )
        for n in range(4)
    ]
    save(store, {"z": b""}, branch="staging", tag=("s", ""))
    assert [info.subject for info in store.log("prod")] == ["n3", "n2", "n1", "n0"]
    assert [info.id for info in store.log("prod", limit=2)] == [ids[3], ids[2]]
    assert store.log("prod")[1].tags == ("t2",)
    assert [(tag.name, tag.when) for tag in store.tags("prod")][:2] == [
        ("t3", NOON + timedelta(hours=3)),
        ("t2", NOON + timedelta(hours=2)),
    ]
    assert store.tags("prod")[0].message == "m3\n\nx"
    assert store.branches() == ["prod", "staging"]


def test_many_files_come_back_in_the_order_asked_for(store: GitStore) -> None:
    first = save(store, {"a": b"1", "b": b"", "c": b"1", "d": b"\n\n"})
    assert list(store.read_many(first, ["d", "a", "c", "b", "a"]).items()) == [
        ("d", b"\n\n"),
        ("a", b"1"),
        ("c", b"1"),
        ("b", b""),
    ]
    assert store.read_many("prod", []) == {}


def test_a_sha256_repository_works_as_well(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "-b", "x", "wide")
    store = GitStore.open(tmp_path / "wide")
    first = save(store, {"a": b"1"}, tag=("t", ""), note=b"n")
    second = save(store, {"a": b"2"})
    assert len(second) == 64
    assert store.resolve("t", branch="prod") == first
    assert save(store, {"a": b"2"}) == second
    assert store.check() == []
