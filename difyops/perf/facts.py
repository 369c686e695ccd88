"""What the reports read: runs and node executions out of history, from SQLite and from packed months alike."""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.errors import UsageError
from difyops.history import archive
from difyops.history.store import History

TIMED = ("succeeded", "partial-succeeded", "failed")
ENDED = (*TIMED, "stopped")
PRODUCTION = ("app-run", "webhook", "schedule", "plugin", "chat")
_MOST_TIMELINES = 2000
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
class Read:
    """A run whose node records were read, why, and its chance of that (above 0)."""

    run: RunFact
    reason: str
    chance: float
    nodes: tuple[NodeFact, ...]


def find_app(history: History, context: str, wanted: str) -> tuple[str, str]:
    """Return id and name of the app that ``wanted`` (id, its beginning, or the exact name) means.

    Raises:
        UsageError: it means none, or several.
    """
    rows = history.all("SELECT id, name FROM app WHERE context = ? ORDER BY name", [context])
    for found in (
        [row for row in rows if row[0] == wanted],
        [row for row in rows if row[1] == wanted],
        [row for row in rows if len(wanted) >= 8 and row[0].startswith(wanted)],
    ):
        if len(found) == 1:
            return str(found[0][0]), str(found[0][1])
        if found:
            raise UsageError(f"{wanted!r} means {len(found)} apps; use the id.", hint=", ".join(r[0] for r in found))
    names = ", ".join(row[1] for row in rows[:12])
    hint = f"There are: {names}." if rows else "difyops history sync"
    raise UsageError(f"{wanted!r} is no app of the history of {context}.", hint=hint)


def runs(history: History, scope: Scope, *, sources: Sequence[str] = PRODUCTION) -> list[RunFact]:
    """Return the runs of a scope in the order of their beginning."""
    test = f"app = ? AND started >= ? AND started < ? AND source IN {_listed(sources)}"
    test += " AND version = ?" if scope.version else ""
    given = [scope.app, scope.since, scope.until, *([scope.version] if scope.version else [])]
    rows = _both(history, scope, "run", _RUN, test, given)
    return sorted((RunFact(*row) for row in rows), key=lambda run: (run.started, run.id))


def sampled(history: History, scope: Scope, *, most: int = _MOST_TIMELINES) -> list[Read]:
    """Return the runs of a scope whose node records were read, with them; of more than ``most`` an even part.

    A part of a part: the chance of each is its own times the share that was taken.
    """
    chosen = {run.id: run for run in runs(history, scope) if run.status in ENDED}
    reasons = {row[0]: (row[1], row[2]) for row in _samples(history, scope) if row[2] and row[0] in chosen}
    ids = sorted(reasons, key=lambda run: run[::-1])  # ids are random: any order of their letters is
    share = min(1.0, most / len(ids)) if ids else 1.0
    ids = ids[: most if len(ids) > most else len(ids)]
    nodes = nodes_of(history, scope, ids)
    return [
        Read(run=chosen[run], reason=reasons[run][0], chance=reasons[run][1] * share, nodes=tuple(nodes.get(run, ())))
        for run in ids
    ]


def node_rows(history: History, scope: Scope, columns: str, *, test: str = "1 = 1") -> list[tuple[Any, ...]]:
    """Return columns of the final node rows of a scope, with the run's id first and its chance last."""
    chances = {row[0]: row[2] for row in _samples(history, scope) if row[2]}
    inside = f"app = ? AND started >= ? AND started < ? AND attempt = 0 AND {test}"
    given = [scope.app, scope.since - 1, scope.until + 86400]
    wanted = {run.id for run in runs(history, scope)}
    found = _both(history, scope, "node", f"run, {columns}", inside, given)
    return [(*row, chances[row[0]]) for row in found if row[0] in chances and row[0] in wanted]


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
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        test = f"app = ? AND run IN ({', '.join('?' * len(part))})"
        for row in _both(history, scope, "node", _NODE, test, [scope.app, *part]):
            found[row[0]].append(NodeFact(*row))
    return found


def _both(
    history: History, scope: Scope, table: str, columns: str, test: str, given: Sequence[Any]
) -> Iterator[Any]:  # fmt: skip
    """Yield rows of SQLite, then those of packed months."""
    query = f"SELECT {columns} FROM {table} WHERE context = ? AND {test}"
    yield from history.each(query, [scope.context, *given])
    files = archive.packed_files(history, table, scope.context, scope.app, scope.since, scope.until)
    if files:
        duckdb = archive.duckdb_or_sentence()
        with duckdb.connect() as connection:
            packed = f"SELECT {columns} FROM {archive.parquet(files)} WHERE context = ? AND {test}"
            cursor = connection.execute(packed, [scope.context, *given])
            while rows := cursor.fetchmany(5000):
                yield from rows


def _listed(words: Sequence[str]) -> str:
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"
