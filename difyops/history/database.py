"""Dify's own PostgreSQL as a source: the same tables, read only, without a call to the API (extra ``postgres``).

MySQL and OceanBase, which Dify can also run on, are not read: their JSON and time columns were never seen here. Times
are UTC without a zone. Everything of the time asked for is read, so every run's chance is 1.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from difyops.api.run_records import LoggedRun, MessageRecord, NodeRecord, graph_shape
from difyops.errors import NotSupported, Unreachable, UsageError
from difyops.history.archive import Imported
from difyops.history.rows import RowMaker
from difyops.history.store import Batch, History
from difyops.postgres import client, said

_OPTIONS = "-c default_transaction_read_only=on -c statement_timeout=600000 -c lock_timeout=2000"
_MANY = 1000
_APPS = "SELECT id::text, name, mode FROM apps"
_RUNS = (
    "SELECT r.id::text AS id, r.app_id::text AS app_id, r.triggered_from, r.version, r.status, r.error,"
    " r.elapsed_time, r.total_tokens, r.total_steps, r.exceptions_count, r.created_by::text AS created_by,"
    " r.created_at, r.finished_at, l.created_at AS logged_at, l.created_from FROM workflow_runs r"
    " LEFT JOIN workflow_app_logs l ON l.workflow_run_id = r.id WHERE r.created_at >= %s"
)
_NODES = (
    "SELECT id::text AS id, app_id::text AS app_id, workflow_run_id::text AS run_id, index, node_id, node_type, title,"
    " status, error, elapsed_time, inputs, process_data, outputs, execution_metadata, created_at, finished_at"
    " FROM workflow_node_executions WHERE created_at >= %s AND workflow_run_id IS NOT NULL"
)
_MESSAGES = (
    "SELECT m.id::text AS id, m.app_id::text AS app_id, m.conversation_id::text AS conversation_id,"
    " m.workflow_run_id::text AS workflow_run_id, m.status, m.error, m.created_at, m.provider_response_latency,"
    " m.message_tokens, m.answer_tokens, m.total_price::text AS total_price, m.currency, m.answer, m.query,"
    " coalesce(m.from_end_user_id, m.from_account_id)::text AS from_end_user_id, a.mode"
    " FROM messages m JOIN apps a ON a.id = m.app_id WHERE m.created_at >= %s"
)
_GRAPHS = (
    "SELECT DISTINCT ON (app_id, version) app_id::text, version, graph FROM workflow_runs WHERE created_at >= %s"
    " AND graph IS NOT NULL ORDER BY app_id, version, created_at DESC"
)


def read_database(history: History, dsn: str, *, context: str, since: float) -> Imported:
    """Read what began since a moment from Dify's database into the history of a context.

    Raises:
        NotSupported: the client is not installed, or it is a MySQL or OceanBase. Unreachable: it cannot be asked.
    """
    scheme = urlsplit(dsn).scheme.partition("+")[0]
    if scheme in ("mysql", "oceanbase", "mariadb"):
        raise NotSupported(
            f"Dify on {scheme} is not read: its columns were never seen here.", hint="Use difyops history sync."
        )
    if scheme not in ("postgresql", "postgres"):
        raise UsageError(
            "The database reference is not a PostgreSQL address.", hint="postgresql://user:password@host:5432/dify"
        )
    psycopg = client()
    try:
        with psycopg.connect(dsn, connect_timeout=5, options=_OPTIONS) as connection:
            return _read(connection, history, context, since)
    except psycopg.Error as error:
        raise Unreachable(
            f"PostgreSQL cannot be read: {said(error)}.", hint="Is it up, and the reference right?"
        ) from None


def _read(connection: Any, history: History, context: str, since: float) -> Imported:
    began = time.time()
    visit = history.begin_visit(context, "database", began)
    salt, after = history.salt, datetime.fromtimestamp(since, UTC).replace(tzinfo=None)
    for app, name, mode in connection.execute(_APPS).fetchall():
        history.note_app(context, app, name=name, mode=mode)

    def maker(app: str) -> RowMaker:
        return RowMaker(context=context, app=app, salt=salt)

    def as_run(row: Mapping[str, Any]) -> tuple[str, Any]:
        return "run", maker(row["app_id"]).run(_run(row))

    def as_node(row: Mapping[str, Any]) -> tuple[str, Any]:
        return "node", maker(row["app_id"]).node(row["run_id"], NodeRecord.of(_node(row)))

    def as_message(row: Mapping[str, Any]) -> tuple[str, Any]:
        return "message", maker(row["app_id"]).message(MessageRecord.of(_timed(row)))

    def as_chat(row: Mapping[str, Any]) -> tuple[str, Any] | None:
        if row["mode"] in ("workflow", "advanced-chat"):
            return None
        return "run", maker(row["app_id"]).run(MessageRecord.of(_timed(row)).as_run())

    counts = {"run": 0, "node": 0, "message": 0}
    for query, make in ((_RUNS, as_run), (_NODES, as_node), (_MESSAGES, as_message), (_MESSAGES, as_chat)):
        for table, count in _copied(connection, history, context, query, after, make):
            counts[table] += count
    for app, version, graph in connection.execute(_GRAPHS, [after]).fetchall():
        history.note_graph(context, app, version, graph_shape(_json(graph)))
    with history.changing() as changes:
        changes.execute(
            "INSERT OR REPLACE INTO sample SELECT DISTINCT context, app, run, 'all', 1.0, ? FROM node"
            " WHERE context = ? AND started >= ?",
            [began, context, since],
        )
    history.end_visit(visit, time.time(), 0, "")
    return Imported(source="PostgreSQL", rows=counts)


def _copied(
    connection: Any, history: History, context: str, query: str, after: datetime,
    make: Callable[[Mapping[str, Any]], tuple[str, Any] | None],
) -> Iterator[tuple[str, int]]:  # fmt: skip
    with connection.cursor(name=f"difyops_{make.__name__}") as cursor:  # on the server: not all rows at once here
        cursor.execute(query, [after])
        names = [column.name for column in cursor.description]
        while rows := cursor.fetchmany(_MANY):
            made = [found for row in rows if (found := make(dict(zip(names, row, strict=True))))]
            if made:
                history.write(context, "", "", Batch(rows={made[0][0]: [row for _, row in made]}))
                yield made[0][0], len(made)


def _run(row: Mapping[str, Any]) -> LoggedRun:
    times = _timed(row)
    outer = {"created_at": times["logged_at"] or times["created_at"], "created_by_end_user": {"id": row["created_by"]}}
    found = LoggedRun.of_log({"workflow_run": times, "created_from": row["created_from"], **outer})
    assert found is not None  # noqa: S101  (there is a run in it)
    return found


def _node(row: Mapping[str, Any]) -> dict[str, Any]:
    parsed = {name: _json(row[name]) for name in ("inputs", "process_data", "outputs", "execution_metadata")}
    return {**_timed(row), **parsed}


def _timed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
