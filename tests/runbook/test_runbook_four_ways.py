"""What every check must be able to say: passing, failing, inconclusive, timing out. One that lacks a way fails here."""

from __future__ import annotations

import contextlib
import errno
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from difyops.clock import SystemClock
from difyops.emulator.routes.console_keys import new_key
from difyops.emulator.routes.service_datasets import new_dataset, new_document
from difyops.errors import CredentialError
from difyops.runbook.broker import queues_of
from difyops.runbook.registry import tools
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result
from difyops.snapshot.take import TakeOptions, take
from tests.faults import answer, free_port, hang, serving
from tests.runbook.runbook_tools import Stage, add_run, change_live, check
from tests.runbook.servers import Postgres, Queues, frozen, waiting_client

LIMIT = 0.3
OPEN = "difyops.runbook.checks.changes_open"
VERSION = "1.13.0"


@dataclass
class World:
    """What a way may prepare: the instance, resources, servers and patches by fixture, what to close afterwards."""

    stage: Stage
    resources: Resources
    request: pytest.FixtureRequest
    stack: contextlib.ExitStack

    def fixture(self, name: str) -> Any:
        return self.request.getfixturevalue(name)


Way = Callable[[World], dict[str, Any]]


@dataclass(frozen=True)
class Four:
    """A check's four ways: each prepares the world and returns the parameters to ask with."""

    passing: Way
    failing: Way
    inconclusive: Way
    timing_out: Way
    snapshot: bool = False


def given(**parameters: Any) -> Way:
    return lambda world: parameters


def failing_calls(**parameters: Any) -> Way:
    def prepare(world: World) -> dict[str, Any]:
        world.stage.emulator.control.fail(path="/(console/api|v1)/", times=10_000, how="status:500")
        return parameters

    return prepare


def slow_calls(**parameters: Any) -> Way:
    def prepare(world: World) -> dict[str, Any]:
        world.stage.emulator.control.delay(1.5)
        return parameters

    return prepare


def runs(*, failed: int = 0, dead: int = 0, seconds: float = 1.0) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        for number in range(20):
            status = "failed" if number < failed else "succeeded"
            add_run(world.stage, "wf-echo", ago=100 + number, status=status, seconds=seconds)
        for number in range(dead):
            add_run(world.stage, "wf-echo", ago=4000 + number, status="running")

    return prepare


def costly(world: World) -> None:
    add_run(world.stage, "wf-echo", ago=100, total_tokens=5000)


def after(prepare: Callable[[World], Any], **parameters: Any) -> Way:
    def way(world: World) -> dict[str, Any]:
        prepare(world)
        return parameters

    return way


def no_edges(world: World) -> None:
    change_live(world.stage, "wf-llm", lambda graph: graph["edges"].clear())


def api_off(world: World) -> None:
    state = world.stage.emulator.app_named("wf-echo")
    state.enable_api = False
    state.changed()


def old_key(world: World) -> None:
    world.stage.emulator.app_named("wf-llm").keys[0].created_at -= 100 * 86400


def document(*, broken: bool = False) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        instance = world.stage.emulator.instance
        new_key(instance, None)
        made = new_document(instance, new_dataset(instance, "handbook"), "hours.txt", "Opening hours are nine to five.")
        made.ready_at, made.broken = 0.0, broken

    return prepare


def served(behaviour: Any) -> Way:
    def prepare(world: World) -> dict[str, Any]:
        return {"url": world.stack.enter_context(serving(behaviour)).url}

    return prepare


def port_of(behaviour: Any) -> Way:
    def prepare(world: World) -> dict[str, Any]:
        url = world.stack.enter_context(serving(behaviour)).url
        return {"host": "127.0.0.1", "port": int(url.rpartition(":")[2])}

    return prepare


@contextlib.contextmanager
def full_house() -> Iterator[int]:
    """Listen on a port and take nobody in: who knocks waits."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            guest = stack.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def no_answer(world: World) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": world.stack.enter_context(full_house())}


def queue(*, deep: bool = False, still: bool = False, away: bool = False, **more: Any) -> Way:
    def prepare(world: World) -> dict[str, Any]:
        queues: Queues = world.fixture("queues")
        queues.declare(*queues_of(VERSION))
        world.stack.enter_context(waiting_client(queues))
        if deep:
            queues.send("dataset", 9)
            queues.client.zadd("unacked_index", {"tag": time.time() - 4000})
        if away:
            world.fixture("monkeypatch").setenv("TEST_BROKER", f"redis://127.0.0.1:{free_port()}/1")
        if still:
            world.stack.enter_context(frozen(queues.process))
        return {"redis": queues.reference, "server_version": VERSION, **more}

    return prepare


def postgres(*, still: bool = False, **more: Any) -> Way:
    def prepare(world: World) -> dict[str, Any]:
        reference, server = world.fixture("reference"), world.fixture("database_server")
        assert isinstance(server, Postgres)
        if still:
            world.stack.enter_context(frozen(server.process))
        return {"dsn": reference, **more}

    return prepare


def dead_disk(world: World) -> None:
    """Let the operating system's answer take longer than anybody waits, as on a network disk that is gone."""
    world.fixture("monkeypatch").setattr(shutil, "disk_usage", lambda path: time.sleep(2))


def dead_store(world: World) -> None:
    world.resources.open_store = lambda: time.sleep(2)  # type: ignore[assignment, return-value]


def no_store(world: World) -> None:
    store = world.stage.folder / "snapshots"
    shutil.rmtree(store)
    store.write_text("not a store")


def drifted(world: World) -> None:
    change_live(world.stage, "wf-llm", lambda graph: graph["nodes"][0]["data"].update(title="Renamed"))


def patched(place: str, instead: Any) -> Callable[[World], None]:
    return lambda world: world.fixture("monkeypatch").setattr(place, instead)


def asleep(*_: Any, **__: Any) -> None:
    time.sleep(2)


def refused(*_: Any, **__: Any) -> None:
    raise CredentialError("The keyring did not answer within 3 s (locked?).")


def stale(*_: Any, **__: Any) -> None:
    raise OSError(errno.ESTALE, "Stale file handle")


def no_context(world: World) -> None:
    world.resources.context = None


def key_from(reference: str) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        assert world.resources.context
        world.resources.context = replace(world.resources.context, admin_key=reference)

    return prepare


def key_in_prompt(world: World) -> None:
    canary = "sk-canary0123456789abcdefghijkl"
    change_live(world.stage, "wf-echo", lambda graph: graph["nodes"][0]["data"].update(desc=f"call it with {canary}"))


def forged(world: World) -> None:
    import sqlite3

    world.resources.audit("app.enable", "some-app")
    with sqlite3.connect(world.resources.config.state / "ledger.sqlite3") as connection:
        connection.execute("DROP TRIGGER audit_UPDATE")
        connection.execute("UPDATE audit SET actor = 'somebody else'")


def no_ledger(world: World) -> None:
    world.resources.config = replace(world.resources.config, state=world.stage.folder / "nowhere")


def broken_journal(world: World) -> None:
    folder = world.resources.config.state / "rollbacks" / "emu"
    folder.mkdir(parents=True)
    (folder / "0123.json").write_text("{half a jour")


def setup_says(status: int) -> Callable[[World], None]:
    return lambda world: world.stage.emulator.control.fail(path="/console/api/setup", times=99, how=f"status:{status}")


def another_time(world: World) -> None:
    class Ahead(SystemClock):
        def now(self) -> datetime:
            return SystemClock.now(self) + timedelta(hours=2)

    world.resources.clock = Ahead()


KNOWN = {"dataset": "handbook", "question": "What are the opening hours?", "keyword": True}
ECHO = {"app": "wf-echo", "inputs": {"text": "hello"}}
ROOM = {"path": "/", "min_free_percent": 0}
TABLE: dict[str, Four] = {
    "app.access": Four(
        given(apps=["all"]), after(api_off, apps=["all"]), failing_calls(apps=["wf-echo"]),
        slow_calls(apps=["wf-echo"]),
        snapshot=True,
    ),
    "app.answers": Four(
        given(**ECHO), given(**ECHO, expect=["GOODBYE"]), given(app="no-such-app"), slow_calls(**ECHO)
    ),
    "app.wiring": Four(
        given(apps=["all"]), after(no_edges, apps=["all"]), failing_calls(apps=["wf-llm"]), slow_calls(apps=["wf-llm"])
    ),
    "app.listing": Four(given(), given(at_least=999), failing_calls(), slow_calls()),
    "changes.open": Four(
        given(), given(max_open=-1), after(broken_journal), after(patched(f"{OPEN}.left_behind", asleep))
    ),
    "context": Four(
        given(), after(no_context), after(key_from("env:NOT_SET_ANYWHERE")), after(key_from("cmd:sleep 5"))
    ),
    "command": Four(
        given(argv=["true"]), given(argv=["false"]), given(argv=["/no/such/program"]), given(argv=["sleep", "30"])
    ),
    "database": Four(
        postgres(), postgres(max_connections_percent=0), given(dsn="env:NOT_SET_ANYWHERE"), postgres(still=True)
    ),
    "disk": Four(
        given(**ROOM), given(path="/", min_free_percent=101), given(path="/no/such/folder"), after(dead_disk, **ROOM)
    ),
    "http": Four(
        served(answer(200, {})), served(answer(500, {})), given(url="ftp://example.com"), served(hang)
    ),
    "instance.clock": Four(given(), after(another_time), after(setup_says(418)), slow_calls()),
    "instance.login": Four(given(), given(roles=["nobody"]), failing_calls(), slow_calls()),
    "instance.reach": Four(given(), after(setup_says(500)), after(setup_says(418)), slow_calls()),
    "ledger.whole": Four(
        given(), after(forged), after(no_ledger, must_exist=True), after(patched("difyops.ledger.Ledger.check", asleep))
    ),
    "machine.git": Four(
        given(), after(patched("shutil.which", lambda name: None)), given(at_least="new"),
        after(patched("shutil.which", asleep)),
    ),
    "machine.keyring": Four(
        after(patched("difyops.credentials.keyring_problem", lambda: None)),
        after(patched("difyops.credentials.keyring_problem", lambda: "Locked."), required=True),
        after(patched("difyops.credentials.keyring_problem", refused)),
        after(patched("difyops.credentials.keyring_problem", asleep)),
    ),
    "machine.python": Four(
        given(), given(at_least="99.0"), given(at_least="new"), after(patched("platform.python_version", asleep))
    ),
    "machine.state": Four(
        given(), given(path="/dev/null/state"), after(patched("os.access", stale)), after(patched("os.access", asleep))
    ),
    "instance.health": Four(
        given(),
        after(lambda world: world.stage.emulator.control.mood("redis_down")),
        after(lambda world: world.stage.emulator.control.fail(path="/account/profile", times=99, how="status:418")),
        slow_calls(),
    ),
    "instance.version": Four(given(expected=VERSION), given(expected="1.13.3"), failing_calls(), slow_calls()),
    "knowledge.indexing": Four(after(document()), after(document(broken=True)), failing_calls(), slow_calls()),
    "knowledge.retrieval": Four(
        after(document(), **KNOWN), after(document(), **KNOWN, document="other.txt"), given(**KNOWN),
        lambda world: {**after(document(), **KNOWN)(world), **slow_calls()(world)},
    ),
    "provider.credential": Four(
        given(provider="openai"),
        after(lambda world: world.stage.emulator.control.revoke("sk-good-1"), provider="openai"),
        failing_calls(provider="openai"),
        slow_calls(provider="openai"),
    ),
    "queue.age": Four(queue(), queue(deep=True, watch="1ms"), queue(away=True), queue(still=True)),
    "queue.depth": Four(
        queue(ask=False), queue(deep=True, ask=False, max_depth=5), queue(away=True), queue(still=True)
    ),
    "knowledge.rebuild": Four(after(document()), after(document(), max_tokens=-1), failing_calls(), slow_calls()),
    "runs.attempts": Four(
        after(runs(), apps=["wf-echo"]), after(runs(failed=15), apps=["wf-echo"]), given(apps=["wf-echo"]),
        slow_calls(apps=["wf-echo"]),
    ),
    "runs.tokens": Four(
        after(runs(), apps=["wf-echo"]), after(costly, apps=["wf-echo"], max_tokens=1000),
        failing_calls(apps=["wf-echo"]), slow_calls(apps=["wf-echo"]),
    ),
    "runs.failure_rate": Four(
        after(runs(), apps=["wf-echo"]), after(runs(failed=5), apps=["wf-echo"]), given(apps=["wf-echo"]),
        slow_calls(apps=["wf-echo"]),
    ),
    "runs.latency": Four(
        after(runs(), app="wf-echo", max_p95="2s"), after(runs(seconds=3.0), app="wf-echo", max_p95="2s"),
        given(app="wf-echo"), slow_calls(app="wf-echo"),
    ),
    "runs.stuck": Four(
        after(runs(), apps=["all"]), after(runs(dead=1), apps=["all"]), failing_calls(apps=["wf-echo"]),
        slow_calls(apps=["wf-echo"]),
    ),
    "secret.in_clear": Four(given(max_in_clear=50), after(key_in_prompt), failing_calls(), slow_calls()),
    "secret.age": Four(given(), after(old_key), failing_calls(), slow_calls()),
    "snapshot.age": Four(given(), given(max_age="0s"), after(no_store), after(dead_store), snapshot=True),
    "snapshot.drift": Four(given(), after(drifted), after(no_store), slow_calls(), snapshot=True),
    "tcp": Four(
        port_of(answer(200, {})), lambda world: {"host": "127.0.0.1", "port": free_port()},
        given(host="no-such-host.invalid", port=1), no_answer,
    ),
}  # fmt: skip
ELSEWHERE = (
    "cost.budget",
    "drill.age",
    "release.gates",
    "runs.paused",
    "slo.goals",
    "snapshot.seal",
    "trigger.slots",
)  # tests of these rooms try them
WORDS: dict[str, type[Result]] = {
    "passing": Pass, "failing": Fail, "inconclusive": Inconclusive, "timing_out": Inconclusive,
}  # fmt: skip


def test_every_check_is_tried_in_all_four_ways() -> None:
    assert sorted([*TABLE, *ELSEWHERE]) == sorted(tools("check"))


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("word", list(WORDS))
@pytest.mark.parametrize("name", sorted(TABLE))
async def test_a_check_says(stage: Stage, request: pytest.FixtureRequest, name: str, word: str) -> None:
    four = TABLE[name]
    async with stage.resources() as resources:
        await resources.instance()
        await resources.apps()
        if four.snapshot:
            await take(await resources.instance(), resources.make_store(), TakeOptions())
        with contextlib.ExitStack() as stack:
            parameters = getattr(four, word)(World(stage, resources, request, stack))
            found = await check(resources, name, limit=LIMIT if word == "timing_out" else 20.0, **parameters)
    assert isinstance(found, WORDS[word]), found
    if word == "timing_out":
        assert found.text == f"no result within {LIMIT:g} s"
    else:
        assert "no result within" not in found.text
        assert "broken" not in found.text or name == "app.wiring", found


async def test_a_page_and_a_port_that_keep_silent_fail_after_their_own_patience(stage: Stage) -> None:
    with serving(hang) as silent, full_house() as port:
        async with stage.resources() as resources:
            page = await check(resources, "http", url=silent.url, patience="200ms")
            knock = await check(resources, "tcp", host="127.0.0.1", port=port, patience="200ms")
    assert isinstance(page, Fail), page
    assert isinstance(knock, Fail), knock
    assert "did not answer within 0.2 s" in knock.text
