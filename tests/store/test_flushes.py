"""What counts as done is on the disk: files and their names, rows, and objects and references of git."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from difyops import atomic_file
from difyops.git_store import GitStore, plumbing
from difyops.ledger.database import connect


@pytest.mark.usefixtures("flushed")
def test_a_file_is_flushed_and_then_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []
    flush = os.fsync
    path = tmp_path / "file"

    def spy(descriptor: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    atomic_file.write(path, b"content")
    assert seen == [(False, False), (True, True)]


@pytest.mark.usefixtures("flushed")
def test_rows_of_the_ledger_are_flushed_with_each_commit(tmp_path: Path) -> None:
    connection = connect(tmp_path / "ledger.db")
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    connection.close()


@pytest.mark.usefixtures("flushed")
def test_git_flushes_objects_and_references(store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    if plumbing.version() >= (2, 36, 0):
        assert store._git.run("config", "core.fsync").lines == ["all"]
    monkeypatch.setattr(plumbing, "version", lambda: (2, 30, 0))
    assert plumbing._durability() == ("core.fsyncObjectFiles=true",)


def test_tests_flush_nothing(tmp_path: Path) -> None:
    connection = connect(tmp_path / "ledger.db")
    assert connection.execute("PRAGMA synchronous").fetchone() == (0,)
    connection.close()
