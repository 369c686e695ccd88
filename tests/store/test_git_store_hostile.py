"""A hostile store runs nothing: whatever its settings, hooks and attributes say, git never reads them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from difyops.errors import DifyopsError, Refused, StoreError, UsageError
from difyops.git_store import GitStore
from difyops.git_store.closed import read
from tests.conftest import Cli
from tests.store.hostile import keys, plant, trap
from tests.store.store_tools import NOON, git, save


@pytest.fixture
def far(tmp_path: Path) -> Path:
    path = tmp_path / "far.git"
    subprocess.run(["git", "init", "-q", "--bare", str(path)], check=True)
    return path


def configured(store: GitStore, text: str) -> None:
    config = store.path / ".git" / "config"
    config.write_text(config.read_text() + text)


def everything(store: GitStore) -> None:
    """Call whatever reads or writes a store."""
    first = store.head("prod")
    assert first
    assert store.branches() == ["prod"]
    assert store.log("prod")
    assert store.tags("prod")
    assert store.resolve("v1", branch="prod") == first
    assert store.read(first, "a") == b"1"
    assert store.read_note("prod") == b"noon"
    store.local_changes()
    store.check()
    save(store, {"a": b"2", "b": b"3"}, tag=("v2", "two"), note=b"one")
    store.note("prod", b"two")
    store.tidy()


def test_no_setting_hook_or_attribute_of_the_store_runs_a_program(store: GitStore, tmp_path: Path, far: Path) -> None:
    program, mark = trap(tmp_path)
    assert len(keys()) > 600
    save(store, {"a": b"1"}, tag=("v1", "one"), note=b"noon")
    (store.path / "a").write_bytes(b"edited by hand")
    git(store.path, "remote", "add", "backup", str(far))
    plant(store.path / ".git", program, ("core.fsmonitor", "filter.evil.clean"))
    subprocess.run(["git", "-C", str(store.path), "status"], capture_output=True, check=False)
    assert mark.exists(), "the trap must work with plain git, or nothing is shown here"
    mark.unlink()

    plant(store.path / ".git", program)
    plant(far, program)
    opened = GitStore.open(store.path)
    everything(opened)
    opened.push("backup")
    assert not mark.exists(), mark.read_text()
    head = (far / "refs" / "heads" / "prod").read_text().strip()
    assert head == opened.head("prod")


@pytest.mark.usefixtures("connected")
def test_the_commands_run_nothing_and_still_work(cli: Cli, tmp_path: Path) -> None:
    program, mark = trap(tmp_path)
    place = ("--store", str(tmp_path / "kept"))
    assert cli("snapshot", "create", "--tag", "v1", *place).code == 0
    plant(tmp_path / "kept" / ".git", program)
    for words in (
        ("list",), ("show", "v1"), ("verify", "--all"), ("create", "--tag", "v2", "--full"), ("drift",),
        ("diff", "v1", "v2"), ("diff",), ("push", str(tmp_path / "nowhere.git")), ("push", "backup"),
    ):  # fmt: skip
        done = cli("snapshot", *words, *place)
        assert done.code == (1 if words[0] == "push" else 0), (words, done.err)
        assert not mark.exists(), (words, mark.read_text())


PARTIAL = [
    '[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\turl = /x\n\tuploadpack = touch PWNED\n',
    '[remote "origin"]\n\tpromisor = true\n\turl = /x\n',
    '[remote "origin"]\n\tpromisor\n\turl = /x\n',
    '[Remote "origin"]\n\tPromisor = yes\n\turl = /x\n',
    '[remote "a.b"]\n\tpartialclonefilter = blob:none\n\turl = /x\n',
]


@pytest.mark.parametrize("text", PARTIAL)
def test_a_store_that_leaves_objects_to_a_promisor_is_not_opened(store: GitStore, text: str) -> None:
    configured(store, text)
    with pytest.raises(Refused, match="partial clone"):
        GitStore.open(store.path)


def test_a_missing_object_is_damage_and_nobody_is_asked_for_it(store: GitStore, tmp_path: Path) -> None:
    program, mark = trap(tmp_path)
    commit = save(store, {"a": b"1"})
    more = tmp_path / "more"
    more.write_text(f'[extensions]\n\tpartialClone = o\n[remote "o"]\n\tpromisor = true\n\turl = ext::{program}\n'
                    f"\tuploadpack = {program}\n")  # fmt: skip
    configured(store, f"[include]\n\tpath = {more}\n[core]\n\trepositoryFormatVersion = 1\n")
    for pack in (store.path / ".git" / "objects" / "pack").glob("pack-*"):
        pack.unlink()
    with pytest.raises(StoreError):
        GitStore.open(store.path).read(commit, "a")
    assert GitStore.open(store.path).check()
    assert not mark.exists()


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c touch% PWNED", "--receive-pack=touch PWNED", "-oProxyCommand=touch PWNED:x", "fd::7", "evil://x/y",
     "ext://sh -c touch% PWNED", "ssh://-oProxyCommand=touch$IFS/x/y", "ssh://me@-oProxyCommand=x/y", "foo::x",
     "EXT::x", "git@-oProxyCommand=x:y"],
)  # fmt: skip
def test_a_remote_of_the_store_that_is_more_than_an_address_is_refused(store: GitStore, url: str) -> None:
    save(store, {"a": b"1"})
    configured(store, f'[remote "origin"]\n\turl = "{url}"\n')
    with pytest.raises(DifyopsError) as caught:
        store.push("origin")
    assert isinstance(caught.value, UsageError), caught.value
    assert not (store.path / "PWNED").exists()


def test_both_push_addresses_of_a_remote_are_served(store: GitStore, far: Path, tmp_path: Path) -> None:
    save(store, {"a": b"1"})
    second = tmp_path / "second"
    subprocess.run(["git", "init", "-q", str(second)], check=True)
    configured(store, f'[remote "o"]\n\turl = /nowhere\n\tpushurl = {far}\n\tpushurl = file://{second}\n')
    assert store.push("o") == ["refs/heads/prod", "refs/heads/prod"]


def test_a_branch_that_is_checked_out_over_there_is_not_moved(store: GitStore, tmp_path: Path) -> None:
    save(store, {"a": b"1"})
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", "-b", "prod", str(other)], check=True)
    git(other, "commit", "--allow-empty", "-m", "theirs")
    configured(store, f'[remote "o"]\n\turl = ../{other.name}\n')
    with pytest.raises(Refused, match="prod"):
        store.push("o")


def test_the_settings_of_the_user_hold_for_a_push(store: GitStore, far: Path, tmp_path: Path) -> None:
    save(store, {"a": b"1"})
    (Path(os.environ["HOME"]) / ".gitconfig").write_text(f'[url "{far}"]\n\tpushInsteadOf = backup:\n')
    assert store.push("backup:") == ["refs/heads/prod"]


class TestWhoseStore:
    """Git looks at the owner before it opens a repository; so does difyops, which names it to git."""

    pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")

    @pytest.mark.parametrize("place", ["", ".git"])
    def test_another_users_is_refused(self, store: GitStore, place: str) -> None:
        save(store, {"a": b"1"})
        os.chown(store.path / place, 12345, 12345)
        with pytest.raises(Refused, match="belongs to another user") as caught:
            GitStore.open(store.path)
        with pytest.raises(Refused, match="belongs to another user"):
            GitStore.open(store.path, create=True)
        assert "safe.directory" in (caught.value.hint or "")

    def test_a_link_to_another_users_is_refused(self, store: GitStore, tmp_path: Path) -> None:
        os.chown(store.path, 12345, 12345)
        (tmp_path / "link").symlink_to(store.path)
        with pytest.raises(Refused, match="belongs to another user"):
            GitStore.open(tmp_path / "link")

    def test_the_user_may_say_that_it_is_safe(self, store: GitStore) -> None:
        commit = save(store, {"a": b"1"})
        os.chown(store.path, 12345, 12345)
        for entry, fine in (
            (str(store.path), True),
            ("*", True),
            ("/elsewhere", False),
            (f"{store.path.parent}/*", True),
        ):
            (Path(os.environ["HOME"]) / ".gitconfig").write_text(f"[safe]\n\tdirectory = {entry}\n")
            if fine:
                assert GitStore.open(store.path).head("prod") == commit
                continue
            with pytest.raises(Refused):
                GitStore.open(store.path)

    def test_the_store_cannot_say_it_of_itself(self, store: GitStore) -> None:
        configured(store, "[safe]\n\tdirectory = *\n")
        os.chown(store.path, 12345, 12345)
        with pytest.raises(Refused):
            GitStore.open(store.path)

    def test_who_called_sudo_may_keep_a_store(self, store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
        os.chown(store.path, 12345, 12345)
        monkeypatch.setenv("SUDO_UID", "12345")
        assert GitStore.open(store.path)
        monkeypatch.setenv("SUDO_UID", "12346")
        with pytest.raises(Refused):
            GitStore.open(store.path)

    def test_a_push_into_another_users_repository_of_this_machine_is_refused(self, store: GitStore, far: Path) -> None:
        save(store, {"a": b"1"})
        configured(store, f'[remote "o"]\n\turl = {far}\n')
        os.chown(far, 12345, 12345)
        with pytest.raises(Refused, match="belongs to another user"):
            store.push("o")


@pytest.mark.parametrize("umask", [0o000, 0o777, 0o277])
def test_a_new_store_is_its_owners_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = GitStore.open(tmp_path / "deep" / "kept", create=True)
        save(store, {"a": b"1"}, tag=("v1", "one"), note=b"n")
        store.tidy()
    finally:
        os.umask(before)
    for folder, _, files in os.walk(tmp_path / "deep"):
        assert Path(folder).stat().st_mode & 0o777 == 0o700, folder
        for name in files:
            assert not (Path(folder) / name).stat().st_mode & 0o077, name


def test_a_store_that_a_group_shares_stays_shared(store: GitStore) -> None:
    configured(store, "[core]\n\tsharedRepository = group\n")
    shared = GitStore.open(store.path)
    save(shared, {"a": b"1"})
    assert (store.path / ".git" / "refs" / "heads" / "prod").stat().st_mode & 0o060 == 0o060


@pytest.mark.parametrize("create", [False, True])
def test_a_link_that_leads_nowhere_says_so(tmp_path: Path, create: bool) -> None:
    (tmp_path / "kept").symlink_to(tmp_path / "not-mounted")
    with pytest.raises(StoreError, match=r"is a link to .*not-mounted, and there is nothing") as caught:
        GitStore.open(tmp_path / "kept", create=create)
    assert "mounted" in (caught.value.hint or "")
    assert not (tmp_path / "not-mounted").exists()


def test_a_folder_for_temporary_files_that_is_cleared_does_no_harm(store: GitStore) -> None:
    commit = save(store, {"a": b"1"})
    common = store._git.common
    assert common is not None
    for each in common.path.iterdir():
        each.unlink()
    assert store.head("prod") == commit


def test_a_store_of_another_format_is_read_or_told(store: GitStore, tmp_path: Path) -> None:
    other = tmp_path / "sha256"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(other)], check=True)
    sha256 = GitStore.open(other)
    assert len(sha256.commit("p", {"a": b"1"}, base=None, replace=True, message="m", author="A", when=NOON)) == 64
    assert read(other).object_format == "sha256"
    configured(store, "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\trefStorage = reftable\n")
    with pytest.raises(StoreError, match="refstorage"):
        GitStore.open(store.path)


@pytest.mark.parametrize("place", ["HEAD", "config", "index", "packed-refs", "refs/heads/x", "objects/info/alternates"])
@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_what_would_be_read_for_ever_is_not_opened(store: GitStore, place: str, kind: str) -> None:
    save(store, {"a": b"1"})
    there = store.path / ".git" / place
    there.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(there)
    else:
        there.symlink_to("/dev/zero")
    with pytest.raises(StoreError, match="a pipe or a device"):
        GitStore.open(store.path)


@pytest.mark.parametrize("place", ["refs", "refs/heads/more", "objects/pack"])
def test_references_that_lead_elsewhere_are_not_followed(store: GitStore, place: str) -> None:
    save(store, {"a": b"1"})
    there = store.path / ".git" / place
    if there.exists():
        there.rename(store.path / "before")
    there.symlink_to("/")
    with pytest.raises(StoreError, match="a link to another folder"):
        GitStore.open(store.path)


def test_a_file_that_is_too_large_is_told(store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = save(store, {"a": b"1" * 2000, "b": b"2"})
    monkeypatch.setattr("difyops.git_store.blobs._LARGEST", 1000)
    with pytest.raises(StoreError, match="larger than 1000 bytes"):
        store.read(commit, "a")
    assert store.read(commit, "b") == b"2"
