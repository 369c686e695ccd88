"""A snapshot or a store that is not there is usage (2); a baseline that could not be read judges nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli

NAMED = [
    ("snapshot", "show", "no-such-tag"),
    ("snapshot", "diff", "no-such-tag", "latest"),
    ("snapshot", "verify", "0123456789abcdef"),
    ("snapshot", "rollback", "wf-echo", "--to", "latest~99", "--yes"),
]


@pytest.mark.parametrize("words", NAMED, ids=lambda words: " ".join(words[:2]))
def test_an_unknown_snapshot_or_store_is_usage(
    cli: Cli, connected: str, own_place: Path, words: tuple[str, ...]
) -> None:
    nowhere = cli(*words, "--store", str(own_place / "nowhere"))
    assert nowhere.code == 2, nowhere.err
    assert cli("snapshot", "create", "wf-echo", "--yes").code == 0
    unknown = cli(*words)
    assert unknown.code == 2, unknown.err


def test_a_drift_from_a_snapshot_that_could_read_nothing_is_partial(
    cli: Cli, emulator: Emulator, connected: str
) -> None:
    emulator.control.fail(path="/console/api/apps/[^/]+", times=10_000, how="status:500")
    taken = cli("snapshot", "create", "--yes")
    assert taken.code == 3, taken.err
    emulator.control.clear_failures()
    ran = cli("snapshot", "drift", "-o", "json")
    assert ran.code == 3, ran.err
    assert {row["kind"] for row in ran.json["data"]["apps"]} == {"unreadable"}
