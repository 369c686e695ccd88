"""Figures of the broadcast: ours against a bare aiohttp loop and against a thread per agent, over the same calls.

``python tests/bench/broadcast.py [--quick]`` starts its own server, which answers runs after 200 ms, and gives each
contender a fresh process, in turns; the best of five counts. Per target: one call for the input form, one run as a
stream. Wall and CPU count from the first call to the last answer, without imports.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import resource
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SIZES = (3, 30, 100, 1000)
CONTENDERS = ("bare", "ours", "threads")
BROKEN = ("reset", "hang", "fail", "error")
QUESTION = "Are you well?"
BODY = {"inputs": {"text": QUESTION}, "user": "bench", "response_mode": "streaming"}


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
    from difyops.broadcast.engine import Ended, EngineOptions, broadcast
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
        if isinstance(event, Ended) and event.answer.ok:
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


def main(rounds: int) -> None:
    """Print the table."""
    server = subprocess.Popen([sys.executable, str(HERE / "raw_server.py")], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    print("targets  contender  wall s  x bare  cpu s  x bare  memory MB  answers  most in flight")
    try:
        for count in SIZES:
            rows = measured(url, rounds, *((name, count, 0.0) for name in CONTENDERS))
            for name, row in zip(CONTENDERS, rows, strict=True):
                _print(name, count, row, rows[0])
        print(f"threads / ours at {SIZES[-1]}: {rows[2]['wall'] / rows[1]['wall']:.1f}")
        whole, mixed = measured(url, rounds, ("ours", 1000, 0.0), ("ours", 1000, 0.3))
        print(f"last healthy answer of 1000: {whole['wall']:.3f} s; with 30 % of them broken: {mixed['wall']:.3f} s")
    finally:
        server.terminate()
        server.wait()


def _print(name: str, count: int, row: dict[str, float], base: dict[str, float]) -> None:
    print(
        f"{count:7d}  {name:9s}  {row['wall']:6.3f}  {row['wall'] / base['wall']:6.2f}  {row['cpu']:5.2f}"
        f"  {row['cpu'] / base['cpu']:6.2f}  {row['memory']:9.0f}  {row['answers']:7.0f}  {row['most']:14.0f}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(contend(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))))
    else:
        main(rounds=1 if "--quick" in sys.argv else 5)
