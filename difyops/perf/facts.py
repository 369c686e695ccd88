"""What the reports read: runs and node executions out of history, from SQLite and from packed months alike."""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.history import archive
from difyops.history.apps import ENDED, PRODUCTION
from difyops.history.store import History

MOST_TIMELINES = 2000
_RUN = "id, source, status, started, elapsed, version, tokens, exceptions, error_kind, user"
_NODE = (
    "run, id, idx, node, type, title, status, started, finished, elapsed, error_kind, attempt, container, round,"
    " tokens, price, currency, prompt_tokens, completion_tokens, provider, model, first_token, finish_reason,"
    " input_hash, output_hash, output_size, prompt_size, prefix_hash"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which runs a report is about: an app of a context between two moments, of one version or of all."""

    context: str
    app: str
    name: str
    since: float
    until: float
    version: str | None = None


@dataclass(frozen=True, slots=True)
class RunFact:
    """One run."""

    id: str
    source: str
    status: str
    started: float
    elapsed: float | None
    version: str
    tokens: int
    exceptions: int
    error_kind: str
    user: str


@dataclass(frozen=True, slots=True)
class NodeFact:
    """One execution of a node, or a failed attempt of one (``attempt`` above 0)."""

    run: str
    id: str
    index: int
    node: str
    type: str
    title: str
    status: str
    started: float
    finished: float | None
    elapsed: float
    error_kind: str
    attempt: int
    container: str
    round: int | None
    tokens: int
    price: str
    currency: str
    prompt_tokens: int | None
    completion_tokens: int | None
    provider: str
    model: str
    first_token: float | None
    finish_reason: str
    input_hash: str
    output_hash: str
    output_size: int
    prompt_size: int
    prefix_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFacts:
    """A run whose node records were read, why, and its chance of that (above 0)."""

    run: RunFact
    reason: str
    chance: float
    nodes: tuple[NodeFact, ...]


def runs(history: History, scope: Scope, *, sources: Sequence[str] = PRODUCTION) -> list[RunFact]:
    """Return the runs of a scope in the order of their beginning."""
    test = f"app = ? AND started >= ? AND started < ? AND source IN {listed(sources)}"
    test += " AND version = ?" if scope.version else ""
    given = [scope.app, scope.since, scope.until, *([scope.version] if scope.version else [])]
    rows = _both(history, scope, "run", _RUN, test, given)
    return sorted((RunFact(*row) for row in rows), key=lambda run: (run.started, run.id))


def runs_test(scope: Scope) -> tuple[str, dict[str, str]]:
    """Return the condition on the runs that a scope means, as DuckDB reads it, and its values."""
    test = f"source IN {listed(PRODUCTION)} AND started >= {scope.since!r} AND started < {scope.until!r}"
    return (f"{test} AND version = $version", {"version": scope.version}) if scope.version else (test, {})


def sampled(history: History, scope: Scope, *, most: int = MOST_TIMELINES) -> list[ReadFacts]:
    """Return the runs of a scope whose node records were read, with them; of more than ``most`` an even part.

    A part of a part: the chance of each is its own times the share that was taken.
    """
    found = _read_runs(history, scope, most)
    count = found[0]
    share = min(1.0, most / count) if count else 1.0
    chosen = sorted(found[1], key=lambda row: row[0][::-1])[:most]  # ids are random: any order of their letters is
    nodes = nodes_of(history, scope, [row[0] for row in chosen])
    width = len(_RUN.split(","))
    return [
        ReadFacts(run=RunFact(*row[:width]), reason=row[width], chance=row[width + 1] * share,
             nodes=tuple(nodes.get(row[0], ())))
        for row in chosen
    ]  # fmt: skip


def _read_runs(history: History, scope: Scope, most: int) -> tuple[int, list[Any]]:
    """Return how many ended runs were read with a known chance, and those of them that can be among ``most``."""
    columns = f"{_RUN}, reason, chance"
    test = f"started >= ? AND started < ? AND source IN {listed(PRODUCTION)} AND status IN {listed(ENDED)}"
    test += " AND chance > 0 AND reason <> 'gone'" + (" AND version = ?" if scope.version else "")
    given = [scope.since, scope.until, *([scope.version] if scope.version else [])]
    rows = history.all(
        f"SELECT {columns} FROM run JOIN sample ON sample.context = run.context AND sample.app = run.app"
        f" AND sample.run = run.id WHERE run.context = ? AND run.app = ? AND {test}",
        [scope.context, scope.app, *given],
    )
    files = archive.packed_files(history, "run", scope.context, scope.app, scope.since, scope.until)
    if not files:
        return len(rows), rows
    with archive.connected(history) as connection:
        table, packed = archive.parquet(files), [scope.context, scope.app, *given]
        query = f"FROM {table} WHERE context = ? AND app = ? AND {test}"
        count = connection.execute(f"SELECT count(*) {query}", packed).fetchall()[0][0]
        order = f"ORDER BY reverse(id) LIMIT {int(most)}"
        more = connection.execute(f"SELECT {columns} {query} {order}", packed).fetchall()
    return len(rows) + count, rows + more


def node_rows(history: History, scope: Scope, columns: str, *, test: str = "1 = 1") -> list[tuple[Any, ...]]:
    """Return columns of the final node rows of a scope, with the run's id first and its chance last."""
    chances = {row[0]: row[2] for row in _samples(history, scope) if row[2]}
    inside = f"app = ? AND started >= ? AND started < ? AND attempt = 0 AND {test}"
    given = [scope.app, scope.since - 1, scope.until + 86400]
    wanted = {run.id for run in runs(history, scope)}
    found = _both(history, scope, "node", f"run, {columns}", inside, given)
    return [(*row, chances[row[0]]) for row in found if row[0] in chances and row[0] in wanted]


def failing_nodes(history: History, scope: Scope) -> dict[str, tuple[str, str]]:
    """Return type and kind of trouble of the node that failed, by run: the innermost one where a container failed."""
    inside = "app = ? AND started >= ? AND started < ? AND attempt = 0 AND status IN ('failed', 'exception')"
    given = [scope.app, scope.since - 1, scope.until + 86400]
    columns = "run, type, error_kind, container, idx"
    found: dict[str, tuple[bool, bool, int, str, str]] = {}
    for run, kind, error, container, index in _both(history, scope, "node", columns, inside, given):
        rank = (kind in ("iteration", "loop"), not container, -index, kind, error)
        found[run] = min(found.get(run, rank), rank)
    return {run: (rank[3], rank[4]) for run, rank in found.items()}


def shapes(history: History, scope: Scope) -> dict[str, dict[str, Any]]:
    """Return the graph shapes of an app by version."""
    rows = history.all(
        "SELECT version, shape FROM graph WHERE context = ? AND app = ?", [scope.context, scope.app]
    )  # fmt: skip
    return {version: json.loads(shape) for version, shape in rows}


def _samples(history: History, scope: Scope) -> list[tuple[str, str, float]]:
    return history.all(
        "SELECT run, reason, chance FROM sample WHERE context = ? AND app = ? AND reason <> 'gone'",
        [scope.context, scope.app],
    )


def nodes_of(history: History, scope: Scope, ids: Sequence[str]) -> dict[str, list[NodeFact]]:
    """Return the node rows of runs."""
    found: dict[str, list[NodeFact]] = defaultdict(list)
    for row in _rows_of(history, scope, ids):
        found[row[0]].append(NodeFact(*row))
    return found


def _rows_of(history: History, scope: Scope, ids: Sequence[str]) -> Iterator[Any]:
    """Yield the node rows of runs: from SQLite by key, from packed months in one pass."""
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        test = f"context = ? AND app = ? AND run IN ({', '.join('?' * len(part))})"
        yield from history.each(f"SELECT {_NODE} FROM node WHERE {test}", [scope.context, scope.app, *part])
    test = "context = ? AND app = ? AND run IN (SELECT unnest(?::VARCHAR[]))"
    yield from archive.packed(history, "node", _NODE, test, [scope.context, scope.app, list(ids)], place_of(scope))


def place_of(scope: Scope) -> archive.ArchivePlace:
    """Return where the rows of a scope may be: a run's nodes may begin a day later than it."""
    return archive.ArchivePlace(
        context=scope.context, app=scope.app, since=scope.since - 1, until=scope.until + 86400
    )  # fmt: skip


def _both(
    history: History, scope: Scope, table: str, columns: str, test: str, given: Sequence[Any]
) -> Iterator[Any]:  # fmt: skip
    """Yield rows of SQLite, then those of packed months."""
    yield from archive.both(
        history, table, columns, f"context = ? AND {test}", [scope.context, *given], place_of(scope)
    )  # fmt: skip


def listed(words: Sequence[str]) -> str:
    """Return words of our own as a list in SQL."""
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"
