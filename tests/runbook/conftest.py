from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runbook import servers
from tests.runbook.runbook_tools import Stage, staged
from tests.runbook.servers import Postgres, Queues


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as found:
        yield found


@pytest.fixture
def queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    pytest.importorskip("redis", reason="the Redis client is not installed (pip install 'difyops[redis]')")
    if servers.REDIS is None:
        pytest.skip("redis-server is not installed on this machine")
    with servers.redis_in(tmp_path) as found:
        monkeypatch.setenv("TEST_BROKER", found.url)
        yield found


@pytest.fixture(scope="session")
def database_server() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="the PostgreSQL client is not installed (difyops[postgres])")
    if servers.INITDB is None:
        pytest.skip("PostgreSQL's programs are not installed on this machine")
    if servers.postgres_user() == "":
        pytest.skip("we are root and there is no other user to run PostgreSQL as")
    with servers.postgres() as found:
        yield found


@pytest.fixture
def dsn(database_server: Postgres) -> str:
    return database_server.address


@pytest.fixture
def reference(dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    import psycopg

    monkeypatch.setenv("TEST_DSN", dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS workflow_runs (id int, status text, created_at timestamp)")
        connection.execute("TRUNCATE workflow_runs")
    return "env:TEST_DSN"
