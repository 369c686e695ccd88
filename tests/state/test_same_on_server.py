"""The tests of rooms that keep lines and locks, once more with a ledger on a PostgreSQL.

Nothing of them is written again: ``Ledger.open`` gives a ledger on the server, whoever calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.ledger import Ledger
from difyops.ledger.server import LedgerServer
from difyops.secret_text import SecretText
from difyops.state_address import StateAddress
from tests.runbook.servers import PG_CANARY
from tests.store import test_ledger as lines
from tests.trunk import test_killed_changes as killed
from tests.trunk import test_switching as switching
from tests.trunk.test_switching import rig

__all__ = ["rig"]


@pytest.fixture(autouse=True)
def opened(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Ledger]]:
    """Let every ledger that is opened be the one on the server, each with the folder where its file would be."""
    found: list[Ledger] = []

    def on_server(path: Path) -> Ledger:
        found.append(Ledger(LedgerServer(StateAddress(shared_url, SecretText(PG_CANARY)), path.parent)))
        return found[-1]

    monkeypatch.setattr(Ledger, "open", on_server)
    yield found
    assert found, "no ledger was opened"
    for ledger in found:
        assert ledger.is_shared
        ledger.close()


@pytest.mark.parametrize(
    "test",
    [
        lines.test_events_come_back_as_they_went_in,
        lines.test_several_events_are_written_together_or_not_at_all,
        lines.test_another_time_zone_is_the_same_moment,
        lines.test_the_audit_trail_is_chained_and_whole,
    ],
)
def test_lines(test: object, tmp_path: Path) -> None:
    assert callable(test)
    test(tmp_path / "state" / "ledger.sqlite3")


@pytest.mark.parametrize(
    ("kind", "at", "way"), [("api", "after switch", "undo"), ("provider", "before switch", "finish")]
)
async def test_a_switch_that_was_cut_off(rig: switching.Rig, kind: str, at: str, way: str) -> None:
    await switching.test_killed_anywhere_it_ends_as_asked(rig, kind, at, way)


async def test_a_publication_that_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await killed.test_another_model_that_was_cut_off_is_live_or_not((3, 99), tmp_path, monkeypatch, "undo")


async def test_a_draft_that_was_being_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await killed.test_a_draft_that_was_being_put_back_is_there_or_kept(tmp_path, monkeypatch, 1, "finish")
