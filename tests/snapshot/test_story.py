"""The main job, as an operator lives it: snapshot, something breaks, drift, rollback, proof."""

from __future__ import annotations

import pytest

from difyops.emulator import Emulator


def test_first_snapshot_then_nothing_to_do(cli, connected):
    first = cli("snapshot", "create", "--tag", "v1", "-o", "json")
    assert first.code == 0
    assert first.json["data"]["complete"]
    again = cli("snapshot", "create", "-o", "json")
    assert again.code == 0
    assert again.json["data"]["changed"] is False
    assert again.json["data"]["commit"] == first.json["data"]["commit"]
    assert cli("snapshot", "drift").code == 0
