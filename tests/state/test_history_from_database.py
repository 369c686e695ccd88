"""History read from Dify's own tables in a real PostgreSQL is the history that the API tells."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from difyops.clock import SystemClock
from difyops.emulator import Emulator, record_views
from difyops.emulator.fleet_runs import Past, load_past
from difyops.emulator.records import Conversation, Message
from difyops.errors import Unreachable
from difyops.history.database import read_database
from difyops.history.store import History
from difyops.history.sync import SyncRequest, sync
from tests.history.conftest import DAY, now, open_instance, salted
from tests.runbook.servers import PG_CANARY

TABLES = (
    "CREATE TABLE apps (id text, name text, mode text)",
    "CREATE TABLE workflow_runs (id text, app_id text, triggered_from text, version text, status text, error text,"
    " elapsed_time float, total_tokens bigint, total_steps int, exceptions_count int, created_by text,"
    " created_at timestamp, finished_at timestamp, graph text)",
    "CREATE TABLE workflow_app_logs (workflow_run_id text, created_at timestamp, created_from text)",
    "CREATE TABLE workflow_node_executions (id text, app_id text, workflow_run_id text, index int, node_id text,"
    " node_type text, title text, status text, error text, elapsed_time float, inputs text, process_data text,"
    " outputs text, execution_metadata text, created_at timestamp, finished_at timestamp)",
    "CREATE TABLE messages (id text, app_id text, conversation_id text, workflow_run_id text, status text, error text,"
    " created_at timestamp, provider_response_latency float, message_tokens int, answer_tokens int, total_price text,"
    " currency text, answer text, query text, from_end_user_id text, from_account_id text)",
)
TIMES = ("created_at", "finished_at")


@pytest.fixture
def database(shared_url: str) -> str:
    return shared_url.replace("tester@", f"tester:{PG_CANARY}@")


def _insert(connection: Any, table: str, rows: list[dict[str, Any]]) -> None:
    known = [name for (name,) in connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
    )]  # fmt: skip
    names = [name for name in known if name in rows[0]]
    marks = ", ".join(["%s"] * len(names))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
            [[_cell(name, row[name]) for name in names] for row in rows],
        )


def _cell(name: str, value: Any) -> Any:
    if name in TIMES and value is not None:
        return datetime.fromtimestamp(value, UTC).replace(tzinfo=None)
    return json.dumps(value) if isinstance(value, dict | list) else value


def _talk(emulator: Emulator, began: int) -> None:
    """Let people talk: one was answered, one answer failed, one was left before it came."""
    app, person = emulator.app_named("chat-basic"), emulator.app_named("wf-echo").runs[0].end_user
    for number, known in enumerate(({"answer": "Hello", "answer_tokens": 5}, {"status": "error", "error": "429"}, {})):
        message = Message(
            id=f"m{number}", conversation_id=f"c{number}", task_id="", inputs={}, query=f"Question {number}",
            created_at=began + number, end_user=person, message_tokens=7, latency=1.25 + number, finished=True,
            **known,  # type: ignore[arg-type]
        )  # fmt: skip
        app.conversations[message.conversation_id] = Conversation(
            id=message.conversation_id, app_id=app.id, name="", summary="", inputs={}, created_at=began,
            updated_at=began + number, end_user=person, messages=[message],
        )  # fmt: skip


def _write_tables(address: str, emulator: Emulator) -> None:
    """Write what the emulator holds as Dify's tables do: every row from what the console says of it."""
    import psycopg

    flow, chat = emulator.app_named("wf-echo"), emulator.app_named("chat-basic")
    runs, logs, nodes, messages = [], [], [], []
    for run in flow.runs:
        person = run.end_user or run.account
        row = record_views.run_detail(run) | {"app_id": flow.id, "triggered_from": run.triggered_from}
        runs.append(row | {"created_by": person.id if person else None})
        log = record_views.log_row(run, detail=False)
        logs.append({"workflow_run_id": run.id, **{name: log[name] for name in ("created_at", "created_from")}})
        made = run.make_nodes() if run.make_nodes else run.nodes
        rows = [record_views.node_execution(run, node) for node in made]
        nodes += [row | {"app_id": flow.id, "workflow_run_id": run.id} for row in rows if ":retry:" not in row["id"]]
    for conversation in chat.conversations.values():
        for message in conversation.messages:
            messages.append(record_views.message_row(message) | {"app_id": chat.id, "total_price": None})
    with psycopg.connect(address, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(table)
        apps = [{"id": app.id, "name": app.name, "mode": app.mode} for app in (flow, chat)]
        for table, found in (("apps", apps), ("workflow_runs", runs), ("workflow_app_logs", logs),
                             ("workflow_node_executions", nodes), ("messages", messages)):  # fmt: skip
            _insert(connection, table, found)


async def test_the_tables_of_dify_and_its_api_tell_the_same(
    emulator: Emulator, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMULATED_PASSWORD", emulator.password)
    plan = Past(count=40, since=now() - 2 * DAY, until=now() - 300, sources=("app-run", "webhook"))
    load_past(emulator.instance, emulator.app_named("wf-echo"), plan)
    _talk(emulator, int(now() - DAY))
    _write_tables(database, emulator)
    instance = await open_instance(emulator, tmp_path / "api")
    with History.open(tmp_path / "api") as told, History.open(tmp_path / "database") as read:
        salted(told)
        salted(read)
        apps = tuple([app async for app in instance.console.apps() if app.name in ("wf-echo", "chat-basic")])
        request = SyncRequest(apps=apps, state=tmp_path / "api", back=3 * DAY, share=1.0)
        assert (await sync(instance, told, request, clock=SystemClock())).error is None
        await instance.close()
        found = read_database(read, database, context="emu", since=now() - 3 * DAY)
        assert found.rows == {"run": 43, "node": found.rows["node"], "message": 3}
        for query in (
            "SELECT app, id, source, status, started, logged, finished, elapsed, version, tokens, steps, exceptions,"
            " error_kind, user FROM run ORDER BY id",
            "SELECT app, run, id, idx, node, type, title, status, started, finished, elapsed, error_kind, container,"
            " round, tokens, price, currency, prompt_tokens, completion_tokens, provider, model, first_token,"
            " finish_reason, input_hash, output_hash, prompt_hash FROM node WHERE attempt = 0 ORDER BY id",
            "SELECT app, id, conversation, status, started, latency, prompt_tokens, answer_tokens, error_kind, user"
            " FROM message ORDER BY id",
            "SELECT app, version, shape FROM graph ORDER BY app, version",
        ):
            assert read.all(query) == told.all(query) != [], query
        assert read.all("SELECT DISTINCT reason, chance FROM sample") == [("all", 1.0)]


def test_a_database_that_cannot_be_asked_is_one_sentence(shared_url: str, tmp_path: Path) -> None:
    wrong = shared_url.replace("tester@", "tester:wrong@")
    with History.open(tmp_path / "state") as history, pytest.raises(Unreachable) as caught:
        read_database(history, wrong, context="emu", since=0.0)
    assert "wrong" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert urlsplit(shared_url).port
