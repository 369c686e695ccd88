"""Parquet: anybody's reader sees the same; packing moves closed months and loses nothing; a newer file is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.errors import DifyopsError, NotSupported, StoreError, UsageError
from difyops.history import archive
from difyops.history.database import read_database
from difyops.history.store import History
from tests.history.conftest import DAY, Sync, now

MONTH = 31 * DAY


@pytest.fixture
async def filled(emulator: Emulator, history: History, synced: Sync) -> History:
    """A history of three months."""
    plan = Past(count=300, since=now() - 3 * MONTH, until=now() - 300)
    load_past(emulator.instance, emulator.app_named("wf-echo"), plan)
    await synced("wf-echo", back=100 * DAY, share=0.2)
    return history


async def test_exported_files_are_read_by_duckdb_alone(filled: History, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    found = archive.export(filled, tmp_path / "out", context="emu")
    assert len(found.months) >= 3
    query = f"SELECT count(*), sum(tokens), min(month) FROM read_parquet('{tmp_path}/out/run/**/*.parquet')"
    count, tokens, month = duckdb.sql(query).fetchall()[0]
    assert (count, tokens) == filled.all("SELECT count(*), sum(tokens) FROM run")[0]
    assert month == found.months[0]
    prices = duckdb.sql(f"SELECT count(price) FROM read_parquet('{tmp_path}/out/node/**/*.parquet') WHERE price <> ''")
    assert prices.fetchall()[0][0] == filled.one("SELECT count(*) FROM node WHERE price <> ''")


async def test_exported_files_are_read_by_pyarrow_alone(filled: History, tmp_path: Path) -> None:
    dataset = pytest.importorskip("pyarrow.dataset", reason="pyarrow is not installed")
    pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    archive.export(filled, tmp_path / "out", context="emu")
    table = dataset.dataset(tmp_path / "out" / "run", format="parquet", partitioning="hive").to_table()
    assert table.num_rows == 300
    assert {"context", "app", "month", "chance"} <= set(table.column_names)


async def test_what_goes_out_comes_in(filled: History, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    archive.export(filled, tmp_path / "out", context="emu")
    with History.open(tmp_path / "other") as other:
        archive.import_parquet(other, tmp_path / "out")
        for table in ("run", "node"):
            assert other.all(f"SELECT * FROM {table}") == filled.all(f"SELECT * FROM {table}")
        query = "SELECT app, run, reason, chance FROM sample WHERE reason <> 'gone'"
        assert other.all(query) == filled.all(query)
    with pytest.raises(UsageError):
        archive.import_parquet(filled, tmp_path)


async def test_packing_moves_closed_months(filled: History, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed (difyops[analytics])")
    nodes = filled.one("SELECT count(*) FROM node")
    packed = archive.pack(filled, context="emu", now=now())
    left = filled.one("SELECT count(*) FROM run")
    assert packed.rows["run"] + left == 300
    assert left < 300
    files = sorted(filled.packs.rglob("*.parquet"))
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{filled.packs}/node/**/*.parquet')").fetchall()[0][0] == (
        nodes - filled.one("SELECT count(*) FROM node")
    )
    app = filled.one("SELECT app FROM pack")
    assert archive.packed_files(filled, "run", "emu", app, 0, now()) == [file for file in files if "/run/" in str(file)]
    filled.forget("emu", None)
    assert not list(filled.packs.rglob("*.parquet"))


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
