"""``database`` against a real PostgreSQL that the tests start."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from difyops.clock import SystemClock
from difyops.runbook.result import Fail, Inconclusive, Pass, Warn
from tests.faults import free_port
from tests.runbook.runbook_tools import check, resources_at
from tests.runbook.servers import PG_CANARY as CANARY

psycopg = pytest.importorskip("psycopg", reason="the PostgreSQL client is not installed (difyops[postgres])")


async def test_a_healthy_database_passes_with_connections_and_size(tmp_path: Path, reference: str) -> None:
    async with resources_at(tmp_path) as resources:
        found = await check(resources, "database", dsn=reference)
    assert isinstance(found, Pass), found
    values = {value.name: value.value for value in found.values}
    assert values["size"] > 0  # type: ignore[operator]
    assert values["growth"] is None
    assert "workflow_runs" in found.excerpt


async def test_too_many_connections_fail(tmp_path: Path, reference: str, dsn: str) -> None:
    opened = [psycopg.connect(dsn) for _ in range(8)]
    try:
        async with resources_at(tmp_path) as resources:
            found = await check(resources, "database", dsn=reference, max_connections_percent=30)
    finally:
        for connection in opened:
            connection.close()
    assert isinstance(found, Fail), found
    assert "of 20 connections" in found.text


async def test_a_run_that_never_ends_is_a_warning(tmp_path: Path, reference: str, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO workflow_runs VALUES (1, 'running', (now() at time zone 'utc') - interval '2 hours')"
        )
        connection.execute(
            "INSERT INTO workflow_runs VALUES (2, 'succeeded', (now() at time zone 'utc') - interval '9 hours')"
        )
    async with resources_at(tmp_path) as resources:
        found = await check(resources, "database", dsn=reference, max_running="20m")
    assert isinstance(found, Warn), found
    assert "120 min" in found.text or "119 min" in found.text


async def test_growth_is_measured_against_the_run_before(tmp_path: Path, reference: str) -> None:
    class Yesterday(SystemClock):
        def now(self) -> Any:
            return SystemClock.now(self) - timedelta(days=1)

    async with resources_at(tmp_path, clock=Yesterday()) as resources:
        resources.remember("runbook.seen.database", "size", {"bytes": 0})
    async with resources_at(tmp_path) as resources:
        found = await check(resources, "database", dsn=reference, max_growth_gb_per_day=0.001)
        patient = await check(resources, "database", dsn=reference, max_growth_gb_per_day=10)
    assert isinstance(found, Fail), found
    assert "grows by" in found.text
    assert isinstance(patient, Pass)


async def test_growth_is_seen_though_the_check_runs_every_minute(tmp_path: Path, reference: str) -> None:
    minutes = iter(range(-120, 3, 2))
    moment = [next(minutes)]

    class Later(SystemClock):
        def now(self) -> Any:
            return SystemClock.now(self) + timedelta(minutes=moment[0])

    async with resources_at(tmp_path, clock=Later()) as resources:
        for moment[0] in minutes:
            found = await check(resources, "database", dsn=reference, max_growth_gb_per_day=10)
    growth = {value.name: value.value for value in found.values}["growth"]
    assert growth is not None


async def test_a_database_that_is_away_or_refuses_is_inconclusive_and_keeps_its_password(
    tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWAY", f"postgresql://tester:{CANARY}@127.0.0.1:{free_port()}/postgres")
    monkeypatch.setenv("WRONG", dsn.replace(CANARY, f"wrong-{CANARY}"))
    monkeypatch.setenv("NO_URL", f"{CANARY} is no address")
    for name in ("env:AWAY", "env:WRONG", "env:NO_URL", "env:NOT_SET"):
        async with resources_at(tmp_path) as resources:
            found = await check(resources, "database", dsn=name)
        assert isinstance(found, Inconclusive), found
        assert CANARY not in repr(found)


async def test_a_slow_query_times_out_as_inconclusive(tmp_path: Path, reference: str, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE workflow_runs IN ACCESS EXCLUSIVE MODE")
        async with resources_at(tmp_path) as resources:
            found = await check(resources, "database", dsn=reference)
    assert isinstance(found, Inconclusive), found


async def test_without_the_client_the_check_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setenv("TEST_DSN", "postgresql://127.0.0.1:1/x")
    async with resources_at(tmp_path) as resources:
        found = await check(resources, "database", dsn="env:TEST_DSN")
    assert isinstance(found, Inconclusive)
    assert found.hint == "pip install 'difyops[postgres]'"
