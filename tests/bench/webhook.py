"""Figures of the webhook server: its inbox, its relay, 500 open streams, and what is lost when everything is killed.

``python -m tests.bench webhook`` uses loopback only. The inbox is measured against the same rows written by plain
SQLite in groups of the same size; the relay against one of Starlette and aiohttp without anything else, over the same
stand-in for Dify. The kills are SIGKILL: of the server itself, and of a proxy between it and the emulator, which is
what a killed API looks like (the runs go on behind it). ``BENCH_SHARE`` makes it shorter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from difyops.emulator import Emulator
from difyops.secret_text import SecretText
from difyops.webhook import inbox
from difyops.webhook.database import FILE, LAYOUT, WebhookDatabase
from difyops.webhook.rules import EventSource
from difyops.webhook.signing import Received, SignatureCheck
from difyops.webhook.testing import signed
from tests.bench.table import Figure, table

SHARE = float(os.environ.get("BENCH_SHARE", "1"))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SOURCE = EventSource(name="orders", scheme="standard", secrets=("env:BENCH_SECRET",), to=("there",))
EVENTS = int(20_000 * SHARE)
IN_FLIGHT = 400
CALLERS = 10
PAYLOAD = "x" * 2000


def main() -> list[Figure]:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        return [
            *asyncio.run(inbox_figures(place / "inbox")),
            *asyncio.run(in_figures(place / "in")),
            *asyncio.run(in_kills(place / "in-kills")),
            *asyncio.run(relay_figures(place / "relay")),
            *asyncio.run(run_kills(place / "run-kills")),
        ]


# the inbox


def requests(count: int) -> list[tuple[dict[str, str], bytes]]:
    """Return signed events of 2 KB."""
    made = []
    for number in range(count):
        body = json.dumps({"type": "order", "n": number, "pad": PAYLOAD}).encode()
        made.append((dict(signed(SOURCE, SecretText(SECRET), body)), body))
    return made


def event_of(check: SignatureCheck, headers: dict[str, str], body: bytes, number: int) -> inbox.InboxEvent:
    """Verify an event and make what is kept of it."""
    now = time.time()
    verified = check.verify(Received(headers=headers, body=body, now=now))
    return inbox.InboxEvent(
        id=f"evt_{number:024x}", source="orders", dedupe=verified.key, received=now, sent=verified.sent, hops=0,
        kind="order", content_type="application/json", body=body,
    )  # fmt: skip


async def inbox_figures(folder: Path) -> list[Figure]:
    """Measure how many events are kept a second: ours against SQLite alone, in turns, the best of three each."""
    folder.mkdir()
    made = requests(EVENTS)
    check = SignatureCheck(scheme="standard", secrets=[SecretText(SECRET)])
    best: dict[str, float] = {}
    size = 0.0
    for turn in range(3):
        database = WebhookDatabase(folder / f"ours-{turn}.sqlite3")
        database.open()
        began = time.perf_counter()
        numbers = iter(enumerate(made))

        async def worker(database: WebhookDatabase, numbers: Any) -> None:
            for number, (headers, body) in numbers:
                await database.add(inbox.keep, (event_of(check, headers, body, number), SOURCE))

        await asyncio.gather(*(worker(database, numbers) for _ in range(IN_FLIGHT)))
        ours = EVENTS / (time.perf_counter() - began)
        size = database.written / database.groups
        await database.close()
        raw = _raw(folder / f"raw-{turn}.sqlite3", made, max(1, round(size)))
        best = {"ours": max(ours, best.get("ours", 0)), "raw": max(raw, best.get("raw", 0))}
    note = (
        f"{best['ours']:.0f} against {best['raw']:.0f} events/s of 2 KB, groups of {size:.0f}, verified and told apart"
    )
    return [Figure("inbox, of raw SQLite group commit", best["ours"] / best["raw"], 0.8, note, least=True)]


def _raw(path: Path, made: list[tuple[dict[str, str], bytes]], size: int) -> float:
    """Write the same rows with nothing around it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for statement in LAYOUT.tables:
        connection.execute(statement)
    began = time.perf_counter()
    for start in range(0, len(made), size):
        connection.execute("BEGIN IMMEDIATE")
        for number, (headers, body) in enumerate(made[start : start + size], start):
            row = (f"evt_{number}", "orders", headers["webhook-id"], 1.0, 1.0, 0, "order", "application/json", body)
            cursor = connection.execute(
                "INSERT INTO event (id, source, dedupe, received, sent, hops, kind, content_type, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            connection.execute(
                "INSERT INTO delivery (event, destination, source, ordered, state, due)"
                " VALUES (?, ?, ?, 0, 'pending', 0)",
                (cursor.lastrowid, "there", "orders"),
            )
        connection.execute("COMMIT")
    rate = len(made) / (time.perf_counter() - began)
    connection.close()
    return rate


# the server as a process


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


class Process:
    """The server in a process of its own, with its state folder; it can be killed and started again."""

    def __init__(self, folder: Path, section: dict[str, Any], base_url: str = "http://127.0.0.1:9") -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        listen = {"listen": f"127.0.0.1:{self.port}", "admin": False, "drain": "1s"}
        contexts = {"bench": {"url": base_url, "email": "admin@example.com", "password": "env:BENCH_PASSWORD"}}
        document = {"contexts": contexts, "webhook": {**listen, **section}}
        (folder / "config.yaml").write_text(json.dumps(document))
        (folder / "config.yaml").chmod(0o600)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DIFY")},
            "DIFYOPS_STATE": str(folder / "state"), "DIFYOPS_CONFIG": str(folder / "config.yaml"),
            "BENCH_SECRET": SECRET, "BENCH_PASSWORD": "Passw0rd!1", "BENCH_KEY": "app-bench",
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        note = self.folder / "state" / "webhook.json"
        note.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "difyops", "webhook", "serve"], env=self.environment, stdout=log, stderr=log
            )
        async with aiohttp.ClientSession() as http:
            while True:
                if self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:])
                try:
                    async with http.get(f"{self.url}/healthz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)

    def kill(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    @property
    def memory(self) -> float:
        """Return its resident memory in MB."""
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024

    def rows(self, query: str) -> list[Any]:
        """Return rows of its file."""
        with contextlib.closing(sqlite3.connect(self.folder / "state" / FILE)) as connection:
            return connection.execute(query).fetchall()


HELD = {
    "sources": {"orders": {"secrets": ["env:BENCH_SECRET"], "to": ["there"]}},
    "destinations": {"there": {"url": "http://127.0.0.1:9/", "paused": True}},
}


async def in_figures(folder: Path) -> list[Figure]:
    """Measure events over HTTP: how many a second, and how long each takes, with callers who wait for each answer."""
    server = Process(folder, HELD)
    await server.start()
    made = requests(int(4000 * SHARE))
    took: list[float] = []
    pending = iter(made)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def caller() -> None:
            for headers, body in pending:
                began = time.perf_counter()
                async with http.post(f"{server.url}/in/orders", data=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
                took.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        rate = len(took) / (time.perf_counter() - began)
    server.kill()
    p99 = statistics.quantiles(took, n=100)[98] * 1000
    return [
        Figure(
            "in: p99 of one event over HTTP, ms",
            p99,
            50,
            f"{rate:.0f} events/s, {CALLERS} callers, one machine for all",
        )
    ]


async def in_kills(folder: Path) -> list[Figure]:
    """Kill the server thirty times while events come in; count what was acknowledged and is not there."""
    server = Process(folder, HELD)
    kills = max(3, int(30 * SHARE))
    acknowledged: set[str] = set()
    number = 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def caller() -> None:
            nonlocal number
            while True:
                number += 1
                body = json.dumps({"n": number}).encode()
                head = dict(signed(SOURCE, SecretText(SECRET), body))
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.post(f"{server.url}/in/orders", data=body, headers=head) as answer:
                        if answer.status == 200:
                            acknowledged.add((await answer.json())["id"])
                await asyncio.sleep(0)

        for _ in range(kills):
            await server.start()
            callers = [asyncio.create_task(caller()) for _ in range(8)]
            await asyncio.sleep(random.uniform(0.05, 0.4))
            server.kill()
            for task in callers:
                task.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
    kept = {row[0] for row in server.rows("SELECT id FROM event")}
    note = f"{len(acknowledged)} acknowledged, {kills} kills, SIGKILL at random moments"
    return [Figure("in: acknowledged events lost", len(acknowledged - kept), 0, note)]


# the relay

LINES = (
    b"event: ping\n\n",
    b'data: {"event": "workflow_started", "task_id": "t", "workflow_run_id": "RUN", "data": {}}\n\n',
    *(b'data: {"event": "text_chunk", "data": {"text": "word "}}\n\n' for _ in range(20)),
    b'data: {"event": "workflow_finished", "task_id": "t", "workflow_run_id": "RUN", "data": {"status": "succeeded",'
    b' "outputs": {"text": "word"}}}\n\n',
)


@contextlib.asynccontextmanager
async def stand_in(hold: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Listen as Dify does for one workflow app; with ``hold`` streams stay open until it is set."""

    async def run(request: web.Request) -> web.StreamResponse:
        await request.read()
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(LINES[0] + LINES[1])
        if hold is not None:
            await hold.wait()
        for line in LINES[2:]:
            await answer.write(line)
        return answer

    async def info(request: web.Request) -> web.Response:
        return web.json_response({"name": "bench", "mode": "workflow"})

    async def form(request: web.Request) -> web.Response:
        return web.json_response({"user_input_form": []})

    application = web.Application()
    application.router.add_post("/v1/workflows/run", run)
    application.router.add_get("/v1/info", info)
    application.router.add_get("/v1/parameters", form)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


BARE = """
import sys, aiohttp, uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
session = None
async def relay(request):
    global session
    if session is None:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    body = await request.body()
    head = {"content-type": "application/json"}
    answer = await session.post(sys.argv[1] + "/v1/workflows/run", data=body, headers=head)
    async def pieces():
        async for piece in answer.content.iter_any():
            yield piece
    return StreamingResponse(pieces(), media_type="text/event-stream")
async def health(request):
    return StreamingResponse(iter([b"ok"]))
uvicorn.run(Starlette(routes=[Route("/run/bench", relay, methods=["POST"]), Route("/healthz", health)]),
            port=int(sys.argv[2]), http="h11", loop="asyncio", log_level="critical", lifespan="off")
"""


async def relay_figures(folder: Path) -> list[Figure]:
    """Measure the first byte and the last one through both relays, in turns; then 500 open streams."""
    section = {"apps": {"bench": {"app": "bench", "key": "env:BENCH_KEY"}}}
    body = json.dumps({"inputs": {}, "user": "u", "response_mode": "streaming"}).encode()
    head = {"authorization": "Bearer app-bench", "content-type": "application/json"}
    async with stand_in() as base_url:
        server = Process(folder, section, base_url)
        await server.start()
        port = free_port()
        bare = subprocess.Popen([sys.executable, "-c", BARE, base_url, str(port)])
        found: dict[str, list[float]] = defaultdict(list)
        places = {"ours": server.url, "bare": f"http://127.0.0.1:{port}"}
        async with aiohttp.ClientSession() as http:
            for url in places.values():
                await _up(http, url)
            for turn in range(max(20, int(300 * SHARE))):
                for name in sorted(places, reverse=bool(turn % 2)):
                    began = time.perf_counter()
                    async with http.post(f"{places[name]}/run/bench", data=body, headers=head) as answer:
                        first = None
                        async for piece in answer.content.iter_any():
                            if first is None and piece:
                                first = time.perf_counter() - began
                        assert first is not None
                    if turn >= 10:
                        found[f"{name} first"].append(first)
                        found[f"{name} last"].append(time.perf_counter() - began)
        bare.kill()
        bare.wait()
        server.kill()
    middle = {name: statistics.median(values) * 1000 for name, values in found.items()}
    note = f"{middle['ours first']:.2f} against {middle['bare first']:.2f} ms; last byte {middle['ours last']:.2f}"
    note += f" against {middle['bare last']:.2f} ms (medians)"
    memory = await _memory(folder.with_name("streams"), section, body, head)
    return [Figure("run: added to the first byte, ms", middle["ours first"] - middle["bare first"], 5, note), memory]


async def _up(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get(f"{url}/healthz") as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.02)


async def _memory(folder: Path, section: dict[str, Any], body: bytes, head: dict[str, str]) -> Figure:
    hold = asyncio.Event()
    wanted = max(50, int(500 * SHARE))
    async with stand_in(hold) as base_url:
        server = Process(folder, section, base_url)
        await server.start()
        before = server.memory
        opened = 0
        everybody = asyncio.Event()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

            async def caller() -> bool:
                nonlocal opened
                async with http.post(f"{server.url}/run/bench", data=body, headers=head) as answer:
                    assert answer.status == 200, await answer.text()
                    async for line in answer.content:
                        if b"workflow_started" in line:
                            opened += 1
                            if opened == wanted:
                                everybody.set()
                        if b"workflow_finished" in line:
                            return True
                return False

            callers = [asyncio.create_task(caller()) for _ in range(wanted)]
            await asyncio.wait_for(everybody.wait(), 120)
            memory = server.memory
            hold.set()
            whole = await asyncio.gather(*callers)
        server.kill()
    note = f"{wanted} open at once ({before:.0f} MB before), {sum(whole)} came whole"
    return Figure("run: memory with 500 open streams, MB", memory, 200, note)


# kills

PROXY = """
import asyncio, sys
async def pump(reader, writer):
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    writer.close()
async def serve(reader, writer):
    try:
        up, down = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, down), pump(up, writer))
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[2]), reuse_address=True, backlog=1024)
    await server.serve_forever()
asyncio.run(main())
"""


class Gate:
    """A proxy in front of the emulator that can be killed: every stream breaks, the runs go on."""

    def __init__(self, target: str) -> None:
        self.target = target.rpartition(":")[2]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = subprocess.Popen([sys.executable, "-c", PROXY, self.target, str(self.port)])
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, dict[str, set[bytes]], Counter[str]]]:
    """Take calls back: bodies by id, and how often each id came."""
    bodies: dict[str, set[bytes]] = defaultdict(set)
    times: Counter[str] = Counter()

    async def take(request: web.Request) -> web.Response:
        bodies[request.headers["webhook-id"]].add(await request.read())
        times[request.headers["webhook-id"]] += 1
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/done", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", bodies, times
    finally:
        await runner.cleanup()


async def run_kills(folder: Path) -> list[Figure]:
    """Ask for a thousand runs and kill the server at 20 and the way to Dify at 10 moments; count ends that are lost."""
    wanted = max(60, int(1000 * SHARE))
    kills = {"server": max(3, int(20 * SHARE)), "dify": max(2, int(10 * SHARE))}
    emulator = Emulator("1.16.1", speed=2.0)
    with emulator.listening() as behind:
        async with receiver() as (callback, bodies, times):
            gate = Gate(behind)
            await gate.start()
            section = {
                "apps": {"llm": {"app": "wf-llm"}, "chat": {"app": "flow-chat"}},
                "callbacks": {"allow": [callback], "secrets": ["env:BENCH_SECRET"], "parallel": 32},
            }
            server = Process(folder, section, gate.url)
            await server.start()
            await _asked_for(server, gate, emulator, callback, wanted, kills)
            await _told(server)
            figures = _lost(server, emulator, bodies, times, (wanted, kills))
            server.kill()
            gate.kill()
    return figures


async def _asked_for(
    server: Process, gate: Gate, emulator: Emulator, callback: str, wanted: int, kills: dict[str, int]
) -> None:
    asked, done = 0, 0
    names = {"llm": emulator.app_named("wf-llm").key, "chat": emulator.app_named("flow-chat").key}

    async def caller(http: aiohttp.ClientSession) -> None:
        nonlocal asked, done
        while asked < wanted:
            asked += 1
            name = random.choice(list(names))
            stays = random.random() < 0.5
            query = f"hello [[delay={random.uniform(0.2, 3):.1f}]]"
            body = {"query": query, "metadata": {"callback_url": f"{callback}/done"}, "response_mode": "streaming"}
            head = {"authorization": f"Bearer {names[name]}"}
            taken = False
            with contextlib.suppress(aiohttp.ClientError):
                async with http.post(f"{server.url}/run/{name}", json=body, headers=head) as answer:
                    taken = answer.status == 200
                    if taken and stays:
                        await answer.read()
            if taken:
                done += 1
            else:  # turned away, or not reached: it is asked for again
                asked -= 1
                await asyncio.sleep(0.05)

    async def killer() -> None:
        moments = ["server"] * kills["server"] + ["dify"] * kills["dify"]
        random.shuffle(moments)
        for number, what in enumerate(moments):
            while done < wanted * (number + random.random()) / (len(moments) + 1):
                await asyncio.sleep(0.02)
            target = server if what == "server" else gate
            target.kill()
            await target.start()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(killer(), *(caller(http) for _ in range(24)))


async def _told(server: Process) -> None:
    """Wait until every run has ended and every call back was delivered."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        (open_runs,) = server.rows("SELECT count(*) FROM run WHERE state != 'ended'")[0]
        (waiting,) = server.rows("SELECT count(*) FROM message WHERE state = 'pending'")[0]
        if not open_runs and not waiting:
            return
        await asyncio.sleep(0.2)


def _lost(
    server: Process,
    emulator: Emulator,
    bodies: dict[str, set[bytes]],
    times: Counter[str],
    how_much: tuple[int, dict[str, int]],
) -> list[Figure]:
    wanted, kills = how_much
    rows = server.rows(
        "SELECT run.id, run.run_id, run.status, message.id FROM run LEFT JOIN message ON message.run = run.id"
    )
    silent = [row for row in rows if row[3] not in bodies]
    seen_but_unknown = [row for row in rows if row[1] and row[2] == "unknown"]
    ends = Counter(row[2] for row in rows)
    users = {run.inputs["sys.user_id"] for name in ("wf-llm", "flow-chat") for run in emulator.app_named(name).runs}
    ran = [row for row in rows if row[2] == "unknown" and f"difyops-{row[0]}" in users]
    differing = sum(len(found) > 1 for found in bodies.values())
    how = (
        f"{len(rows)} accepted {dict(ends)}, {kills['server']} kills of the server, {kills['dify']} of the way to Dify"
    )
    again = sum(count - 1 for count in times.values())
    return [
        Figure("run: accepted runs that end in silence", len(silent), 0, how),
        Figure("run: ends lost once the run id was seen", len(seen_but_unknown), 0, f"{wanted} runs asked for"),
        Figure(
            "run: told as unknown although it ran", len(ran), 0, "the app is one of the emulator's, so it is known here"
        ),
        Figure("run: ids with different bodies", differing, 0, f"{again} calls came twice, under their ids"),
    ]


if __name__ == "__main__":
    print(table(main()))
