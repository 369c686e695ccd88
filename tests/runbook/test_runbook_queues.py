"""Queues in a real Redis that the test starts on a free port."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from difyops.clock import SystemClock
from difyops.runbook.broker import queues_of
from difyops.runbook.result import Fail, Inconclusive, Pass, Warn
from tests.faults import free_port
from tests.runbook.runbook_tools import check, scene_at

redis = pytest.importorskip("redis", reason="the Redis client is not installed (pip install 'difyops[redis]')")
SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed on this machine")
CANARY = "canary-redis-pass"


@dataclass
class Queues:
    """The server with a client of the test's own, as a worker and a producer would use it."""

    client: Any
    reference: str

    def send(self, queue: str, count: int = 1) -> None:
        self.declare(queue)
        for number in range(count):
            body = {"headers": {"id": f"{queue}-{number}", "task": "tasks.run"}, "body": ""}
            self.client.lpush(queue, json.dumps(body))

    def declare(self, *queues: str) -> None:
        for queue in queues:
            self.client.sadd(f"_kombu.binding.{queue}", f"{queue}\x06\x16\x06\x16{queue}")


@pytest.fixture
def queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", CANARY, "--dir", str(tmp_path)]
    process = subprocess.Popen([str(SERVER), *words], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, db=1, password=CANARY)
    try:
        _wait_for(client)
        monkeypatch.setenv("TEST_BROKER", f"redis://:{CANARY}@127.0.0.1:{port}/1")
        yield Queues(client, "env:TEST_BROKER")
    finally:
        client.close()
        process.kill()
        process.wait()


def _wait_for(client: Any) -> None:
    for _ in range(100):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("redis-server did not start")


@pytest.fixture
def worker(queues: Queues) -> Iterator[None]:
    """Wait for messages of a queue that gets none, as an idle worker does."""
    import threading

    waiting = threading.Thread(target=lambda: queues.client.brpop("nothing-here", timeout=20), daemon=True)
    waiting.start()
    time.sleep(0.2)
    yield
    queues.client.lpush("nothing-here", "over")
    waiting.join(5)


VERSION = "1.13.0"


async def test_short_queues_with_a_worker_pass(tmp_path: Path, queues: Queues, worker: None) -> None:
    queues.declare(*queues_of(VERSION))
    queues.send("dataset", 3)
    async with scene_at(tmp_path) as scene:
        found = await check(scene, "queue.depth", redis=queues.reference, server_version=VERSION)
    assert isinstance(found, Pass), found
    assert {value.name: value.value for value in found.values}["waiting"] == 3
    assert {value.name: value.value for value in found.values}["consumers"] == 1


async def test_a_deep_queue_fails_and_is_named(tmp_path: Path, queues: Queues, worker: None) -> None:
    queues.declare(*queues_of(VERSION))
    queues.send("workflow_based_app_execution", 30)
    async with scene_at(tmp_path) as scene:
        asked: dict[str, Any] = {"redis": queues.reference, "server_version": VERSION}
        found = await check(scene, "queue.depth", **asked, max_depth=20)
        warned = await check(scene, "queue.depth", **asked, max_depth=50, warn_depth=20)
    assert isinstance(found, Fail)
    assert "30 messages wait in workflow_based_app_execution" in found.text
    assert isinstance(warned, Warn)


async def test_no_worker_fails_whatever_the_depth(tmp_path: Path, queues: Queues) -> None:
    queues.declare(*queues_of(VERSION))
    async with scene_at(tmp_path) as scene:
        found = await check(scene, "queue.depth", redis=queues.reference, server_version=VERSION)
    assert isinstance(found, Fail)
    assert "nobody takes messages" in found.text


async def test_a_queue_of_the_new_version_that_nobody_declared_is_a_warning(
    tmp_path: Path, queues: Queues, worker: None
) -> None:
    queues.declare(*queues_of("1.10.1"))
    async with scene_at(tmp_path) as scene:
        found = await check(scene, "queue.depth", redis=queues.reference, server_version="1.13.3")
    assert isinstance(found, Warn)
    assert "workflow_based_app_execution" in found.text
    assert "dataset_summary" in found.text


@dataclass(frozen=True, slots=True)
class Later(SystemClock):
    """A clock that is ``ahead`` seconds ahead and does not wait."""

    ahead: float = 0.0

    def now(self) -> Any:
        from datetime import timedelta

        return SystemClock.now(self) + timedelta(seconds=self.ahead)

    async def sleep(self, seconds: float) -> None:
        return None


async def test_the_oldest_message_is_timed_from_the_first_sight_of_it(tmp_path: Path, queues: Queues) -> None:
    queues.send("dataset", 2)
    asked: dict[str, Any] = {"redis": queues.reference, "server_version": VERSION, "max_age": "5m"}
    async with scene_at(tmp_path, clock=Later()) as scene:
        assert isinstance(await check(scene, "queue.age", **asked), Pass)
    async with scene_at(tmp_path, clock=replace(Later(), ahead=600.0)) as scene:
        found = await check(scene, "queue.age", **asked)
        queues.client.rpop("dataset")
        moved = await check(scene, "queue.age", **asked)
    assert isinstance(found, Fail), found
    assert "dataset" in found.text
    assert "tasks.run" in found.text
    assert isinstance(moved, Pass), moved


async def test_a_message_that_a_worker_holds_for_too_long_fails(tmp_path: Path, queues: Queues) -> None:
    queues.client.hset("unacked", "tag", "x")
    queues.client.zadd("unacked_index", {"tag": time.time() - 4000})
    async with scene_at(tmp_path) as scene:
        found = await check(scene, "queue.age", redis=queues.reference, server_version=VERSION)
    assert isinstance(found, Fail), found
    assert "held a message" in found.text


@pytest.mark.parametrize("name", ["queue.depth", "queue.age"])
async def test_redis_away_or_refusing_is_inconclusive_and_keeps_its_password(
    tmp_path: Path, name: str, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWAY", f"redis://:{CANARY}@127.0.0.1:{free_port()}/1")
    monkeypatch.setenv("NO_URL", f"{CANARY}@nowhere")
    monkeypatch.setenv(
        "WRONG",
        queues.client.connection_pool.connection_kwargs
        and f"redis://:wrong-{CANARY}@127.0.0.1:{queues.client.connection_pool.connection_kwargs['port']}/1",
    )
    for reference in ("env:AWAY", "env:NO_URL", "env:NOT_SET", "env:WRONG"):
        async with scene_at(tmp_path) as scene:
            found = await check(scene, name, redis=reference, server_version=VERSION)
        assert isinstance(found, Inconclusive), found
        assert CANARY not in repr(found)


async def test_without_the_client_the_check_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.setenv("TEST_BROKER", "redis://127.0.0.1:1/1")
    async with scene_at(tmp_path) as scene:
        found = await check(scene, "queue.depth", redis="env:TEST_BROKER", server_version=VERSION)
    assert isinstance(found, Inconclusive)
    assert found.hint == "pip install 'difyops[redis]'"


def test_the_queue_list_grows_with_the_version() -> None:
    assert "workflow_based_app_execution" not in queues_of("1.12.0")
    assert "workflow_based_app_execution" in queues_of("1.13.0")
    assert "dataset_summary" in queues_of("unknown")
    assert len(queues_of("1.0.0")) == 4
