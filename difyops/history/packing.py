"""Closed months moved out of SQLite into Parquet, one file for each table, app and month.

Rows of a month that was packed before (an older stretch was read since) are put together with it: the file is written
under a new name, and one transaction names it, deletes its rows here, and with that makes the former one useless.
Killed anywhere, every row is counted once.
"""

# ruff: noqa: S608  (queries are put together from our own constants; texts are quoted)
from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from difyops.atomic_file import store_error
from difyops.errors import StoreError
from difyops.history.archive import Exported, duckdb_or_sentence, export, quoted, rows_of
from difyops.history.store import History
from difyops.history.tables import COLUMNS, KEYS

AGAIN = "difyops history export --pack, once more"
_LATEST = 8 * 86400  # seconds past its end: a run may be paused for a week


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The rows of a table, an app and a month; ``file`` lies where they belong, relative to the folder of packs."""

    table: str
    context: str
    app: str
    month: str
    rows: int
    file: Path


def pack(history: History, *, context: str, now: float) -> Exported:
    """Move the closed months of a context (older than eight days past their end) out of SQLite into Parquet.

    Raises:
        NotSupported: no DuckDB. StoreError: the disk is full, or a file does not hold what was written; then nothing
        was deleted.
    """
    limit = _month_start(now - _LATEST)
    where, values = rows_of(context, (), limit)
    try:
        history.packs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=history.packs, prefix=".packing-") as place:
            found = export(history, Path(place), context=context, before=limit)
            parts = list(_parts(history, Path(place)))
        _check(found, parts)
        with history.changing() as connection:
            for part in parts:
                row = [part.context, part.app, part.month, part.table, part.rows, str(part.file)]
                connection.execute("INSERT OR REPLACE INTO pack VALUES (?, ?, ?, ?, ?, ?)", row)
            for table in COLUMNS:
                gone = connection.execute(f"DELETE FROM {table} WHERE {where.format(table=table)}", values).rowcount
                if gone != found.rows[table]:
                    raise StoreError("A sync wrote rows of these months meanwhile; nothing was moved.", hint=AGAIN)
        for part in parts:
            _sweep(history.packs / part.file)
    except OSError as error:
        raise store_error(error, history.packs) from error
    return replace(found, folder=str(history.packs))


def _parts(history: History, staged: Path) -> Iterator[_Part]:
    """Put every written file beside the one that it takes the place of, the former's rows in it."""
    with duckdb_or_sentence().connect() as connection:
        for file in sorted(staged.rglob("*.parquet")):
            part = file.relative_to(staged)
            table, context, app, month = (unquote(name.partition("=")[2]) or name for name in part.parts[:4])
            folder = history.packs / part.parent
            folder.mkdir(parents=True, exist_ok=True)
            former = history.one(
                "SELECT file FROM pack WHERE context = ? AND app = ? AND month = ? AND name = ?",
                [context, app, month, table],
            )
            target = folder / f"data_{_next(folder)}.parquet"
            if former is None:
                shutil.move(file, target)
            else:
                _merge(connection, table, file, history.packs / former, target)
            yield _Part(
                table=table, context=context, app=app, month=month, rows=_count(connection, target),
                file=target.relative_to(history.packs),
            )  # fmt: skip


def _merge(connection: Any, table: str, new: Path, former: Path, target: Path) -> None:
    keys = [name for name in KEYS[table] if name not in ("context", "app")]
    same = " AND ".join(f"fresh.{name} = old.{name}" for name in keys)
    pattern = former / "*.parquet" if former.is_dir() else former
    one, other = (f"read_parquet({quoted(str(path))}, hive_partitioning=false)" for path in (new, pattern))
    connection.execute(
        f"COPY (SELECT * FROM (SELECT * FROM {one} UNION ALL BY NAME SELECT * FROM {other} old WHERE NOT EXISTS"
        f" (SELECT 1 FROM {one} fresh WHERE {same})) ORDER BY started) TO {quoted(str(target))}"
        " (FORMAT parquet, COMPRESSION zstd)"
    )


def _check(found: Exported, parts: list[_Part]) -> None:
    for table, count in found.rows.items():
        if sum(part.rows for part in parts if part.table == table) < count:
            raise StoreError(f"The files of {table} do not hold what was written; nothing was deleted.")


def _count(connection: Any, file: Path) -> int:
    query = f"SELECT count(*) FROM read_parquet({quoted(str(file))}, hive_partitioning=false)"
    return int(connection.execute(query).fetchone()[0])


def _next(folder: Path) -> int:
    taken = [int(number) for file in folder.glob("data_*.parquet") if (number := file.stem[5:]).isdecimal()]
    return max(taken, default=-1) + 1


def _sweep(kept: Path) -> None:
    """Delete what lies beside a file that took its place, leftovers of a killed one among it."""
    for file in kept.parent.glob("*.parquet"):
        if file != kept:
            file.unlink(missing_ok=True)


def _month_start(moment: float) -> float:
    day = datetime.fromtimestamp(moment, UTC)
    return datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()
