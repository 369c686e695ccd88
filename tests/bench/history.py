"""History and performance: calls that a sync needs, kills, others' answer times, queries over many rows."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from difyops.api import run_feed
from difyops.api.instance import ConnectOptions, connect
from difyops.clock import SystemClock
from difyops.config import Context
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.history import windows
from difyops.history.store import History
from difyops.history.sync import Synced, SyncRequest, sync
from difyops.perf.facts import Scope
from difyops.perf.quick import timings
from tests.bench.table import Figure

DAY = 86400.0
CONTEXT = "bench"


class Killed(BaseException):
    """The process ends here."""


def main() -> list[Figure]:
    """Measure everything."""
    os.environ["BENCH_PASSWORD"] = Emulator().password
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        return [
            *hundred_thousand(folder / "many"), *fifty_kills(folder / "kills"), *others(folder / "others"),
            *sqlite_rows(folder / "rows"), *duckdb_rows(folder / "million", 1_000_000, 0.3, 0.8),
            *duckdb_rows(folder / "sample", 1_000_000, 1.0, None, "[1.0, 0.2, 0.05][1 + i % 3]"),
            *duckdb_rows(folder / "ten", 10_000_000, 3.0, 3.0),
        ]  # fmt: skip


def full(count: int, **options) -> tuple[Emulator, float]:
    """Return an emulator with so many runs in a week that is dense by day and thin by night."""
    emulator = Emulator(**options)
    now = time.time()
    app = emulator.app_named("wf-echo")
    for day in range(7):
        for share, start, hours in ((0.8, 8, 10), (0.2, 18, 14)):
            since = now - (7 - day) * DAY + start * 3600 - 8 * 3600
            until = min(since + hours * 3600, now - 300)
            plan = Past(count=int(count / 7 * share), since=since, until=until, seed=day * 100 + start)
            load_past(emulator.instance, app, plan)
    return emulator, now


async def synced(emulator: Emulator, state: Path, url: str | None = None, **fields) -> Synced:
    context = Context(name=CONTEXT, url=url or "http://emulator.test", source="bench", email=emulator.email,
                      password="env:BENCH_PASSWORD")  # fmt: skip
    carrier = None if url else httpx.ASGITransport(emulator.app, raise_app_exceptions=False)
    instance = await connect(context, ConnectOptions(state=state, carrier=carrier))
    try:
        apps = tuple([app async for app in instance.console.apps() if app.name == "wf-echo"])
        request = SyncRequest(**{"apps": apps, "state": state, "back": 8 * DAY, "nodes": False, **fields})
        with History.open(state) as history:
            return await sync(instance, history, request, clock=SystemClock())
    finally:
        await instance.close()


def hundred_thousand(state: Path) -> list[Figure]:
    emulator, _ = full(100_000)
    rows = len(emulator.app_named("wf-echo").runs)
    with emulator.listening() as url:
        emulator.control.reset_counts()
        began = time.perf_counter()
        found = asyncio.run(synced(emulator, state, url, max_calls=100_000))
        took = time.perf_counter() - began
        most = emulator.control.max_in_flight
    with History.open(state) as history:
        kept = history.one("SELECT count(*) FROM run")
    return [
        Figure("history: list calls for 100,000 runs / (rows / 100)", found.calls / (rows / 100), 1.1,
               f"{found.calls} calls for {rows} rows, {kept} kept, {took:.0f} s"),
        Figure("history: rows missing after it", rows - kept, 0),
        Figure("history: calls in flight at most", most, 2),
    ]  # fmt: skip


def fifty_kills(state: Path) -> list[Figure]:
    emulator, _ = full(5000)
    runs = emulator.app_named("wf-echo").runs
    real, left, gaps, doubles, killed = run_feed.log_page, 0, 0, 0, 0

    async def page(*args, **fields):
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return await real(*args, **fields)

    windows.log_page = page  # type: ignore[attr-defined]
    try:
        for point in range(1, 51):
            left = point
            place = state / str(point)
            try:
                asyncio.run(synced(emulator, place))
            except Killed:
                killed += 1
            gaps += _uncovered(place, runs)
            left = 0
            asyncio.run(synced(emulator, place))
            gaps += _uncovered(place, runs)
            with History.open(place) as history:
                doubles += history.one("SELECT count(*) FROM run") - len(runs)
    finally:
        windows.log_page = real  # type: ignore[attr-defined]
    return [
        Figure("history: gaps that pass for covered after 50 kills", gaps, 0, f"{killed} kills, each resumed once"),
        Figure("history: rows too many or too few after them", abs(doubles), 0),
    ]


def _uncovered(place: Path, runs) -> int:
    with History.open(place) as history:
        kept = {row[0] for row in history.all("SELECT id FROM run")}
        covered = history.all("SELECT t0, t1 FROM covered")
    return sum(any(t0 <= run.logged_at <= t1 for t0, t1 in covered) and run.id not in kept for run in runs)


def others(state: Path, rounds: int = 4) -> list[Figure]:
    """Ask an instance that answers in 5 ms, from a process of our own: by turns while it is synced and while not."""
    quiet: list[float] = []
    busy: list[float] = []
    calls, took = 0, 0.0
    with multiprocessing.Pool(1) as one, multiprocessing.Pool(1) as two:
        port = one.apply(_start_instance, (20_000,))
        url = f"http://127.0.0.1:{port}"
        for number in range(rounds):
            quiet += _asked(url, 3.0, lambda: False)
            going = two.apply_async(_sync_in_process, (url, str(state / str(number))))
            busy += _asked(url, 120.0, going.ready)
            made, seconds = going.get(1200)
            calls, took = calls + made, took + seconds
    p95 = [sorted(times)[int(0.95 * len(times))] * 1000 for times in (quiet, busy)]
    return [
        Figure("history: p95 of others' calls during a sync, ms", p95[1], 20,
               f"{p95[0]:.1f} ms without, by turns; {len(busy)} calls of others during {rounds} syncs, each of"
               f" {calls // rounds} calls in {took / rounds:.1f} s")
    ]  # fmt: skip


def _start_instance(count: int) -> int:
    emulator, _ = full(count, delay=0.005)
    holder = emulator.listening()
    url = holder.__enter__()
    globals()["_kept"] = holder
    return int(url.rpartition(":")[2])


def _sync_in_process(url: str, state: str) -> tuple[int, float]:
    os.environ["BENCH_PASSWORD"] = Emulator().password
    began = time.perf_counter()
    found = asyncio.run(synced(Emulator(), Path(state), url, max_calls=100_000))
    return found.calls, time.perf_counter() - began


def _asked(url: str, seconds: float, over: Callable[[], bool]) -> list[float]:
    times, until = [], time.perf_counter() + seconds
    with httpx.Client(base_url=url) as client:
        client.get("/console/api/setup")
        while time.perf_counter() < until and not over():
            began = time.perf_counter()
            client.get("/console/api/setup")
            times.append(time.perf_counter() - began)
            time.sleep(0.01)
    return times


def sqlite_rows(state: Path, count: int = 100_000) -> list[Figure]:
    with History.open(state) as history, history.changing() as connection:
        runs = count // 8
        connection.executemany(
            "INSERT INTO run (context, app, id, source, status, started, logged, elapsed, version, tokens, steps,"
            " exceptions, error_kind, user)"
            " VALUES ('bench', 'a', ?, 'app-run', 'succeeded', ?, ?, 3, 'v', 9, 8, 0, '', '')",
            [(f"r{n}", float(n), float(n)) for n in range(runs)],
        )
        connection.executemany(
            "INSERT INTO sample VALUES ('bench', 'a', ?, 'all', 1.0, 0)", [(f"r{n}",) for n in range(runs)]
        )
        connection.executemany(
            "INSERT INTO node (context, app, run, id, idx, node, type, title, status, started, elapsed, attempt,"
            " tokens, container) VALUES ('bench', 'a', ?, ?, ?, ?, 'llm', 't', 'succeeded', ?, ?, 0, 5, '')",
            [
                (f"r{n // 8}", f"n{n}", n % 8, f"node{n % 40}", float(n // 8), (n * 7919 % 1000) / 100)
                for n in range(count)
            ],
        )
    with History.open(state) as history:
        began, busy = time.perf_counter(), time.process_time()
        timings(history, scope(count))
        took, busy = time.perf_counter() - began, time.process_time() - busy
    return [Figure("perf: percentiles of 40 nodes over 100,000 rows in SQLite, s", took, 2.0, f"CPU {busy:.2f} s")]


def scope(count: int) -> Scope:
    return Scope(context=CONTEXT, app="a", name="a", since=0.0, until=float(count))


def duckdb_rows(state: Path, count: int, limit: float, whole: float | None, chance: str = "1.0") -> list[Figure]:
    since, now = packed_rows(state, count, chance)
    asked = Scope(context=CONTEXT, app="a", name="a", since=since - 1, until=now)
    times = []
    with History.open(state) as history:
        for _ in range(4):
            began = time.perf_counter()
            found = timings(history, asked)
            times.append(time.perf_counter() - began)
    assert sum(item.n for item in found.values()) == count
    which = "" if chance == "1.0" else " of a sample with unequal chances"
    name = f"perf: the same over {count:,} rows{which} in Parquet (DuckDB, warm), s"
    figures = [Figure(name, min(times[1:]), limit)]
    if whole is not None:
        figures.append(whole_command(state, "nodes", count, whole))
        figures += [whole_command(state, verb, count, 3.0) for verb in ("summary", "trend")]
    return figures


def packed_rows(state: Path, count: int, chance: str = "1.0") -> tuple[float, float]:
    """Write a history of so many node rows in one packed month; return when it begins, and now."""
    import duckdb

    from difyops.history.archive import columns_of

    now = time.time()
    since = now - 6 * DAY
    month = time.strftime("%Y-%m", time.gmtime(since))
    with History.open(state) as history, history.changing() as connection:
        connection.execute("INSERT INTO app VALUES ('bench', 'a', 'a', 'workflow', NULL)")
        for table in ("run", "node"):
            folder = f"{table}/context=bench/app=a/month={month}"
            (history.packs / folder).mkdir(parents=True)
            connection.execute("INSERT INTO pack VALUES ('bench', 'a', ?, ?, 0, ?)", [month, table, folder])
    made = {
        "run": "md5(i::VARCHAR) AS id, 'app-run' AS source,"
        " 'succeeded' AS status, 3.0::DOUBLE AS elapsed, 'v' AS version,"
        f" 9 AS tokens, 8 AS steps, 0 AS exceptions, {since}::DOUBLE + i * 0.001::DOUBLE AS started,"
        f" 'all' AS reason, {chance}::DOUBLE AS chance, '' AS error_kind, '' AS user",
        "node": "md5((i // 8)::VARCHAR) AS run, 'n' || i AS id,"
        " i % 8 AS idx, 'node' || (i % 40) AS node, 'llm' AS type,"
        f" 't' AS title, 'succeeded' AS status, {since}::DOUBLE + (i // 8) * 0.001::DOUBLE AS started,"
        " (hash(i) % 10000) / 1000.0::DOUBLE AS elapsed, 0 AS attempt, '' AS container, 5 AS tokens",
    }
    with duckdb.connect() as connection:
        for table, text in made.items():
            known = text.split(" AS ")
            names = {part.split(",")[0].strip().split(" ")[0] for part in known[1:]}
            rest = "".join(f", NULL::VARCHAR AS {name}" for name in columns_of(table)
                           if name not in names and name not in ("context", "app"))  # fmt: skip
            size = count // 8 if table == "run" else count
            target = state / "history" / table / "context=bench" / "app=a" / f"month={month}" / "data_0.parquet"
            connection.execute(f"COPY (SELECT {text}{rest} FROM range({size}) t(i)) TO '{target}' (FORMAT parquet)")
    return since, now


def whole_command(state: Path, verb: str, count: int, limit: float) -> Figure:
    """Run ``difyops perf VERB`` in a process of its own, as somebody at a terminal does; the best of three."""
    words = ["-m", "difyops", "perf", verb, "a", "-c", CONTEXT, "-o", "json"]
    (state / "config" / "difyops").mkdir(parents=True, exist_ok=True)
    settings = "contexts: {bench: {url: 'http://127.0.0.1:9'}}\n"
    (state / "config" / "difyops" / "config.yaml").write_text(settings, encoding="utf-8")
    environment = {**os.environ, "DIFYOPS_STATE": str(state), "XDG_CONFIG_HOME": str(state / "config")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as where it is installed
    took, busy = [], []
    for _ in range(4):
        began, before = time.perf_counter(), os.times()
        done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, check=False)
        took.append(time.perf_counter() - began)
        busy.append(sum(os.times()[2:4]) - sum(before[2:4]))
        assert done.returncode == 0, done.stderr.decode()
    name = f"perf: the whole command perf {verb} over {count:,} node rows, s"
    return Figure(name, min(took), limit, f"CPU {min(busy):.2f} s")
