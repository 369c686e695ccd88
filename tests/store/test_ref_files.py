"""What is read from the files of a repository is what git says of it, or it is left to git."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.errors import StoreError
from difyops.git_store import GitStore, closed, ref_files, refs
from difyops.git_store.plumbing import Git
from tests.store.store_tools import save

ONE, TWO = "1" * 40, "2" * 40
WORDS = ["core", "remote", "url", "Bare", "true", "a.b", "x y", "#", ";", '"', "\\", "=", "[", "]", "\t", "origin", "*"]


def bare_git(*words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], input=stdin, capture_output=True, check=False)


@settings(deadline=None, max_examples=12)
@given(st.data())
def test_plain_settings_are_those_that_git_reads(data: st.DataObject) -> None:
    """Many sections in one file each time: git is started once for all of them."""
    word = st.sampled_from(WORDS)
    line = st.one_of(
        st.tuples(word, word).map(lambda it: f"\t{it[0]} = {it[1]}"),
        st.lists(word, max_size=4).map(" ".join),
        st.sampled_from(["[core]", '[remote "origin"]', '[Remote "Or.igin"]', "[extensions]", "", "# said", "\tbare"]),
    )
    kept = ["[core]"]
    for text in data.draw(st.lists(line, min_size=20, max_size=60)):
        if ref_files.settings("\n".join([*kept, text, ""]).encode()) is not None:
            kept.append(text)
    content = "\n".join([*kept, ""]).encode()
    said = bare_git("config", "--file", "-", "--no-includes", "-z", "--list", stdin=content)
    assert said.returncode == 0, content
    rows = [row.partition("\n") for row in said.stdout.decode().split("\0") if row]
    assert ref_files.settings(content) == [(key, value) for key, _, value in rows]


@pytest.mark.parametrize(
    "content",
    [
        b"[core]\n\tbare\n",
        b'[include]\n\tpath = "x"\n',
        b"[core] bare = true\n",
        b"[a.b]\n",
        b"[core]\n\tx = a # b\n",
        b"x",
    ],
)
def test_unusual_settings_are_left_to_git(content: bytes) -> None:
    assert ref_files.settings(content) is None


def repository(path: Path) -> Path:
    bare_git("init", "-q", "-b", "main", str(path))
    folder = path / ".git"
    (folder / "refs/heads/of").mkdir()
    (folder / "refs/heads/of/two").write_text(f"{TWO}\n")
    (folder / "refs/heads/one").write_text(f"{ONE}\n")
    (folder / "refs/heads/left.lock").write_text(f"{ONE}\n")
    (folder / "packed-refs").write_text(
        f"# pack-refs with: peeled fully-peeled sorted \n{TWO} refs/heads/one\n{TWO} refs/tags/of/v1\n^{ONE}\n"
    )
    return folder


def test_a_reference_is_read_from_its_file_first_and_from_the_packed_ones_then(tmp_path: Path) -> None:
    folder = repository(tmp_path)
    wanted = ("refs/heads/one", "refs/heads/of", "refs/heads/none", "refs/tags/of/v1", "refs/heads/one/below")
    assert ref_files.read(folder, wanted) == {"refs/heads/one": ONE, "refs/tags/of/v1": TWO}
    assert ref_files.under(folder, "refs/heads/") == {"refs/heads/of/two": TWO, "refs/heads/one": ONE}
    assert ref_files.under(folder, "refs/remotes/") == {}
    assert ref_files.head(folder) == "refs/heads/main"
    assert ref_files.is_whole(folder)


@pytest.mark.parametrize("content", ["", "garbage\n", f"{ONE[:-1]}\n", "ref: refs/heads/one\n", f"{ONE}\n{TWO}\n"])
def test_what_is_no_plain_reference_is_left_to_git(tmp_path: Path, content: str) -> None:
    folder = repository(tmp_path)
    (folder / "refs/heads/odd").write_text(content)
    assert ref_files.read(folder, ["refs/heads/odd"]) is None
    assert ref_files.under(folder, "refs/heads/") is None
    (folder / "HEAD").write_text(content)
    assert ref_files.is_whole(folder) is content.startswith("ref")


def test_links_and_pipes_are_left_to_git_and_nothing_waits_for_them(tmp_path: Path) -> None:
    folder = repository(tmp_path)
    (folder / "refs/heads/link").symlink_to("one")
    os.mkfifo(folder / "refs/heads/pipe")
    for name in ("link", "pipe"):
        assert ref_files.read(folder, [f"refs/heads/{name}"]) is None
    (folder / "packed-refs").write_text("not packed\n")
    assert ref_files.read(folder, ["refs/tags/of/v1"]) is None


def test_the_branch_of_a_remote_is_found_beside_the_symbolic_one_of_a_clone(tmp_path: Path) -> None:
    bare_git("init", "-q", "-b", "main", str(tmp_path / "here"))
    commit = ["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "--allow-empty", "-m", "first"]
    bare_git("-C", str(tmp_path / "here"), *commit)
    bare_git("clone", "-q", str(tmp_path / "here"), str(tmp_path / "there"))
    path = tmp_path / "there"
    git = Git(path, common=closed.CommonFolder(path / ".git", closed.read(path)))
    assert refs.under(git, refs.REMOTES).keys() >= {"refs/remotes/origin/main"}
    assert refs.line(git, "main").is_own
    bare_git("-C", str(path), "checkout", "-q", "--detach")
    bare_git("-C", str(path), "branch", "-q", "-D", "main")
    assert refs.line(git, "main").ref == "refs/remotes/origin/main"


def test_folders_of_processes_that_were_killed_go_and_those_in_use_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, used, young = (tmp_path / f"difyops-git-{name}" for name in ("dead", "used", "young"))
    for folder in (dead, used, young):
        folder.mkdir()
        (folder / "config").write_text("x")
    long_ago = time.time() - 3600
    os.utime(dead, (long_ago, long_ago))
    os.utime(used, (long_ago, long_ago))
    descriptor = os.open(used, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        ours = closed.CommonFolder(tmp_path / "store" / ".git", closed.GitSettings())
        made = ours.path
    finally:
        os.close(descriptor)
    assert sorted(tmp_path.glob("difyops-git-*")) == sorted([used, young, made])


def test_one_git_answers_for_all_contents_and_a_forked_child_starts_its_own(tmp_path: Path) -> None:
    store = GitStore.open(tmp_path / "store", create=True)
    files = {f"apps/{number}/live.json": b"%d" % number * 50_000 for number in range(300)}
    commit = save(store, files)
    assert store.read_many(commit, list(files)) == files
    before = store.read(commit, "apps/7/live.json")
    (running,) = store._known.reader._running
    running[1].terminate()
    running[1].wait()
    assert store.read(commit, "apps/6/live.json") == files["apps/6/live.json"]  # another one answers
    child = os.fork()
    if child == 0:
        os._exit(0 if store.read(commit, "apps/8/live.json") == files["apps/8/live.json"] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.read_many(commit, ["apps/9/live.json", "apps/7/live.json"])["apps/7/live.json"] == before
    ids = [store.blob_ids(commit)[path] for path in files]
    assert dict(store.contents([*ids, *ids])) == {each: files[path] for each, path in zip(ids, files, strict=True)}
    with pytest.raises(StoreError, match="lacks the content"):
        dict(store.contents([ids[0], "0" * 40, ids[1]]))
    assert dict(store.contents(ids[:2])).keys() == set(ids[:2])
