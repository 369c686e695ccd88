"""Parquet out and in, and months that are closed moved into it. The one home of DuckDB (extra ``analytics``).

Files lie as ``<table>/context=…/app=…/month=2026-10/data_0.parquet``: the partitioning that DuckDB, Trino, Spark and
ClickHouse read as it is. A run carries why its node records were read and with what chance. Rows move by way of a CSV
file: DuckDB's own reader for SQLite would have to be downloaded.
"""

# ruff: noqa: S608  (queries are put together from our own constants; texts are quoted by ``quoted``)
from __future__ import annotations

import csv
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difyops.atomic_file import store_error
from difyops.errors import NotSupported, StoreError, UsageError
from difyops.history.carried import (
    counted_as,
    covered_of,
    drop_coverage,
    read_coverage,
    take_coverage,
    write_coverage,
)
from difyops.history.store import History
from difyops.history.tables import COLUMNS, KEYS, REAL, WHOLE

INSTALL = "pip install 'difyops[analytics]'"
SAMPLED = ("reason", "chance")
_SELECT = {
    "run": "SELECT run.*, sample.reason, sample.chance FROM run LEFT JOIN sample ON sample.context = run.context"
    " AND sample.app = run.app AND sample.run = run.id",
    "node": "SELECT * FROM node",
    "message": "SELECT * FROM message",
}
_NULL = "\\N"
_DATABASES: weakref.WeakKeyDictionary[History, Any] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """How many rows of each table were written where, in which months."""

    folder: str
    rows: dict[str, int]
    months: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """How many rows of each table were read from where.

    ``seconds_covered``: how much more is known to be complete now, over all apps and lists; ``not_whole``: the apps
    whose rows did not all come, so that their stretches are read again.
    """

    source: str
    rows: dict[str, int]
    seconds_covered: int = 0
    not_whole: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePlace:
    """Where packed rows may lie: of one app of a context, between two moments."""

    context: str
    app: str
    since: float
    until: float


def duckdb_or_sentence() -> Any:
    """Return the module.

    Raises:
        NotSupported: the extra is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise NotSupported("DuckDB is not installed on this machine.", hint=INSTALL) from error
    return duckdb


@contextmanager
def connected(history: History) -> Iterator[Any]:
    """Yield a connection to a DuckDB in memory, for this block alone; one opened DuckDB serves a history all along.

    Raises:
        NotSupported: the extra is not installed.
    """
    if history not in _DATABASES:
        _DATABASES[history] = duckdb_or_sentence().connect()
    connection = _DATABASES[history].cursor()
    try:
        yield connection
    finally:
        connection.close()


def columns_of(table: str) -> tuple[str, ...]:
    """Return the columns of a table in Parquet."""
    return (*COLUMNS[table], *(SAMPLED if table == "run" else ()))


def export(
    history: History, folder: Path, *, context: str, apps: Sequence[str] = (), before: float | None = None
) -> Exported:
    """Write what SQLite holds of a context as Parquet into ``folder``; with ``before`` only what began earlier.

    The whole of it takes along what it is all of (``carried``).

    Raises:
        NotSupported: no DuckDB. StoreError: the disk is full, or the folder cannot be written.
    """
    duckdb = duckdb_or_sentence()
    where, values = rows_of(context, apps, before)
    rows: dict[str, int] = {}
    counts: dict[str, dict[str, int]] = {}
    months: set[str] = set()
    is_whole = not apps and before is None
    covered = covered_of(history, context) if is_whole else []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_whole:
            drop_coverage(folder, context)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as place, duckdb.connect() as connection:
            for table, select in _SELECT.items():
                source = Path(place) / f"{table}.csv"
                query = f"{select} WHERE {where.format(table=table)}"
                rows[table] = _to_csv(history.each(query, values), source)
                for app, month, count in _to_parquet(connection, table, source, folder / table) if rows[table] else ():
                    months.add(month)
                    counts.setdefault(app, {})[counted_as(table, app, month)] = count
    except duckdb.Error as error:
        raise StoreError(f"Parquet cannot be written into {folder}: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise store_error(error, folder) from error
    if is_whole:
        write_coverage(folder, context, covered, counts)
    return Exported(folder=str(folder), rows=rows, months=tuple(sorted(months)))


def import_parquet(history: History, folder: Path) -> Imported:
    """Read Parquet files of the layout above into SQLite; rows that are there are replaced, packed ones left out.

    Where they came whole, what they are all of is covered here, too.

    Raises:
        UsageError: the folder holds none. StoreError: they are not ours, or cannot be read.
    """
    duckdb = duckdb_or_sentence()
    coverage = read_coverage(folder)
    rows: dict[str, int] = {}
    there: dict[str, dict[str, int]] = {}
    with duckdb.connect() as connection:
        # runs last: they say that the nodes of a run are here, so a reader never takes a half of them for all
        for table, names in reversed(COLUMNS.items()):
            files = sorted((folder / table).rglob("*.parquet")) if (folder / table).is_dir() else []
            if not files:
                continue
            wanted = ", ".join(f'"{name}"' for name in columns_of(table))
            try:
                cursor = connection.execute(
                    f"SELECT {wanted} FROM {parquet(files)} fresh{_unless_packed(history, table)}"
                )
                rows[table] = _store(history, table, len(names), cursor)
                for context, app, month, count in _counted(connection, files):
                    there.setdefault(context, {})[counted_as(table, app, month)] = count
            except duckdb.Error as error:
                raise StoreError(f"{folder / table} cannot be read: {str(error).splitlines()[0]}") from error
    if not rows:
        raise UsageError(f"{folder} holds no history.", hint="It has folders run, node, message with Parquet files.")
    taken = [take_coverage(history, each, there.get(each.context, {})) for each in coverage]
    return Imported(
        source=str(folder),
        rows=rows,
        seconds_covered=sum(seconds for seconds, _ in taken),
        not_whole=tuple(name for _, names in taken for name in names),
    )


def _counted(connection: Any, files: Sequence[Path]) -> list[tuple[str, str, str, int]]:
    query = f"SELECT context, app, month, count(*) FROM {parquet(files)} GROUP BY ALL"
    return list(connection.execute(query).fetchall())


def _unless_packed(history: History, table: str) -> str:
    files = _files(history, history.all("SELECT file FROM pack WHERE name = ?", [table]))
    same = " AND ".join(f"old.{name} = fresh.{name}" for name in KEYS[table])
    return f" WHERE NOT EXISTS (SELECT 1 FROM {parquet(files)} old WHERE {same})" if files else ""


def parquet(files: Sequence[Path]) -> str:
    """Return the table expression that reads these files."""
    listed = ", ".join(quoted(str(file)) for file in files)
    types = "hive_types={'context': VARCHAR, 'app': VARCHAR, 'month': VARCHAR}"
    return f"read_parquet([{listed}], hive_partitioning=true, union_by_name=true, {types})"


def both(
    history: History, table: str, columns: str, test: str, given: Sequence[Any], place: ArchivePlace
) -> Iterator[Any]:  # fmt: skip
    """Yield the rows of a table that pass a test: those of SQLite, then those of packed months.

    Raises:
        NotSupported: months are packed, and DuckDB is not installed.
    """
    yield from history.each(f"SELECT {columns} FROM {table} WHERE {test}", given)
    yield from packed(history, table, columns, test, given, place)


def packed(
    history: History, table: str, columns: str, test: str, given: Sequence[Any], place: ArchivePlace
) -> Iterator[Any]:  # fmt: skip
    """Yield the rows of a table in packed months that pass a test.

    Raises:
        NotSupported: months are packed, and DuckDB is not installed.
    """
    files = packed_files(history, table, place.context, place.app, place.since, place.until)
    if files:
        with connected(history) as connection:
            cursor = connection.execute(f"SELECT {columns} FROM {parquet(files)} WHERE {test}", given)
            while rows := cursor.fetchmany(5000):
                yield from rows


def anywhere(history: History, table: str, columns: str, test: str, given: Sequence[Any]) -> list[Any]:
    """Return rows of any app that pass a test: of SQLite and of all packed months of the context ``given[0]``.

    Raises:
        NotSupported: months are packed, and DuckDB is not installed.
    """
    rows = history.all(f"SELECT {columns} FROM {table} WHERE {test}", given)
    if files := files_of(history, table, given[0]):
        with connected(history) as connection:
            rows += connection.execute(f"SELECT {columns} FROM {parquet(files)} WHERE {test}", given).fetchall()
    return rows


def files_of(history: History, table: str, context: str) -> list[Path]:
    """Return the packed files of all apps of a context."""
    return _files(history, history.all("SELECT file FROM pack WHERE name = ? AND context = ?", [table, context]))


def packed_files(history: History, table: str, context: str, app: str, since: float, until: float) -> list[Path]:
    """Return the packed files of an app that may hold rows between two moments."""
    rows = history.all(
        "SELECT file FROM pack WHERE name = ? AND context = ? AND app = ? AND month BETWEEN ? AND ? ORDER BY month",
        [table, context, app, _month(since), _month(until)],
    )
    return _files(history, rows)


def _files(history: History, rows: Sequence[tuple[str]]) -> list[Path]:
    """Return the files that ``pack`` names; a folder, as it named them once, stands for what is in it."""
    named = [history.packs / name for (name,) in rows]
    return [file for path in named for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])]


def _store(history: History, table: str, width: int, cursor: Any) -> int:
    marks, count = ", ".join("?" * width), 0
    while chunk := cursor.fetchmany(5000):
        with history.changing() as connection:
            connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", [row[:width] for row in chunk])
            if table == "run":
                samples = [(row[0], row[1], row[2], row[-2], row[-1]) for row in chunk if row[-2]]
                connection.executemany(
                    "INSERT OR REPLACE INTO sample (context, app, run, reason, chance) VALUES (?, ?, ?, ?, ?)", samples
                )
        count += len(chunk)
    return count


def rows_of(context: str, apps: Sequence[str], before: float | None) -> tuple[str, list[Any]]:
    """Return the condition that is put to ``{table}`` for the rows of a context, and its values."""
    tests, values = ["{table}.context = ?"], [context]
    if apps:
        tests.append("{table}.app IN (" + ", ".join("?" * len(apps)) + ")")
        values += apps
    if before is not None:
        tests.append(f"{{table}}.started < {before!r}")
    return " AND ".join(tests), values


def _to_csv(rows: Iterator[Sequence[Any]], target: Path) -> int:
    count = 0
    with target.open("w", encoding="utf-8", errors="backslashreplace", newline="") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
        for row in rows:
            writer.writerow([_NULL if value is None else value for value in row])
            count += 1
    return count


def _to_parquet(connection: Any, table: str, source: Path, target: Path) -> list[tuple[str, str, int]]:
    """Write a table; return its rows by app and month."""
    names = columns_of(table)
    types = ", ".join(f"'{name}': '{type_of(name)}'" for name in names)
    read = (
        f"read_csv({quoted(str(source))}, header=false, all_varchar=false, nullstr='{_NULL}', quote='\"', escape='\"',"
        f" delim=',', auto_detect=false, columns={{{types}}}, max_line_size=100000000)"
    )
    month = "strftime(make_timestamp((started * 1000000)::BIGINT), '%Y-%m') AS month"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE moved AS SELECT *, {month} FROM {read}")
    connection.execute(
        f"COPY (SELECT * FROM moved ORDER BY app, started) TO {quoted(str(target))} (FORMAT parquet,"
        " COMPRESSION zstd, PARTITION_BY (context, app, month), OVERWRITE_OR_IGNORE)"
    )
    return list(connection.execute("SELECT app, month, count(*) FROM moved GROUP BY ALL").fetchall())


def type_of(name: str) -> str:
    """Return the type of a column in Parquet."""
    return "BIGINT" if name in WHOLE else "DOUBLE" if name in REAL or name == "chance" else "VARCHAR"


def _month(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m")


def quoted(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
