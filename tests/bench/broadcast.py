"""Figures of the broadcast: ours against a bare aiohttp loop and against a thread per agent, over the same calls.

``python -m tests.bench broadcast`` starts its own server, which answers runs after 200 ms, and gives each
contender a fresh process, in turns; the best of five counts. Per target: one call for the input form, one run as a
stream. Wall and CPU count from the first call to the last answer, without imports.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import os
import resource
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.bench.table import Figure, table  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SIZES = (3, 30, 100, 1000)
CONTENDERS = ("bare", "ours", "threads")
BROKEN = ("reset", "hang", "fail", "error")
QUESTION = "Are you well?"
BODY: Any = {"inputs": {"text": QUESTION}, "user": "bench", "response_mode": "streaming"}


class Stopwatch:
    """Started by a contender when its imports are done."""

    wall = 0.0
    cpu = 0.0

    @classmethod
    def start(cls) -> float:
        """Start, and return the wall clock."""
        cls.wall, cls.cpu = time.perf_counter(), time.process_time()
        return cls.wall


def keys(count: int, broken: float = 0.0) -> list[str]:
    """Return one key per target; a share of them breaks in every way there is."""
    every = round(1 / broken) if broken else 0
    return [
        f"app-{BROKEN[(number // every) % len(BROKEN)] if every and number % every == 0 else 'good'}-{number}"
        for number in range(count)
    ]


async def ours(url: str, names: list[str]) -> list[float]:
    """Return when each whole answer came: the engine as the command uses it."""
    from difyops.api.model import App
    from difyops.api.run_transport import run_transport
    from difyops.broadcast.engine import AnswerEnded, EngineOptions, broadcast
    from difyops.broadcast.plan import Member, make_plan
    from difyops.broadcast.runner import Reach, RunOptions
    from difyops.config import Context
    from difyops.secret_text import SecretText

    apps = [App(id=name, name=name, mode="workflow", live_version="v") for name in names]
    plan = make_plan(QUESTION, [Member(selector="all")], {"bench": apps})
    transport = run_transport(Context(name="bench", url=url), limit=len(names) * 2 + 16)

    async def key_of(app: App) -> SecretText:
        return SecretText(app.id)

    options = EngineOptions(run=RunOptions(user="bench"), max_in_flight=len(names), start=len(names), timeout=5.0)
    came: list[float] = []
    started = Stopwatch.start()
    async for event in broadcast(plan, {"bench": Reach(transport=transport, key_of=key_of)}, options):
        if isinstance(event, AnswerEnded) and event.answer.ok:
            came.append(time.perf_counter() - started)
    await transport.close()
    return came


async def bare(url: str, names: list[str]) -> list[float]:
    """Return when each answer came: the shortest aiohttp loop that makes the same calls."""
    import aiohttp

    came: list[float] = []
    started = Stopwatch.start()

    async def one(session: aiohttp.ClientSession, name: str) -> None:
        headers = {"Authorization": f"Bearer {name}"}
        try:
            async with asyncio.timeout(5.0):
                async with session.get(f"{url}/v1/parameters", headers=headers) as answer:
                    await answer.json()
                async with session.post(f"{url}/v1/workflows/run", json=BODY, headers=headers) as answer:
                    answer.raise_for_status()
                    async for line in answer.content:
                        if line.startswith(b"data:") and json.loads(line[5:])["event"] == "workflow_finished":
                            came.append(time.perf_counter() - started)
        except (TimeoutError, aiohttp.ClientError):
            return

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session, name) for name in names))
    return came


def threads(url: str, names: list[str]) -> list[float]:
    """Return when each answer came: the known recipe, a thread per agent (``requests`` where it is installed)."""
    came: list[float] = []
    started = Stopwatch.start()
    call = _with_requests(url) if importlib.util.find_spec("requests") else _with_http_client(url)

    def one(name: str) -> None:
        if call(name):
            came.append(time.perf_counter() - started)

    running = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return came


def _with_requests(url: str) -> Any:
    import requests  # type: ignore[import-untyped, import-not-found, unused-ignore]

    def call(name: str) -> bool:
        headers = {"Authorization": f"Bearer {name}"}
        requests.get(f"{url}/v1/parameters", headers=headers, timeout=10).json()
        answer = requests.post(f"{url}/v1/workflows/run", json=BODY, headers=headers, timeout=10, stream=True)
        return any(b"workflow_finished" in line for line in answer.iter_lines())

    return call


def _with_http_client(url: str) -> Any:
    host = url.removeprefix("http://")

    def call(name: str) -> bool:
        headers = {"Authorization": f"Bearer {name}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", "/v1/parameters", headers=headers)
        json.loads(connection.getresponse().read())
        connection.request("POST", "/v1/workflows/run", json.dumps(BODY), headers)
        return any(b"workflow_finished" in line for line in connection.getresponse())

    return call


def contend(name: str, url: str, count: int, broken: float) -> dict[str, float]:
    """Run one contender here and measure it."""
    names = keys(count, broken)
    came = threads(url, names) if name == "threads" else asyncio.run({"ours": ours, "bare": bare}[name](url, names))
    return {
        "wall": max(came),
        "cpu": time.process_time() - Stopwatch.cpu,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "answers": len(came),
    }


def measured(url: str, rounds: int, *contests: tuple[str, int, float]) -> list[dict[str, float]]:
    """Run contests (contender, targets, share that breaks) in fresh processes, in turns; return the best of each."""
    best: list[dict[str, float]] = [{} for _ in contests]
    for _ in range(rounds):
        for place, (name, count, broken) in enumerate(contests):
            command = [sys.executable, __file__, "--one", name, url, str(count), str(broken)]
            most_in_flight(url)
            row = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            row["most"] = most_in_flight(url)["most"]
            known = best[place] or row
            best[place] = {key: (max if key == "most" else min)(row[key], known[key]) for key in row}
    return best


def most_in_flight(url: str) -> dict[str, int]:
    """Return and reset the server's counts."""
    with urllib.request.urlopen(f"{url}/__counts", timeout=5) as answer:
        return dict(json.load(answer))


def main() -> list[Figure]:
    """Measure everything and return the figures."""
    server = subprocess.Popen([sys.executable, str(HERE / "raw_server.py")], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    figures: list[Figure] = []
    try:
        for count in SIZES:
            bare_row, ours_row, threads_row = measured(url, ROUNDS, *((name, count, 0.0) for name in CONTENDERS))
            figures += compared(count, bare_row, ours_row, threads_row)
        whole, mixed = measured(url, ROUNDS, ("ours", 1000, 0.0), ("ours", 1000, 0.3))
        name = "last healthy answer of 1000 with 30 % of them broken / with none broken"
        figures.append(Figure(name=name, value=mixed["wall"] / whole["wall"], limit=1.1))
    finally:
        server.terminate()
        server.wait()
    return figures


def compared(count: int, base: dict[str, float], mine: dict[str, float], recipe: dict[str, float]) -> list[Figure]:
    """Return the figures of one size."""
    largest = count == SIZES[-1]
    said = f"{mine['wall']:.3f} s / {base['wall']:.3f} s"
    wall, cpu = mine["wall"] / base["wall"], mine["cpu"] / base["cpu"]
    found = [
        Figure(name=f"broadcast to {count} / bare aiohttp, wall", value=wall, limit=1.5 if largest else 1.2, note=said),
        Figure(name=f"broadcast to {count} / bare aiohttp, CPU", value=cpu, limit=2.5),
    ]
    if largest:
        against = recipe["wall"] / mine["wall"]
        found += [
            Figure(name=f"thread per agent / broadcast to {count}, wall", value=against, limit=3.0, least=True),
            Figure(name=f"peak memory of a broadcast to {count} (MB)", value=mine["memory"], limit=150),
            Figure(name="most in flight, counted by the server", value=mine["most"], limit=count),
        ]
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(contend(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))))
    else:
        print(table(main()))
