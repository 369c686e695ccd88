"""The rows of an app out of SQLite and out of packed months as tables of one DuckDB, so that reports add up there.

What is packed is read where it lies; what SQLite holds beside it is copied into memory, the wanted columns only.
"""

# ruff: noqa: S608  (queries are put together from our own constants; texts are quoted)
from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from difyops.history.archive import SAMPLED, ArchivePlace, connected, packed_files, parquet, type_of
from difyops.history.store import History

EARLIER = 8 * 86400.0  # seconds: a run may be paused for a week
_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredRows:
    """A connection, and where the rows of a place are."""

    history: History
    place: ArchivePlace
    connection: Any

    def table(self, name: str, columns: Sequence[str]) -> str:
        """Return the table expression with these columns of the rows of ``name`` (run or node) of the place.

        Of runs, those too that began up to eight days before it: their nodes may lie in it.
        """
        listed = ", ".join(f'"{column}"' for column in columns)
        place = replace(self.place, since=self.place.since - EARLIER) if name == "run" else self.place
        files = packed_files(self.history, name, place.context, place.app, place.since, place.until)
        sources = [f"SELECT {listed} FROM {parquet(files)}"] if files else []
        if self._copy(name, columns, place) or not sources:
            sources.append(f"SELECT {listed} FROM kept_{name}")
        return f"({' UNION ALL '.join(sources)})"

    def _copy(self, name: str, columns: Sequence[str], place: ArchivePlace) -> int:
        """Copy the rows that SQLite holds into a table of the connection; return how many there are."""
        count = 0
        wanted = ", ".join(column if column in SAMPLED else f"{name}.{column}" for column in columns)
        join = (
            " LEFT JOIN sample ON sample.context = run.context AND sample.app = run.app AND sample.run = run.id"
            if name == "run"
            else ""
        )
        test = f"{name}.context = ? AND {name}.app = ? AND {name}.started >= ? AND {name}.started < ?"
        rows = self.history.each(
            f"SELECT {wanted} FROM {name}{join} WHERE {test}", [place.context, place.app, place.since, place.until]
        )
        kinds = ", ".join(f'"{column}" {type_of(column)}' for column in columns)
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE kept_{name} ({kinds})")
        filled = ", ".join(f"unnest(${number}::{type_of(column)}[])" for number, column in enumerate(columns, 1))
        while chunk := list(itertools.islice(rows, _AT_ONCE)):
            values = [list(column) for column in zip(*chunk, strict=True)]
            self.connection.execute(f"INSERT INTO kept_{name} SELECT {filled}", values)
            count += len(chunk)
        return count


@contextmanager
def gathered(history: History, place: ArchivePlace) -> Iterator[GatheredRows | None]:
    """Yield the rows of a place as tables of DuckDB; ``None`` where nothing of it is packed: then SQLite has it all.

    Raises:
        NotSupported: months are packed, and DuckDB is not installed.
    """
    tables = ("run", "node")
    if not any(packed_files(history, name, place.context, place.app, place.since, place.until) for name in tables):
        yield None
        return
    with connected(history) as connection:
        yield GatheredRows(history=history, place=place, connection=connection)
