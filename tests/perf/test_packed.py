"""Reports say the same of a history in SQLite, half of it packed, and all of it packed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from difyops.history.packing import pack
from difyops.history.store import Batch, History
from difyops.history.tables import NODE, REAL, RUN, WHOLE
from difyops.perf.facts import Scope
from difyops.perf.quick import timings
from difyops.perf.summary import summarise
from difyops.perf.trend import trend
from tests.history.conftest import DAY

FIRST = 1_748_736_000.0  # the first of June 2025
JULY = FIRST + 30 * DAY
EVERYTHING = Scope(context="emu", app="a", name="a", since=FIRST, until=FIRST + 61 * DAY)
SCOPES = (
    EVERYTHING,
    replace(EVERYTHING, since=JULY + 40.0, until=JULY + 20 * DAY),  # a run of June has nodes in it
    replace(EVERYTHING, version="two"),
)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "state") as opened:
        yield opened


def _row(names: tuple[str, ...], **known: object) -> tuple[object, ...]:
    usual = {"context": "emu", "app": "a", "tokens": 1, "attempt": 0, "steps": 1, "exceptions": 0}
    return tuple({**usual, **known}.get(name, None if name in WHOLE | REAL else "") for name in names)


def _fill(history: History, chances: tuple[tuple[str, float], ...]) -> None:
    """Keep 160 runs of two months, of which some are tests, some have no chance known, one crosses into July."""
    lots = random.Random(5)
    runs: list[tuple[object, ...]] = []
    nodes: list[tuple[object, ...]] = []
    samples: list[tuple[str, str, float, float]] = []
    for number in range(160):
        started = JULY - 30.0 if number == 0 else FIRST + lots.random() * 60 * DAY
        reason, chance = lots.choice(chances)
        known = {
            "id": f"run-{number:03d}",
            "started": started,
            "logged": started,
            "version": lots.choice(("one", "two")),
        }
        elapsed = lots.choice((round(lots.expovariate(0.2), 1), lots.expovariate(0.2)))
        source = lots.choice(("app-run", "app-run", "webhook", "debugging")) if number else "app-run"
        status = lots.choice(("succeeded", "succeeded", "failed", "stopped"))
        runs.append(_row(RUN, source=source, status=status, elapsed=elapsed, tokens=number, **known))
        for index, name in enumerate(("start", "draft", "draft", "rare")[: lots.choice((3, 3, 3, 4))]):
            nodes.append(
                _row(NODE, run=known["id"], id=f"{number}-{index}", idx=index, node=name, type="llm", title="T",
                     status="succeeded", started=started + index * 50, elapsed=lots.choice((0.0, 0.5, lots.random())),
                     tokens=lots.randrange(9), attempt=int(lots.random() < 0.05))
            )  # fmt: skip
        samples.append((f"run-{number:03d}", reason, chance, 0.0))
    history.write("emu", "a", "", Batch(rows={"run": runs, "node": nodes}))
    history.note_app("emu", "a", name="a", mode="workflow")
    with history.changing():
        history.sample_into("emu", "a", samples)


def _packed_further(history: History) -> Iterator[str]:
    yield "SQLite"
    pack(history, context="emu", now=JULY + 9 * DAY)
    assert 0 < (history.one("SELECT count(*) FROM run")) < 160
    yield "half"
    pack(history, context="emu", now=JULY + 50 * DAY)
    assert history.one("SELECT count(*) FROM run") == 0
    yield "packed"


@pytest.mark.parametrize(
    ("chances", "scopes"),
    [
        ((("all", 1.0),), SCOPES[:1]),
        ((("failure", 1.0), ("drawn", 0.21), ("drawn", 0.05), ("drawn", 0.0)), SCOPES[1:]),
    ],
    ids=["every-run", "a-sample"],
)
def test_reports_say_the_same_wherever_the_rows_are(
    history: History, chances: tuple[tuple[str, float], ...], scopes: tuple[Scope, ...]
) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    _fill(history, chances)
    wanted = []
    for where in _packed_further(history):
        for number, scope in enumerate(scopes):
            found = timings(history, scope), summarise(history, scope), trend(history, scope, None)
            if where == "SQLite":
                wanted.append(found)
            else:
                _same(wanted[number], found)


def _same(wanted: object, found: object) -> None:
    """Fail where two results differ by more than the order of adding up explains."""
    match wanted:
        case float():
            assert found == pytest.approx(wanted, rel=1e-9)
        case dict():
            assert isinstance(found, dict)
            assert sorted(found) == sorted(wanted)
            for key, value in wanted.items():
                _same(value, found[key])
        case tuple() | list():
            assert isinstance(found, tuple | list)
            assert len(found) == len(wanted)
            for one, two in zip(wanted, found, strict=True):
                _same(one, two)
        case _ if dataclasses.is_dataclass(wanted):
            assert type(found) is type(wanted)
            for field in dataclasses.fields(wanted):
                _same(getattr(wanted, field.name), getattr(found, field.name))
        case _:
            assert found == wanted
