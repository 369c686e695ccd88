"""How many rows of each app lie in packed months: what ``history status`` adds to what SQLite holds."""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from difyops.errors import NotSupported
from difyops.history.archive import connected, files_of, parquet
from difyops.history.store import OPEN, History


@dataclass(slots=True, kw_only=True)
class PackedCounts:
    """The rows of one app: runs by source, those that still ran, those whose nodes were read, nodes, messages."""

    sources: dict[str, int] = field(default_factory=dict)
    running: int = 0
    read: int = 0
    nodes: int = 0
    messages: int = 0


def packed_counts(history: History, context: str) -> dict[str, PackedCounts]:
    """Return the counts by app; without DuckDB, rows as they were counted while packing, runs not told apart."""
    found: dict[str, PackedCounts] = defaultdict(PackedCounts)
    if not files_of(history, "run", context) and not files_of(history, "message", context):
        return found
    try:
        _read(history, context, found)
    except NotSupported:
        for app, table, rows in history.all(
            "SELECT app, name, sum(rows) FROM pack WHERE context = ? GROUP BY app, name", [context]
        ):
            counts = found[app]
            match table:
                case "run":
                    counts.sources["packed"] = rows
                case "node":
                    counts.nodes = rows
                case "message":
                    counts.messages = rows
    return found


def _read(history: History, context: str, found: dict[str, PackedCounts]) -> None:
    with connected(history) as connection:
        if files := files_of(history, "run", context):
            read = "count(*) FILTER (reason <> 'gone')"
            query = f"SELECT app, source, count(*), count(*) FILTER (status IN {OPEN!r}), {read} FROM {parquet(files)}"
            for app, source, runs, running, had in connection.execute(f"{query} GROUP BY app, source").fetchall():
                found[app].sources[source] = runs
                found[app].running += running
                found[app].read += had
        if files := files_of(history, "node", context):
            query = f"SELECT app, count(*) FROM {parquet(files)} WHERE attempt = 0 GROUP BY app"
            for app, nodes in connection.execute(query).fetchall():
                found[app].nodes = nodes
        if files := files_of(history, "message", context):
            for app, messages in connection.execute(
                f"SELECT app, count(*) FROM {parquet(files)} GROUP BY app"
            ).fetchall():
                found[app].messages = messages
