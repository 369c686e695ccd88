"""A person works in the same folder with plain git: nothing of theirs is lost, nothing of theirs breaks the store."""

from __future__ import annotations

import subprocess

from difyops.git_store import GitStore
from tests.store.store_tools import git, save, tree


def test_a_new_store_looks_quiet_to_git(store: GitStore) -> None:
    save(store, {"apps/a/draft.yml": b"a: 1\n"}, message="Nightly")
    assert git(store.path, "status", "--porcelain") == ""
    assert "Nightly" in git(store.path, "log", "prod")
    assert git(store.path, "show", "prod:apps/a/draft.yml") == "a: 1\n"
    assert not store.local_changes()


def test_edits_in_a_checkout_stay_through_new_snapshots(store: GitStore) -> None:
    first = save(store, {"a": b"1\n", "b": b"1\n"})
    git(store.path, "checkout", "-q", "prod")
    assert not store.local_changes()
    (store.path / "a").write_text("mine\n")
    (store.path / "notes.txt").write_text("also mine\n")
    second = save(store, {"a": b"2\n", "b": b"2\n"})
    assert (store.path / "a").read_text() == "mine\n"
    assert store.local_changes()
    # HEAD stayed with the files: only the person's own edits show, and committing them cannot undo the snapshot
    assert git(store.path, "rev-parse", "HEAD").strip() == first
    assert git(store.path, "status", "--porcelain").split() == ["M", "a", "??", "notes.txt"]
    git(store.path, "commit", "-qam", "by hand")
    assert store.head("prod") == second
    assert tree(store, "prod") == {"a": b"2\n", "b": b"2\n"}
    git(store.path, "checkout", "-q", "prod")
    assert (store.path / "b").read_text() == "2\n"


def test_staged_edits_stay_staged(store: GitStore) -> None:
    save(store, {"a": b"1\n"})
    git(store.path, "checkout", "-q", "prod")
    (store.path / "a").write_text("staged\n")
    git(store.path, "add", "a")
    save(store, {"a": b"2\n"})
    assert git(store.path, "diff", "--cached", "--name-only").split() == ["a"]
    assert git(store.path, "show", ":a") == "staged\n"


def test_a_checkout_of_another_branch_is_left_alone(store: GitStore) -> None:
    save(store, {"a": b"1"}, branch="staging")
    git(store.path, "checkout", "-q", "staging")
    save(store, {"a": b"2"})
    assert git(store.path, "symbolic-ref", "HEAD").strip() == "refs/heads/staging"
    assert not store.local_changes()


def test_an_unborn_branch_somebody_stands_on_can_begin(store: GitStore) -> None:
    git(store.path, "symbolic-ref", "HEAD", "refs/heads/prod")
    (store.path / "draft.txt").write_text("mine")
    git(store.path, "add", "draft.txt")
    first = save(store, {"a": b"1"})
    assert store.head("prod") == first
    assert git(store.path, "diff", "--cached", "--name-only").split() == ["draft.txt"]


def test_a_commit_by_hand_is_built_upon(store: GitStore) -> None:
    save(store, {"a": b"1\n", "b": b"1\n"})
    git(store.path, "checkout", "-q", "prod")
    (store.path / "a").write_text("by hand\n")
    (store.path / "b").chmod(0o755)
    (store.path / "link").symlink_to("a")
    odd = store.path / 'odd\n"name"'
    odd.write_text("odd")
    git(store.path, "add", "-A")
    git(store.path, "commit", "-qm", "by hand")
    by_hand = store.head("prod")
    assert by_hand
    assert tree(store, by_hand) == {"a": b"by hand\n", "b": b"1\n", "link": b"a", 'odd\n"name"': b"odd"}
    grown = save(store, {"c": b"3\n"}, replace=False)
    assert set(store.blob_ids(grown)) == {"a", "b", "c", "link", 'odd\n"name"'}
    whole = save(store, {"a": b"1\n", "b": b"1\n", "link": b"a"})
    assert git(store.path, "ls-tree", "-r", "--format=%(objectmode) %(path)", whole).splitlines() == [
        "100644 a",
        "100644 b",
        "100644 link",
    ]
    assert [info.author for info in store.log("prod")][2] == "Person <person@example.com>"


def test_tags_by_hand_are_listed(store: GitStore) -> None:
    first = save(store, {"a": b"1"})
    git(store.path, "tag", "prod/light", first)
    git(store.path, "tag", "-m", "to a file", "prod/blob", f"{first}:a")
    git(store.path, "tag", "elsewhere", first)
    assert [(tag.name, tag.commit, tag.message) for tag in store.tags("prod")] == [("light", first, "")]
    assert store.resolve("light", branch="prod") == first


def test_packed_references_and_a_collected_store_work(store: GitStore) -> None:
    first = save(store, {"a": b"1"}, tag=("v1", ""), note=b"n")
    git(store.path, "gc", "-q", "--prune=now")
    assert store.resolve("v1", branch="prod") == first
    second = save(store, {"a": b"2"}, tag=("v2", ""))
    assert [info.id for info in store.log("prod")] == [second, first]
    assert store.read_note("prod") == b"n"


def test_a_clone_is_a_store(store: GitStore) -> None:
    first = save(store, {"a": b"1"}, tag=("v1", "one"))
    copy = store.path.parent / "copy"
    subprocess.run(["git", "clone", "-q", "-b", "prod", str(store.path), str(copy)], check=True)
    cloned = GitStore.open(copy)
    assert cloned.resolve("v1", branch="prod") == first
    second = save(cloned, {"a": b"2"})
    assert cloned.head("prod") == second
    assert (copy / "a").read_text() == "1"
