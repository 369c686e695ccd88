"""A ledger that is gone, shortened or replaced is noticed: beside it, and by what the store keeps."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from difyops.errors import StoreError
from difyops.git_store import GitStore
from difyops.ledger import AuditEntry, Event, Ledger, anchor
from tests.conftest import Cli

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def audited(path: Path, lines: int, subject: str = "a") -> None:
    with Ledger.open(path) as ledger:
        for _ in range(lines):
            ledger.audit(AuditEntry(actor="a", action="x", subject=subject, when=NOON, context="c", outcome="done"))
            ledger.append(Event(kind="k", subject=subject, when=NOON, context="c"))


def problems(path: Path) -> list[str]:
    with Ledger.open(path) as ledger:
        return ledger.check()


def removed(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        if each != anchor.path_of(path):
            each.unlink()


def shortened(path: Path) -> None:
    """Take the last line away as somebody does who knows the file: triggers off, the chain's end set back."""
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TRIGGER audit_DELETE")
        connection.execute("DELETE FROM audit WHERE id = 5")
        own = connection.execute("SELECT hash FROM audit WHERE id = 4").fetchone()[0]
        connection.execute("UPDATE chain SET length = 4, hash = ?", [own])


def events_gone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TRIGGER event_DELETE; DELETE FROM event WHERE id >= 1")


def replaced(path: Path) -> None:
    removed(path)
    before = anchor.path_of(path).read_bytes()
    audited(path, 9, "other")
    assert anchor.path_of(path).read_bytes() == before, "the anchor does not go over to another ledger"


@pytest.mark.parametrize("damage", [removed, shortened, replaced, events_gone])
def test_a_ledger_that_is_not_the_one_that_was_kept_is_told(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "state" / "ledger.sqlite3"
    audited(path, 5)
    assert problems(path) == []
    damage(path)
    found = problems(path)
    assert len(found) == 1
    assert "shortened" in found[0]
    audited(path, 3, "later")
    assert "shortened" in problems(path)[0], "what is written later does not hide it"


def test_an_anchor_behind_the_ledger_is_fine_and_it_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite3"
    audited(path, 2)
    old = anchor.path_of(path).read_bytes()
    audited(path, 3)
    anchor.path_of(path).write_bytes(old)
    assert problems(path) == []
    assert anchor.path_of(path).stat().st_mode & 0o777 == 0o600


def test_a_damaged_anchor_is_told(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite3"
    audited(path, 2)
    for text in ("", "7", "[]", '{"length": "x"}', "\x00"):
        anchor.path_of(path).write_text(text)
        assert "damaged" in problems(path)[0]
        with pytest.raises(StoreError):
            anchor.read(path)


def test_the_store_keeps_it_for_every_machine(store: GitStore) -> None:
    store.keep_anchor("prod", "one", b'{"length": 1}')
    store.keep_anchor("prod", "two", b'{"length": 2}')
    store.keep_anchor("prod", "one", b'{"length": 3}')
    assert store.anchors("prod") == {"one": b'{"length": 3}', "two": b'{"length": 2}'}
    assert store.anchors("staging") == {}


@pytest.mark.usefixtures("connected")
def test_doctor_says_so_when_ledger_and_anchor_are_both_gone(cli: Cli, own_place: Path) -> None:
    def log() -> set[str]:
        steps = cli("doctor", "-o", "json").json["data"]["checks"]
        return {str(step["verdict"]) for step in steps if "ledger" in str(step["name"]) or "audit" in str(step["name"])}

    assert cli("app", "disable", "wf-echo", "--yes").code == 0
    assert cli("snapshot", "create").code == 0
    assert log() == {"pass"}
    for each in (own_place / "state").glob("ledger.sqlite3*"):
        each.unlink()
    assert log() == {"fail"}


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_state_and_store_are_private_whatever_the_umask(cli: Cli, own_place: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        for words in (
            ("snapshot", "create", "--tag", "v1"), ("app", "disable", "wf-echo", "--yes"), ("secret", "list"),
            ("runbook", "run", "backup-freshness"), ("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes"),
        ):  # fmt: skip
            cli(*words)
    finally:
        os.umask(former)
    for top in (own_place / "state", own_place / "data"):
        assert top.is_dir()
        for folder, _, files in os.walk(top):
            assert Path(folder).stat().st_mode & 0o777 == 0o700, folder
            for name in files:
                assert not (Path(folder) / name).stat().st_mode & 0o077, f"{folder}/{name}"
