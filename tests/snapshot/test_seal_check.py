"""The line of ``difyops doctor`` on sealed values: who can open them, and when that was last seen to work."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from difyops.clock import SystemClock
from difyops.sealing.age import Identity, new_identity
from tests.conftest import Cli
from tests.snapshot.test_sealed import give, identity, keyed

__all__ = ["identity", "keyed"]


def line(cli: Cli) -> tuple[str, str, str]:
    rows = {row["name"]: row for row in cli("doctor", "-o", "json").json["data"]["checks"]}
    row = rows["sealed values"]
    return row["verdict"], row["found"], row["hint"] or ""


def test_who_can_open_what_is_sealed(
    cli: Cli, keyed: str, identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line(cli)[:2] == ("skipped", "there is no store")
    assert cli("snapshot", "create", "-q").code == 0
    verdict, found, _ = line(cli)
    assert verdict == "pass"
    assert "only a fingerprint here: difyops snapshot seal init" in found
    other = new_identity()
    give(tmp_path, str(identity.recipient), str(other.recipient))
    assert cli("snapshot", "create", "-q").code == 0
    verdict, found, _ = line(cli)
    assert (verdict, "an identity of this machine opens" in found) == ("pass", True)
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", new_identity().secret.reveal())
    verdict, found, _ = line(cli)
    assert verdict == "pass"
    assert "last opened here 0.0 days ago" in found
    assert str(other.recipient) in found
    now = SystemClock().now() + timedelta(days=120)
    monkeypatch.setattr(SystemClock, "now", lambda _: now)
    assert line(cli)[0] == "warn"


def test_a_machine_without_an_identity_names_who_has_one(
    cli: Cli, keyed: str, identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    give(tmp_path, str(identity.recipient))
    assert cli("snapshot", "create", "-q").code == 0
    monkeypatch.delenv("DIFYOPS_SEAL_IDENTITY")
    verdict, found, hint = line(cli)
    assert verdict == "warn", found
    assert str(identity.recipient) in found
    assert "difyops snapshot seal status" in hint
    status = cli("snapshot", "seal", "status", "-o", "json").json["data"]
    assert "model provider langgenius/openai/openai: credential" in str(status["never_shown"])
    assert "the server shows them to nobody" in cli("snapshot", "seal", "status").out
