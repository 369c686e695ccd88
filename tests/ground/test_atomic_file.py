"""A file is the old or the new one, private ones stay private, and a lock dies with its owner."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops import atomic_file
from difyops.errors import CredentialError, LockHeld, StoreError


@given(st.binary(max_size=4096))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("w") / "deep" / "er" / "file"
    atomic_file.write(path, content, mode=atomic_file.PRIVATE)
    assert atomic_file.read_private(path) == content
    assert [item.name for item in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_mode_is_as_asked_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    former = os.umask(0o077)
    try:
        atomic_file.write(path, b"new", mode=mode)
    finally:
        os.umask(former)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_every_folder_made_for_a_private_file_is_private(tmp_path: Path) -> None:
    atomic_file.write(tmp_path / "a" / "b" / "c", b"new", mode=atomic_file.PRIVATE)
    assert [stat.S_IMODE((tmp_path / part).stat().st_mode) for part in ("a", "a/b")] == [0o700, 0o700]


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_file.write(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError, match="No room left"):
            atomic_file.write(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob(".file*"))


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for act in (lambda: atomic_file.write(tmp_path / "file" / "x", b""), lambda: _lock(tmp_path / "file" / "x")):
        with pytest.raises(StoreError, match="Cannot write"):
            act()


def _lock(path: Path) -> None:
    with atomic_file.lock(path):
        pass


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=atomic_file.write, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert not list(tmp_path.glob(".file*"))


def test_removing_twice_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    atomic_file.remove(path)
    atomic_file.remove(path)
    assert not path.exists()


class TestReadingPrivateFiles:
    """What may hold a secret, and what is refused."""

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o777, 0o610])
    def test_a_file_that_others_can_reach_is_refused_with_the_command_that_helps(
        self, tmp_path: Path, mode: int
    ) -> None:
        path = tmp_path / "secret"
        path.write_text("canary-secret")
        path.chmod(mode)
        with pytest.raises(CredentialError) as caught:
            atomic_file.read_private(path)
        assert caught.value.hint == f"chmod 600 {path}"
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize("mode", [0o600, 0o400])
    def test_a_private_one_is_read(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "secret"
        path.write_text("fine")
        path.chmod(mode)
        assert atomic_file.read_private(path) == b"fine"

    def test_a_link_is_judged_by_what_it_leads_to(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text("fine")
        path.chmod(0o644)
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(CredentialError, match="read by others"):
            atomic_file.read_private(tmp_path / "link")

    def test_a_named_pipe_is_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(CredentialError, match="not a regular file"):
            atomic_file.read_private(tmp_path / "pipe")

    def test_everything_else_is_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        (tmp_path / "plain").touch()
        for path in (
            tmp_path / "missing",
            tmp_path,
            tmp_path / "loop",
            tmp_path / "plain" / "below",
            tmp_path / ("long" * 200),
            Path("/dev/null"),
            Path("nul\0byte"),
        ):
            with pytest.raises(CredentialError):
                atomic_file.read_private(path)


class TestLock:
    """One owner at a time; no stale lock after any death."""

    def test_a_second_owner_is_refused_at_once_and_told_of_what(self, tmp_path: Path) -> None:
        with (
            atomic_file.lock(tmp_path / "l"),
            pytest.raises(LockHeld, match="works on the store") as caught,
            atomic_file.lock(tmp_path / "l", holding="the store"),
        ):
            pass
        assert caught.value.exit_code == 8

    def test_it_is_free_again_after_the_block_and_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError), atomic_file.lock(tmp_path / "l"):
            raise ValueError
        _lock(tmp_path / "l")

    def test_a_waiting_one_gets_it_when_it_is_free(self, tmp_path: Path) -> None:
        held = threading.Event()

        def hold() -> None:
            with atomic_file.lock(tmp_path / "l"):
                held.set()
                time.sleep(0.3)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        with atomic_file.lock(tmp_path / "l", wait=5.0):
            pass
        thread.join()

    def test_a_killed_owner_leaves_no_lock(self, tmp_path: Path) -> None:
        code = (
            "import sys,time;from pathlib import Path;from difyops import atomic_file\n"
            "with atomic_file.lock(Path(sys.argv[1])):\n print('held', flush=True); time.sleep(60)"
        )
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "l")], stdout=subprocess.PIPE)
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LockHeld):
            _lock(tmp_path / "l")
        child.kill()
        child.wait()
        child.stdout.close()
        _lock(tmp_path / "l")

    def test_a_child_process_does_not_inherit_it(self, tmp_path: Path) -> None:
        with atomic_file.lock(tmp_path / "l"):
            child = subprocess.Popen(["sleep", "30"], close_fds=False)
        _lock(tmp_path / "l")
        child.kill()
        child.wait()
