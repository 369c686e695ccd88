"""Writing: what a commit holds, what it refuses, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.errors import StoreError, UsageError
from difyops.git_store import FileMissing, GitStore, StoreMoved, TagExists
from difyops.secret_text import SecretText
from tests.store.store_tools import NOON, git, save, tree


def test_a_commit_holds_exactly_the_files_given(store: GitStore) -> None:
    files = {"apps/a/draft.yml": b"a: 1\n", 'apps/b "x"/\u00fc \U0001f600.json': b"\x00\xff", "empty": b""}
    first = save(store, files)
    assert tree(store, first) == files
    assert store.head("prod") == first
    assert store.branches() == ["prod"]


def test_replace_drops_what_is_not_named_and_changes_keep_it(store: GitStore) -> None:
    save(store, {"a": b"1", "b/c": b"2", "b/d": b"3"})
    second = save(store, {"b/c": b"2!", "b/d": None, "never/was": None}, replace=False)
    assert tree(store, second) == {"a": b"1", "b/c": b"2!"}
    third = save(store, {"b/c": b"2!"})
    assert tree(store, third) == {"b/c": b"2!"}


def test_a_file_can_become_a_folder_and_a_folder_a_file(store: GitStore) -> None:
    save(store, {"x": b"file", "y/z": b"deep"})
    swapped = save(store, {"x/inner": b"deep", "y": b"file"})
    assert tree(store, swapped) == {"x/inner": b"deep", "y": b"file"}


def test_the_same_tree_again_makes_no_commit(store: GitStore) -> None:
    first = save(store, {"a": b"1"})
    assert save(store, {"a": b"1"}) == first
    assert save(store, {}, replace=False) == first
    assert len(store.log("prod")) == 1


def test_a_tag_for_an_unchanged_tree_goes_to_the_commit_that_is_there(store: GitStore) -> None:
    first = save(store, {"a": b"1"})
    assert save(store, {"a": b"1"}, tag=("good", "after the audit")) == first
    assert [(tag.name, tag.commit, tag.message) for tag in store.tags("prod")] == [("good", first, "after the audit")]


def test_an_instance_without_apps_can_be_saved(store: GitStore) -> None:
    first = save(store, {})
    assert store.head("prod") == first
    assert store.blob_ids(first) == {}


def test_a_moved_branch_is_never_overwritten(store: GitStore) -> None:
    first = save(store, {"a": b"1"})
    second = save(store, {"a": b"2"})
    for base in (first, None, "0" * 40):
        with pytest.raises(StoreMoved) as caught:
            save(store, {"a": b"3"}, base=base, tag=("t", ""))
        assert caught.value.retryable
    with pytest.raises(StoreMoved):
        save(store, {"a": b"1"}, branch="staging", base=first)
    assert store.head("prod") == second
    assert store.tags("prod") == []


def test_a_tag_never_moves_and_its_commit_is_not_made(store: GitStore) -> None:
    first = save(store, {"a": b"1"}, tag=("v1", "one"))
    with pytest.raises(TagExists) as caught:
        save(store, {"a": b"2"}, tag=("v1", "two"))
    assert caught.value.exit_code == 8
    assert store.head("prod") == first
    save(store, {"a": b"1"}, branch="staging", tag=("v1", "another context has its own"))


def test_commit_tag_and_note_arrive_together(store: GitStore) -> None:
    first = save(store, {"a": b"1"}, tag=("v1", "x"), note=b"checked at noon")
    assert store.resolve("v1", branch="prod") == first
    assert store.read_note("prod") == b"checked at noon"


def test_notes_are_replaced_and_belong_to_their_context(store: GitStore) -> None:
    assert store.read_note("prod") is None
    store.note("prod", b"one")
    store.note("prod", b"two")
    assert store.read_note("prod") == b"two"
    assert store.read_note("staging") is None
    assert store.branches() == []


def test_author_time_and_message_are_kept(store: GitStore) -> None:
    save(store, {"a": b"1"}, message="Nightly\n\n3 apps\nof 4", author="J\u00fcrgen X <j@example.com>")
    (info,) = store.log("prod")
    assert (info.when, info.author) == (NOON, "J\u00fcrgen X <j@example.com>")
    assert (info.subject, info.body) == ("Nightly", "3 apps\nof 4")


def test_a_hostile_author_or_message_stays_text(store: GitStore) -> None:
    save(store, {"a": b"1"}, author="Eve\n<x>\nfrom 123 <e@x> <y\x00", message="one\x00\x1b[31m\nfrom abc\ndone\n")
    (info,) = store.log("prod")
    assert "\n" not in info.author
    assert info.subject == "one[31m"
    assert store.check() == []


def test_a_secret_in_a_message_does_not_reach_git(store: GitStore) -> None:
    secret = SecretText("canary-in-a-message")
    said = f"the key is {secret.reveal()}"
    save(store, {"a": b"1"}, message=said, author=said, tag=("t", said))
    assert "canary" not in git(store.path, "log", "-p", "prod") + git(store.path, "show", "prod/t")


@pytest.mark.parametrize(
    "path",
    ["", "/abs", "a//b", "a/", "../x", "a/../b", "./a", ".git/config", "a/.GIT/x", "a/.git. /x", ".g\u200cit/x",
     "git~1/x", ".gitmodules", ".git::$INDEX/x", "a\nb", "a\x00b", "a\x7f", "a\\b", "\udc80", "x" * 300],
)  # fmt: skip
def test_a_path_that_is_more_than_a_name_is_refused(store: GitStore, path: str) -> None:
    with pytest.raises(UsageError):
        save(store, {path: b"x"})
    assert store.head("prod") is None


@pytest.mark.parametrize("path", [".gitignore", "a/.github/x", "git~x", "a b/c", "~", "-n", "--all", ":(top)", "*"])
def test_an_odd_but_harmless_path_is_kept(store: GitStore, path: str) -> None:
    first = save(store, {path: b"x"})
    assert store.read(first, path) == b"x"
    assert store.check() == []


def test_a_file_and_a_folder_of_one_name_are_refused(store: GitStore) -> None:
    with pytest.raises(UsageError, match="'a'"):
        save(store, {"a": b"1", "a/b/c": b"2"})
    save(store, {"a": b"1"})
    with pytest.raises(UsageError):
        save(store, {"a/b": b"2"}, replace=False)


@pytest.mark.parametrize(
    "name", ["", "-n", "--upload-pack=x", "a..b", "a\nb", "a b", "a~1", "a^", "a:b", "a/b", ".a", "a.lock", "a.", "@",
             "HEAD", "x@{1}", "a\\b", "nothing-checked-out", "0" * 40, "\x1b", "\udc80", "x" * 300]
)  # fmt: skip
def test_a_hostile_branch_is_refused_everywhere(store: GitStore, name: str) -> None:
    for call in (
        lambda: save(store, {"a": b"1"}, branch=name, base=None),
        lambda: store.head(name),
        lambda: store.log(name),
        lambda: store.tags(name),
        lambda: store.note(name, b""),
        lambda: store.resolve("latest", branch=name),
    ):
        with pytest.raises(UsageError):
            call()


@pytest.mark.parametrize("name", ["-d", "a..b", "a b", "a\nb", "latest", "HEAD", "a~1", "../x", ".x", "x/.y", "x.lock"])
def test_a_hostile_tag_is_refused(store: GitStore, name: str) -> None:
    with pytest.raises(UsageError):
        save(store, {"a": b"1"}, tag=(name, ""))
    assert store.head("prod") is None


def test_a_missing_file_has_an_error_of_its_own(store: GitStore) -> None:
    first = save(store, {"dir/a": b"1"})
    for path in ("b", "dir", "", "../x", "dir/a\n"):
        with pytest.raises(FileMissing):
            store.read(first, path)
    with pytest.raises(StoreError):
        store.read("0" * 40, "dir/a")
    with pytest.raises(StoreError):
        store.blob_ids("staging")


def test_only_what_changed_is_written(store: GitStore) -> None:
    many = {f"apps/{i}/{name}": f"{i} {name} ".encode() * 500 for i in range(100) for name in ("draft", "live")}
    save(store, many)
    size = _size(store.path)
    save(store, many | {"apps/7/draft": b"new"})
    assert _size(store.path) - size < 12_000
    moved = {f"moved/{path}": content for path, content in many.items()}
    before = _size(store.path)
    save(store, moved)
    assert _size(store.path) - before < 40_000, "renamed files need new folders only"


def test_neither_work_tree_nor_index_is_touched(store: GitStore) -> None:
    save(store, {"a": b"1"})
    assert [each.name for each in store.path.iterdir()] == [".git"]
    assert not (store.path / ".git" / "index").exists()
    left = {each.name for each in (store.path / ".git").iterdir()}
    assert not {name for name in left if "incoming" in name or "crash" in name}


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in (path / ".git" / "objects").rglob("*") if each.is_file())
