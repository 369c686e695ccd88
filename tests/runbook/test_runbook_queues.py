"""Queues in a real Redis that the tests start, with a worker's side made of kombu's own parts."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from difyops.clock import SystemClock
from difyops.runbook.broker import queues_of
from difyops.runbook.library import shipped_folder
from difyops.runbook.load import load
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Warn
from tests.faults import free_port
from tests.runbook.runbook_tools import Stage, carried, check, resources_at
from tests.runbook.servers import CANARY, Queues, frozen, waiting_client, worker_on
from tests.waiting import let_pass

pytest.importorskip("kombu", reason="the client of Celery's workers is not installed (pip install 'difyops[redis]')")


@pytest.fixture
def worker(queues: Queues) -> Iterator[None]:
    """Consume all queues of the version that these tests are about."""
    with worker_on(queues, *queues_of(VERSION)):
        yield


VERSION = "1.13.0"


def _values(found: Result) -> dict[str, Any]:
    return {value.name: value.value for value in found.values}


async def _depth(tmp_path: Path, there: Queues, **asked: Any) -> Result:
    async with resources_at(tmp_path) as resources:
        return await check(resources, "queue.depth", **{"redis": there.reference, "server_version": VERSION, **asked})


async def test_short_queues_with_a_worker_pass(tmp_path: Path, queues: Queues, worker: None) -> None:
    queues.declare(*queues_of(VERSION))
    queues.send("dataset", 3)
    async with resources_at(tmp_path) as resources:
        found = await check(resources, "queue.depth", redis=queues.reference, server_version=VERSION)
    assert isinstance(found, Pass), found
    assert _values(found)["waiting"] == 3
    assert _values(found)["consumers"] == 1
    assert (_values(found)["workers"], _values(found)["unconsumed"]) == (1, 0)


async def test_a_deep_queue_fails_and_is_named(tmp_path: Path, queues: Queues, worker: None) -> None:
    queues.declare(*queues_of(VERSION))
    queues.send("workflow_based_app_execution", 30)
    async with resources_at(tmp_path) as resources:
        asked: dict[str, Any] = {"redis": queues.reference, "server_version": VERSION}
        found = await check(resources, "queue.depth", **asked, max_depth=20)
        warned = await check(resources, "queue.depth", **asked, max_depth=50, warn_depth=20)
    assert isinstance(found, Fail)
    assert "30 messages wait in workflow_based_app_execution" in found.text
    assert isinstance(warned, Warn)


async def test_no_worker_fails_whatever_the_depth(tmp_path: Path, queues: Queues) -> None:
    queues.declare(*queues_of(VERSION))
    looked = await _depth(tmp_path, queues, ask=False)
    found = await _depth(tmp_path, queues)
    assert isinstance(found, Fail), found
    assert found.text.startswith("no worker answers, and nobody takes messages")
    assert isinstance(looked, Fail)
    assert looked.text.startswith("nobody takes messages")


async def test_a_queue_that_no_worker_consumes_is_a_warning_while_empty_and_a_failure_when_something_waits(
    tmp_path: Path, queues: Queues
) -> None:
    names = queues_of(VERSION)
    queues.declare(*names)
    with worker_on(queues, *names[:3], host="celery@one"), worker_on(queues, *names[4:], host="celery@two"):
        warned = await _depth(tmp_path, queues)
        queues.send(names[3])
        found = await _depth(tmp_path, queues)
        looked = await _depth(tmp_path, queues, ask=False)
    assert isinstance(warned, Warn), warned
    assert f"no worker consumes {names[3]} (empty now)" in warned.text
    assert "celery@two" in warned.excerpt
    assert isinstance(found, Fail), found
    assert f"{names[3]} (1)" in found.text
    assert "-Q" in str(found.hint)
    assert isinstance(looked, Pass), "who only looks cannot see it"


async def test_what_waits_in_a_queue_that_nobody_ever_consumed_is_seen_though_no_list_has_it(
    tmp_path: Path, queues: Queues, worker: None
) -> None:
    queues.declare(*queues_of(VERSION), "celery.pidbox", "reply.celery.pidbox", "celeryev")
    queues.send("trigger_refresh_publisher", 7)
    found = await _depth(tmp_path, queues)
    chosen = await _depth(tmp_path, queues, queues=["dataset"])
    assert isinstance(found, Warn), found
    assert "trigger_refresh_publisher (7)" in found.text
    assert isinstance(chosen, Pass), chosen


async def test_workers_that_are_there_and_do_not_answer_are_inconclusive_but_a_deep_queue_still_fails(
    tmp_path: Path, queues: Queues
) -> None:
    queues.send("dataset", 5)
    with waiting_client(queues):
        found = await _depth(tmp_path, queues)
        deep = await _depth(tmp_path, queues, max_depth=3)
    assert isinstance(found, Inconclusive), found
    assert "do not answer" in found.text
    assert found.hint == "ask: false judges without them."
    assert isinstance(deep, Fail), deep


async def test_a_worker_that_is_full_takes_nothing_but_answers_and_is_no_failure(
    tmp_path: Path, queues: Queues
) -> None:
    queues.declare(*queues_of(VERSION))
    queues.client.hset("unacked", "tag", "x")
    looked = await _depth(tmp_path, queues, ask=False)
    with worker_on(queues, *queues_of(VERSION)):
        queues.client.lpush("nothing-here", "full")  # the client that waited for messages does so no more
        let_pass(0.1)
        found = await _depth(tmp_path, queues)
    assert isinstance(looked, Inconclusive), looked
    assert "all busy, or dead" in looked.text
    assert isinstance(found, Pass), found


async def test_asking_leaves_no_key_behind_answered_or_not_and_takes_no_message(tmp_path: Path, queues: Queues) -> None:
    queues.send("dataset", 3)
    queues.client.hset("unacked", "tag", '[{"body": ""}, "", "dataset"]')
    queues.client.zadd("unacked_index", {"tag": time.time() - 90_000})  # kombu would give it back to its queue
    before = queues.keys
    await _depth(tmp_path, queues)
    assert queues.keys == before
    with worker_on(queues, *queues_of(VERSION)):
        during = queues.keys
        await _depth(tmp_path, queues)
        assert queues.keys == during
    assert queues.client.llen("dataset") == 3
    assert queues.client.hlen("unacked") == 1


async def test_the_key_prefix_of_the_server_is_that_of_the_question_too(tmp_path: Path, queues: Queues) -> None:
    queues.declare(*queues_of(VERSION), prefix="di?fy:")
    queues.send("mail", 2, prefix="di?fy:")
    queues.send("stray", 1, prefix="di?fy:")
    queues.send("decoy", 1, prefix="diXfy:")
    with worker_on(queues, *queues_of(VERSION), prefix="di?fy:"):
        before = queues.keys
        found = await _depth(tmp_path, queues, prefix="di?fy:")
        other = await _depth(tmp_path, queues)
        assert queues.keys == before
    assert isinstance(found, Warn), found
    assert "stray (1)" in found.text
    assert "decoy" not in found.text
    assert _values(found)["waiting"] == 2
    assert isinstance(other, Inconclusive), other


async def test_a_user_of_redis_who_may_only_read_lists_is_told_what_can_be_known(
    tmp_path: Path, queues: Queues, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.send("dataset", 3)
    queues.declare(*queues_of(VERSION))
    may = ["+llen", "+lindex", "+exists", "+hlen", "+zrange", "+ping", "+select"]
    queues.client.execute_command("ACL", "SETUSER", "reader", "on", f">{CANARY}", "~*", *may)
    monkeypatch.setenv("TEST_BROKER", queues.url.replace(":" + CANARY, f"reader:{CANARY}", 1))
    found = await _depth(tmp_path, queues)
    looked = await _depth(tmp_path, queues, ask=False)
    assert isinstance(found, Inconclusive), found
    assert "does not let the workers be asked" in found.text
    assert isinstance(looked, Pass), looked
    assert (_values(looked)["waiting"], _values(looked)["consumers"]) == (3, None)


async def test_a_redis_that_hangs_is_told_in_seconds_not_after_every_retry(tmp_path: Path, queues: Queues) -> None:
    with frozen(queues.process):
        found = await _depth(tmp_path, queues)
    assert isinstance(found, Inconclusive), found
    assert "Redis cannot be asked" in found.text


async def test_a_queue_of_the_new_version_that_nobody_declared_is_a_warning(
    tmp_path: Path, queues: Queues, worker: None
) -> None:
    queues.declare(*queues_of("1.10.1"))
    for ask in (True, False):
        found = await _depth(tmp_path, queues, server_version="1.13.3", ask=ask)
        assert isinstance(found, Warn)
        assert "dataset_summary" in found.text
    assert "workflow_based_app_execution" in found.text


async def test_the_runbook_for_saturation_tells_a_queue_that_nobody_consumes_from_a_healthy_broker(
    stage: Stage, queues: Queues
) -> None:
    made = load(shipped_folder() / "queue-saturation.yaml")
    made = replace(made, steps=tuple(replace(item, every=0.01) for item in made.steps))
    names = queues_of(VERSION)
    async with stage.resources() as resources:
        with worker_on(queues, *names):
            healthy = await carried(made, resources, inputs={"redis": queues.reference})
        queues.declare(*names)
        queues.send(names[0])
        with worker_on(queues, *names[1:]):
            starved = await carried(made, resources, inputs={"redis": queues.reference})
    assert healthy.verdict == "pass", healthy.steps
    assert starved.verdict == "fail", starved.steps
    assert f"{names[0]} (1)" in next(item.text for item in starved.steps if item.id == "depth")


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
    async with resources_at(tmp_path, clock=Later()) as resources:
        assert isinstance(await check(resources, "queue.age", **asked), Pass)
    async with resources_at(tmp_path, clock=replace(Later(), ahead=600.0)) as resources:
        found = await check(resources, "queue.age", **asked)
        queues.client.rpop("dataset")
        moved = await check(resources, "queue.age", **asked)
    assert isinstance(found, Fail), found
    assert "dataset" in found.text
    assert "tasks.run" in found.text
    assert isinstance(moved, Pass), moved


async def test_a_message_that_a_worker_holds_for_too_long_fails(tmp_path: Path, queues: Queues) -> None:
    queues.client.hset("unacked", "tag", "x")
    queues.client.zadd("unacked_index", {"tag": time.time() - 4000})
    async with resources_at(tmp_path) as resources:
        found = await check(resources, "queue.age", redis=queues.reference, server_version=VERSION)
    assert isinstance(found, Fail), found
    assert "held a message" in found.text


@pytest.mark.parametrize("name", ["queue.depth", "queue.age"])
async def test_redis_away_or_refusing_is_inconclusive_and_keeps_its_password(
    tmp_path: Path, name: str, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWAY", f"redis://:{CANARY}@127.0.0.1:{free_port()}/1")
    monkeypatch.setenv("NO_URL", f"{CANARY}@nowhere")
    monkeypatch.setenv("WRONG", queues.url.replace(CANARY, f"wrong-{CANARY}"))
    for reference in ("env:AWAY", "env:NO_URL", "env:NOT_SET", "env:WRONG"):
        async with resources_at(tmp_path) as resources:
            found = await check(resources, name, redis=reference, server_version=VERSION)
        assert isinstance(found, Inconclusive), found
        assert CANARY not in repr(found)


@pytest.mark.parametrize("package", ["redis.asyncio", "kombu.pidbox"])
async def test_without_the_client_the_check_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queues: Queues, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    found = await _depth(tmp_path, queues)
    assert isinstance(found, Inconclusive)
    assert found.hint == "pip install 'difyops[redis]'"


def test_the_queue_list_grows_with_the_version() -> None:
    assert "workflow_based_app_execution" not in queues_of("1.12.0")
    assert "workflow_based_app_execution" in queues_of("1.13.0")
    assert "dataset_summary" in queues_of("unknown")
    assert len(queues_of("1.0.0")) == 4
