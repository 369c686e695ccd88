"""The ledger is the same ledger in a file and on a server: what is appended is there, and whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from difyops.ledger import AuditEntry, Event, Ledger
from tests.store.store_tools import NOON

EVENT = Event(kind="snapshot.taken", subject="app-1", when=NOON, context="prod", data={"apps": 3})
ENTRY = AuditEntry(
    actor="ada", action="app.publish", subject="app-1", when=NOON, context="prod", outcome="done", data={"version": "7"}
)


@pytest.fixture(params=["file", "server"])
def reopened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Ledger]:
    if request.param == "file":
        return lambda: Ledger.open(tmp_path / "state" / "ledger.sqlite3")
    machine = request.getfixturevalue("machine")
    return lambda: machine("one")


def test_events_and_lines_come_back_and_are_found(reopened: Callable[[], Ledger]) -> None:
    with reopened() as ledger:
        kinds = [("rotation.begun", "prod"), ("rotation.done", "prod"), ("rotations", "prod"), ("rotation.done", "eu")]
        events = [
            replace(EVENT, kind=kind, subject=f"app-{n}\0é%?", context=context, when=NOON + timedelta(minutes=n))
            for n, (kind, context) in enumerate(kinds)
        ]
        assert ledger.append_all(events) == [1, 2, 3, 4]
        assert ledger.append(replace(EVENT, kind="k'%s?", data={"x": "\0'%s?", "y": "\udc80"})) == 5
        assert [ledger.audit(replace(ENTRY, subject=f"app-{n}")) for n in range(5)] == [1, 2, 3, 4, 5]
    with reopened() as ledger:
        assert [each.id for each in ledger.events("rotation.*")] == [1, 2, 4]
        assert [each.id for each in ledger.events(subject="app-2\0é%?")] == [3]
        assert [each.id for each in ledger.events("rotation.done", since=NOON, context="eu")] == [4]
        assert [each.id for each in ledger.events(limit=2)] == [4, 5]
        assert ledger.events("' OR 1=1 --") == []
        assert ledger.events("k'%s?")[0].data == {"x": "\0'%s?", "y": "\\udc80"}
        ledger.takes_over("prod", "eu")
        assert [each.id for each in ledger.events("rotation.*", context="prod")] == [1, 2, 4]
        assert ledger.audit_trail()[0] == replace(ENTRY, subject="app-0")
        assert [entry.id for entry in ledger.audit_trail(subject="app-3", context="prod", since=NOON)] == [4]
        assert ledger.check() == []
        with pytest.raises(AttributeError):
            ledger.append_all([EVENT, None])  # type: ignore[list-item]
        ledger.note("a 'note'%\0 one", {"x": [1, "é"]})
        ledger.note("a 'note'%\0 one", {"x": [2]})
        ledger.note("b", {"y": None})
        assert ledger.notes("a 'note'%") == {"a 'note'%\\x00 one": {"x": [2]}}
        assert len(ledger.notes("")) == 2
        assert ledger.append(EVENT) == 6, "what was taken back leaves no gap"
        assert ledger.check() == []
