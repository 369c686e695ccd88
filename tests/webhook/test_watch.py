"""``webhook watch``: the ends of runs that others started are told, each once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from difyops.emulator import Emulator, humans
from difyops.targets import pick
from difyops.webhook import reading, watching
from difyops.webhook.database import FILE, WebhookDatabase
from difyops.webhook.watching import RunWatch, WatchRequest
from tests.api.opening import opened
from tests.conftest import Cli
from tests.emulator.door import Door
from tests.emulator.humans import with_person
from tests.webhook.rig import SECRET, recipes_receiver


async def test_ends_of_others_are_told_once_and_runs_that_go_on_later(
    emulator: Emulator, url: str, tmp_path: Path
) -> None:
    app = emulator.app_named("wf-llm")
    door = Door()
    door.client = httpx.AsyncClient(base_url=url, timeout=60)
    for query in ("one", "two", "[[fail=auth]]"):
        await door.run(app, query=query)
    slow = asyncio.create_task(door.run(app, query="slow [[delay=200]]"))
    while len(app.runs) < 4:
        await asyncio.sleep(0.01)
    database = WebhookDatabase(tmp_path / FILE)
    database.open()
    async with opened(url, tmp_path) as instance:
        found = pick([item async for item in instance.console.apps()], "wf-llm")
        request = WatchRequest(app=found, url="http://127.0.0.1:9/x", since=time.time() - 60, once=True)
        watch = RunWatch(database=database, instance=instance, request=request)
        assert await watch.run() == 3
        await slow
        assert await watch.run() == 4
        assert await RunWatch(database=database, instance=instance, request=request).run() == 0
    rows = database.read("SELECT id, type, body FROM message ORDER BY seq")
    assert sorted(row["type"] for row in rows) == ["run.failed", *["run.succeeded"] * 3]
    assert len({row["id"] for row in rows}) == 4
    assert {json.loads(row["body"])["data"]["run_id"] for row in rows} == {run.id for run in app.runs}
    await database.close()
    await door.client.aclose()


@pytest.mark.parametrize("name", ["wf-llm", "flow-chat", "chat-basic", "completion-basic"])
async def test_with_content_each_mode_tells_its_answer(
    emulator: Emulator, url: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, app = Door(), emulator.app_named(name)
    door.client = httpx.AsyncClient(base_url=url, timeout=60)
    if name in ("flow-chat", "chat-basic"):
        await door.ask(app, "the question", mode="streaming")
    else:
        path = "/workflows/run" if name == "wf-llm" else "/completion-messages"
        await door.run(app, path=path, query="the question")
    database = WebhookDatabase(tmp_path / FILE)
    database.open()
    async with opened(url, tmp_path) as instance:
        found = pick([item async for item in instance.console.apps()], name)
        request = WatchRequest(app=found, url="http://127.0.0.1:9/x", since=time.time() - 60, once=True, content=True)
        assert await RunWatch(database=database, instance=instance, request=request).run() == 1
        monkeypatch.setattr(watching, "content_of", None)  # what was told is not read again
        assert await RunWatch(database=database, instance=instance, request=request).run() == 0
    (row,) = database.read("SELECT body FROM message")
    said = json.loads(row["body"])["data"]
    assert "the question" in said["answer"]
    assert bool(said["outputs"]) is (name in ("wf-llm", "flow-chat"))
    await database.close()
    await door.client.aclose()


async def test_that_a_person_is_asked_is_told_once(emulator: Emulator, url: str, tmp_path: Path) -> None:
    app, door = with_person(emulator), Door()
    door.client = httpx.AsyncClient(base_url=url, timeout=60)
    await door.run(app, mode="streaming", text="go")
    database = WebhookDatabase(tmp_path / FILE)
    database.open()
    async with opened(url, tmp_path) as instance:
        found = pick([item async for item in instance.console.apps()], app.name)
        request = WatchRequest(app=found, url="http://127.0.0.1:9/x", since=time.time() - 60, once=True, content=True)
        watch = RunWatch(database=database, instance=instance, request=request)
        assert [await watch.run(), await watch.run()] == [1, 1]
        (token,) = emulator.instance.forms
        await humans.submit(emulator.instance, token, {"note": "fine"}, "ok")
        while await watch.run() == 1:
            await asyncio.sleep(0.01)
    kinds = [row["type"] for row in database.read("SELECT type FROM message ORDER BY seq")]
    assert kinds == ["run.paused", "run.succeeded"]
    await database.close()
    await door.client.aclose()


class Took:
    """A receiver in a thread."""

    def __init__(self) -> None:
        self.took: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.took.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def took() -> Iterator[Took]:
    receiver = Took()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_once_from_the_command_line(cli: Cli, emulator: Emulator, connected: str, took: Took, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        f"webhook:\n  callbacks:\n    allow: ['{took.url}']\n    secrets: [env:HOOK_SECRET]\n"
    )
    assert cli("app", "run", "wf-llm", "--input", "query=hello").code == 0
    words = ("webhook", "watch", "wf-llm", "--callback", f"{took.url}/x", "--since", "5m", "--once")
    done = cli(*words, "--config", str(tmp_path / "rules.yaml"), "-o", "json")
    assert (done.code, done.json["data"]) == (0, {"told": 1})
    ((headers, body),) = took.took
    assert recipes_receiver(SECRET, headers, body)
    assert json.loads(body)["data"]["run_id"] == emulator.app_named("wf-llm").runs[0].id
    assert cli(*words, "--config", str(tmp_path / "rules.yaml"), "-o", "json").json["data"] == {"told": 0}
    assert [row.state for row in reading.messages(reading.KeptEvent(tmp_path / "state"), limit=9)] == ["delivered"]
    refused = cli(*words[:3], "--callback", "http://10.0.0.1/x", "--once", "--config", str(tmp_path / "rules.yaml"))
    assert refused.code == 8


def test_a_dry_run_sends_nothing(cli: Cli, emulator: Emulator, connected: str, took: Took, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        f"webhook:\n  callbacks:\n    allow: ['{took.url}']\n    secrets: [env:HOOK_SECRET]\n"
    )
    for words in (("watch", "wf-llm", "--callback", f"{took.url}/x", "--once"), ("test", f"{took.url}/x"), ("stop",)):
        done = cli("webhook", *words, "--config", str(tmp_path / "rules.yaml"), "--dry-run")
        assert done.code == 0, done
    assert took.took == []
    assert not list((tmp_path / "state").glob("webhook*"))
    assert cli("webhook", "test", f"{took.url}/x", "--config", str(tmp_path / "rules.yaml")).code == 0
    assert len(took.took) == 1
