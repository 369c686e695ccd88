"""One world for all contracts: the emulator to play in, a snapshot of it, a history, files that examples name."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.cli.root import run
from difyops.cli.session import Session, begin
from difyops.emulator import Emulator
from tests.contract.lines import marks

SCHEMA = '{"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}'


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, one_authority: Path) -> Iterator[tuple[Emulator, str, Path]]:
    """Make the world once: ``(emulator, url, folder)``; tests work on a copy of the folder."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "home").mkdir()
    emulator = Emulator(playful=True, speed=1000.0)
    with emulator.listening() as url, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder, emulator, url, one_authority).items():
            patch.setenv(name, value)
        patch.chdir(folder)
        filled(folder, url, emulator)
        for line in (
            "snapshot create --tag v1 -q", "snapshot create --tag other -q", "history sync --max-calls 60 -q",
            "slo init -q", "runbook run backup-freshness -q",
        ):  # fmt: skip
            begin(Session())
            assert run(line.split()) in (0, 5), line
        for database in folder.rglob("*.sqlite3"):  # what is copied is whole without the files beside it
            with contextlib.closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield emulator, url, folder


@pytest.fixture
def world(
    made: tuple[Emulator, str, Path], own_place: Path, monkeypatch: pytest.MonkeyPatch, one_authority: Path
) -> Emulator:
    """Stand in a copy of the world's folder, connected; the emulator is as it was made, and shared."""
    place = own_place / "world"
    shutil.copytree(made[2], place, symlinks=True)
    return stood_in(place, made, one_authority, monkeypatch)


class Still:
    """A copy of the world's folder for those who only look at it: made anew when somebody changed it."""

    def __init__(self, made: tuple[Emulator, str, Path], folder: Path) -> None:
        self.made = made
        self.folder = folder
        self.copies = 0
        self.marks: dict[str, tuple[int, int]] | None = None

    def place(self) -> Path:
        """Return the folder of the copy, unchanged."""
        if self.marks is None or marks(self.folder / str(self.copies)) != self.marks:
            self.copies += 1
            shutil.copytree(self.made[2], self.folder / str(self.copies), symlinks=True)
            self.marks = marks(self.folder / str(self.copies))
        return self.folder / str(self.copies)


@pytest.fixture(scope="session")
def still(made: tuple[Emulator, str, Path], tmp_path_factory: pytest.TempPathFactory) -> Still:
    """Return the copy that tests share which only look."""
    return Still(made, tmp_path_factory.mktemp("still"))


@pytest.fixture
def still_world(still: Still, monkeypatch: pytest.MonkeyPatch, one_authority: Path, own_place: Path) -> Emulator:
    """Stand in the shared copy of the world's folder, connected."""
    return stood_in(still.place(), still.made, one_authority, monkeypatch)


def stood_in(place: Path, made: tuple[Emulator, str, Path], authority: Path, patch: pytest.MonkeyPatch) -> Emulator:
    """Enter a copy of the world's folder."""
    emulator, url, _ = made
    for name, value in environment(place, emulator, url, authority).items():
        patch.setenv(name, value)
    patch.chdir(place)
    emulator.control.reset_counts()
    return emulator


def environment(folder: Path, emulator: Emulator, url: str, authority: Path) -> dict[str, str]:
    """Return what the shell of the world exports."""
    return {
        "HOME": str(folder / "home"), "SSL_CERT_FILE": str(authority), "DIFYOPS_STATE": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "DIFY_BASE_URL": url,
        "DIFY_EMAIL": emulator.email, "DIFY_PASSWORD": emulator.password,
    }  # fmt: skip


def filled(folder: Path, url: str, emulator: Emulator) -> None:
    """Write the files that examples name, and difyops.yaml of two contexts beside."""
    (folder / "order.schema.json").write_text(SCHEMA)
    (folder / "answer.txt").write_text('{"order": "A-17"}')
    for name in ("token.txt", "new-token.txt"):
        (folder / name).write_text("a-made-up-token\n")
        (folder / name).chmod(0o600)
    subprocess.run(["git", "init", "-q", "--bare", "--template=", "backup.git"], check=True, env=dict(os.environ))
    lines = [
        "contexts:",
        *(f"  {name}: {{url: '{url}', email: {emulator.email}, password: 'env:DIFY_PASSWORD'}}" for name in ("prod",
         "staging")),
    ]  # fmt: skip
    (folder / "later.yaml").write_text("\n".join(lines) + "\n")
