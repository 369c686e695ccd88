"""Parquet: anybody's reader sees the same; packing moves closed months and loses nothing; a newer file is refused."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from difyops.emulator.fleet_runs import Past
from difyops.errors import DifyopsError, NotSupported, StoreError, UsageError
from difyops.history import archive, packed_counts, packing
from difyops.history.database import read_database
from difyops.history.packing import pack
from difyops.history.status import status
from difyops.history.store import Batch, History
from difyops.history.tables import NODE, REAL, RUN, WHOLE
from difyops.perf.facts import Scope
from difyops.perf.path import path_of
from difyops.perf.quick import timings
from tests.history.conftest import DAY, filled, now

MONTH = 31 * DAY


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of three months."""
    state = tmp_path_factory.mktemp("archive") / "state"
    plan = Past(count=300, since=now() - 3 * MONTH, until=now() - 300)
    filled(state, {"wf-echo": plan}, back=100 * DAY, share=0.2)
    return state


@pytest.fixture
def three_months(past: Path, tmp_path: Path) -> Iterator[History]:
    """A copy of it."""
    shutil.copytree(past, tmp_path / "state")
    with History.open(tmp_path / "state") as opened:
        yield opened


def test_exported_files_are_read_by_duckdb_alone(three_months: History, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    found = archive.export(three_months, tmp_path / "out", context="emu")
    assert len(found.months) >= 3
    query = f"SELECT count(*), sum(tokens), min(month) FROM read_parquet('{tmp_path}/out/run/**/*.parquet')"
    count, tokens, month = duckdb.sql(query).fetchall()[0]
    assert (count, tokens) == three_months.all("SELECT count(*), sum(tokens) FROM run")[0]
    assert month == found.months[0]
    prices = duckdb.sql(f"SELECT count(price) FROM read_parquet('{tmp_path}/out/node/**/*.parquet') WHERE price <> ''")
    assert prices.fetchall()[0][0] == three_months.one("SELECT count(*) FROM node WHERE price <> ''")


def test_exported_files_are_read_by_pyarrow_alone(three_months: History, tmp_path: Path) -> None:
    dataset = pytest.importorskip("pyarrow.dataset", reason="pyarrow is not installed")
    pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    archive.export(three_months, tmp_path / "out", context="emu")
    table = dataset.dataset(tmp_path / "out" / "run", format="parquet", partitioning="hive").to_table()
    assert table.num_rows == 300
    assert {"context", "app", "month", "chance"} <= set(table.column_names)


def test_what_goes_out_comes_in_with_what_it_covers(three_months: History, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    app, feed = three_months.all("SELECT DISTINCT app, feed FROM covered")[0]
    covered = three_months.stretches("emu", app, feed)
    archive.export(three_months, tmp_path / "out", context="emu")
    with History.open(tmp_path / "other") as other:
        first = archive.import_parquet(other, tmp_path / "out")
        assert first.seconds_covered == round(covered[0].t1 - covered[0].t0)
        assert not first.not_whole
        assert archive.import_parquet(other, tmp_path / "out").seconds_covered == 0
        for table in ("run", "node", "app"):
            assert other.all(f"SELECT * FROM {table}") == three_months.all(f"SELECT * FROM {table}")
        query = "SELECT app, run, reason, chance FROM sample WHERE reason <> 'gone'"
        assert other.all(query) == three_months.all(query)
        assert other.stretches("emu", app, feed) == covered
    with pytest.raises(UsageError):
        archive.import_parquet(three_months, tmp_path)


def test_coverage_is_not_taken_for_rows_that_did_not_come(three_months: History, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    app, feed = three_months.all("SELECT DISTINCT app, feed FROM covered")[0]
    for name in ("out", "again"):
        found = archive.export(three_months, tmp_path / name, context="emu")
    month = found.months[1]
    next((tmp_path / "out" / "run").rglob(f"month={month}/*.parquet")).unlink()
    with History.open(tmp_path / "other") as other:
        assert archive.import_parquet(other, tmp_path / "out").not_whole == ("wf-echo",)
        assert other.stretches("emu", app, feed) == []
        (tmp_path / "out" / "coverage" / "emu.json").unlink()  # as an older difyops writes it
        assert archive.import_parquet(other, tmp_path / "out").not_whole == ()
        (tmp_path / "out" / "coverage" / "emu.json").write_text('{"context": "emu", "apps": {"a": {}}}')
        with pytest.raises(StoreError, match=r"emu\.json is no coverage"):
            archive.import_parquet(other, tmp_path / "out")
    pack(three_months, context="emu", now=now())
    archive.export(three_months, tmp_path / "packed", context="emu")
    with History.open(tmp_path / "third") as third:
        archive.import_parquet(third, tmp_path / "packed")
        (late,) = third.stretches("emu", app, feed)
        (whole,) = three_months.stretches("emu", app, feed)
        assert late.t1 == whole.t1
        assert late.t0 > max(row[0] for row in _months_packed(three_months)), "what was packed is not there"
        archive.import_parquet(third, tmp_path / "again")
        assert third.stretches("emu", app, feed)[0].t0 == whole.t0


def _months_packed(history: History) -> list[tuple[float]]:
    return history.all("SELECT CAST(strftime('%s', month || '-01') AS REAL) FROM pack")


def test_packing_moves_closed_months(three_months: History, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    nodes = three_months.one("SELECT count(*) FROM node")
    before = status(three_months, "emu").apps
    packed = pack(three_months, context="emu", now=now())
    left = three_months.one("SELECT count(*) FROM run")
    assert packed.rows["run"] + left == 300
    assert left < 300
    assert [replace(app, packed=()) for app in status(three_months, "emu").apps] == list(before)  # all of it counts
    with monkeypatch.context() as patch:
        patch.setattr(packed_counts, "connected", Mock(side_effect=NotSupported("DuckDB is not installed.")))
        (bare,) = status(three_months, "emu").apps
    assert (bare.runs, bare.sources["packed"]) == (300, 300 - left)
    files = sorted(three_months.packs.rglob("*.parquet"))
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{three_months.packs}/node/**/*.parquet')").fetchall()[0][
        0
    ] == (nodes - three_months.one("SELECT count(*) FROM node"))
    app = three_months.one("SELECT app FROM pack")
    assert archive.packed_files(three_months, "run", "emu", app, 0, now()) == [
        file for file in files if "/run/" in str(file)
    ]
    three_months.forget("emu", None)
    assert not list(three_months.packs.rglob("*.parquet"))


MIDDLE = 1_750_000_000.0  # a day in June 2025


def _row(names: tuple[str, ...], **known: object) -> tuple[object, ...]:
    usual = {"context": "emu", "app": "a", "source": "app-run", "status": "succeeded", "tokens": 1, "attempt": 0}
    return tuple({**usual, **known}.get(name, None if name in WHOLE | REAL else "") for name in names)


def _keep(history: History, numbers: range, version: str = "v") -> None:
    """Keep runs of one node each; ``version`` is theirs."""
    runs = [
        _row(RUN, id=f"{n:08d}-run", started=MIDDLE + n, elapsed=2.0, version=version, steps=1, exceptions=0)
        for n in numbers
    ]
    nodes = [
        _row(NODE, run=f"{n:08d}-run", id=f"n{n}", node="one", type="llm", title="One", started=MIDDLE + n,
             elapsed=float(n), idx=1)
        for n in numbers
    ]  # fmt: skip
    history.write("emu", "a", "", Batch(rows={"run": runs, "node": nodes}))
    history.note_app("emu", "a", name="a", mode="workflow")
    with history.changing():
        history.sample_into("emu", "a", [(str(row[2]), "all", 1.0, 0.0) for row in runs])


def _packed(history: History) -> set[str]:
    place = archive.ArchivePlace(context="emu", app="a", since=MIDDLE, until=MIDDLE + DAY)
    rows = list(archive.both(history, "run", "id", "context = ?", ["emu"], place))
    assert len(rows) == len({row[0] for row in rows})  # each once
    return {row[0] for row in rows}


def test_a_month_that_is_packed_again_keeps_what_it_held(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    _keep(history, range(40), "v1")
    archive.export(history, history.packs.parent / "copy", context="emu")
    pack(history, context="emu", now=MIDDLE + 2 * MONTH)
    archive.import_parquet(history, history.packs.parent / "copy")
    assert len(_packed(history)) == 40
    _keep(history, range(30, 70), "v2")  # an older stretch was read since, and some runs again
    with monkeypatch.context() as patch:  # killed after the files were written
        patch.setattr(packing, "_check", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pack(history, context="emu", now=MIDDLE + 2 * MONTH)
    pack(history, context="emu", now=MIDDLE + 2 * MONTH)
    assert history.all("SELECT name, rows FROM pack ORDER BY name") == [("node", 70), ("run", 70)]
    assert len(_packed(history)) == 70
    assert len(list(history.packs.rglob("*.parquet"))) == 2  # what was left by the killed one is gone
    scope = Scope(context="emu", app="a", name="a", since=MIDDLE - DAY, until=MIDDLE + DAY)
    assert timings(history, scope)["one"].n == 70
    assert timings(history, replace(scope, version="v2"))["one"].n == 40  # the newer word on a run holds
    assert timings(history, replace(scope, version="v1"))["one"].percentiles[0].value == 14.0
    assert path_of(history, "emu", "00000003")[1].bars[0].node == "one"


def test_rows_that_came_while_it_was_packed_are_not_lost(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    _keep(history, range(5))

    def export(*args: Any, **fields: Any) -> archive.Exported:
        found = archive.export(*args, **fields)
        _keep(history, range(5, 8))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(packing, "export", export)
        with pytest.raises(StoreError, match="nothing was moved"):
            pack(history, context="emu", now=MIDDLE + 2 * MONTH)
    assert len(_packed(history)) == 8
    pack(history, context="emu", now=MIDDLE + 2 * MONTH)
    assert len(_packed(history)) == 8
    assert history.one("SELECT count(*) FROM run") == 0


def test_a_newer_or_foreign_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    History.open(state).close()
    with sqlite3.connect(state / "history.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer difyops"):
        History.open(state)
    (tmp_path / "foreign").mkdir()
    with sqlite3.connect(tmp_path / "foreign" / "history.sqlite3") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="another program"):
        History.open(tmp_path / "foreign")


@pytest.mark.parametrize(
    ("dsn", "error"),
    [("mysql://u:canary-pw@h/dify", NotSupported), ("mysql+pymysql://u:canary-pw@h/dify", NotSupported),
                       ("oceanbase://u:canary-pw@h/x", NotSupported), ("sqlite:///x", UsageError), ("", UsageError)],
)  # fmt: skip
def test_other_databases_are_named_as_not_read(history: History, dsn: str, error: type[DifyopsError]) -> None:
    with pytest.raises(error) as caught:
        read_database(history, dsn, context="emu", since=0.0)
    assert "canary-pw" not in f"{caught.value} {caught.value.hint}"
