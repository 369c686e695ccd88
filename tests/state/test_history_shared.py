"""What each machine's history covers is known to all that share the state; the rows stay where they were read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difyops.history.others import elsewhere, tell_others
from difyops.history.store import Batch, History, Stretch
from tests.state.conftest import Machine


def read(history: History, *stretches: tuple[float, float], app: str = "app-1") -> None:
    for t0, t1 in stretches:
        history.write("prod", app, "runs", Batch(rows={}, stretch=Stretch(t0=t0, t1=t1)))


def test_a_machine_knows_what_another_one_covers_and_which_of_its_gaps(
    anywhere: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = anywhere("one"), anywhere("two")
    here, there = (History.open(tmp_path / name) for name in ("here", "there"))
    read(there, (0, 50), (50, 200))
    read(there, (0, 50), app="app-2")
    read(here, (0, 60), (100, 150), (180, 200), (300, 400))
    monkeypatch.setenv("DIFYOPS_HOST", "machine-a")
    tell_others(one, there, "prod", until=100.0, is_whole=False)
    tell_others(one, there, "prod", until=200.0, is_whole=True)
    tell_others(one, there, "production", until=900.0, is_whole=True)
    assert elsewhere(one, there, "prod") == [], "it tells nothing to itself"
    monkeypatch.setenv("DIFYOPS_HOST", "machine-b")
    (found,) = elsewhere(two, here, "prod")
    assert (found.host, found.until.timestamp(), found.is_whole) == ("machine-a", 200.0, True)
    assert found.covered == {"app-1": {"runs": [(0.0, 200.0)]}, "app-2": {"runs": [(0.0, 50.0)]}}
    assert found.fills == 2, "of the gaps 60-100, 150-180 and 200-300"
    assert here.stretches("prod", "app-1", "runs")[0].t1 == 60.0, "and believes only what it read itself"
    assert not one.events(), "what is known now is no line"
    assert not one.audit_trail()
    _, kept = one._database.ask("SELECT value FROM fact WHERE substr(name, 1, 4) = ?", ["note"])
    assert len(kept) == 2
    assert "covered" in json.loads(kept[0][0])
    for history in (here, there):
        history.close()
