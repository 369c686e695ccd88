"""Figures of the main job, as ratios against raw baselines in the same run. Whole processes; medians of a few runs.

The server is the emulator in a process of its own, answering every call after 5 ms (a real one takes 5 to 60,
measured); the baseline is a bare aiohttp loop over the same calls, four in flight, plus
one ``git fast-import`` of what came.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from difyops.clock import SystemClock
from difyops.dsl.diff import diff
from difyops.dsl.load import dump_yaml, load_dsl
from difyops.git_store import GitStore
from difyops.sealing.access import Access
from difyops.sealing.age import new_identity
from difyops.snapshot.seals import NewSeal, set_recipients
from tests.bench.table import Figure
from tests.snapshot.colleague import Colleague

ROOT = Path(__file__).parents[2]
APPS = int(os.environ.get("BENCH_APPS", "1000"))
THINK = 0.005
CHANGED = 10


def main() -> list[Figure]:
    """Measure everything and return the figures."""
    with server(APPS, THINK) as settings, tempfile.TemporaryDirectory() as folder:
        figures = first_and_second(settings, Path(folder))
        return [
            *figures,
            unchanged_drift(settings, Path(folder)),
            sealed(settings, Path(folder)),
            *startup(),
            big_diff(),
        ]


@contextmanager
def server(apps: int, think: float) -> Iterator[dict[str, str]]:
    """Run the emulator in a process of its own."""
    program = (
        "import json, sys, time\n"
        "from difyops.emulator import Emulator\n"
        f"e = Emulator(apps={apps}, delay={think})\ne.warm()\n"
        "with e.listening() as url:\n"
        "    print(json.dumps([url, e.email, e.password, e.admin_key, e.workspace_id]), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    url, email, password, key, workspace = json.loads(process.stdout.readline())
    try:
        yield {"url": url, "email": email, "password": password, "key": key, "workspace": workspace}
    finally:
        process.stdin.close()
        process.wait(20)


def first_and_second(settings: dict[str, str], folder: Path) -> list[Figure]:
    """Time a first snapshot against the bare loop, then one with ten changed apps."""
    bare = [timed([sys.executable, "-m", "tests.bench.bare", str(folder / f"bare{run}")], settings) for run in range(3)]
    first = []
    for run in range(3):
        first.append(timed(snapshot_command(folder / f"store{run}", folder / f"state{run}"), settings))
    store, state = folder / "store0", folder / "state0"
    peak = max(item[1] for item in first)
    first_git = git_seconds(store)
    change_some(settings)
    second = timed(snapshot_command(store, state), settings)
    second_git = git_seconds(store)
    ratio = statistics.median(item[0] for item in first) / statistics.median(item[0] for item in bare)
    return [
        Figure(
            name=f"first snapshot of {APPS} apps / bare fetch of the same calls + fast-import",
            value=ratio,
            limit=1.3,
            note=f"{statistics.median(i[0] for i in first):.1f} s / {statistics.median(i[0] for i in bare):.1f} s",
        ),
        Figure(name="second snapshot, whole (seconds)", value=second[0]),
        Figure(name="peak memory of the first snapshot (MB)", value=peak / 1024, limit=200),
        Figure(
            name=f"writing a second snapshot with {CHANGED} changed apps / writing the first",
            value=second_git[0] / first_git[0],
            limit=0.1,
            note=f"{second_git[0]:.3f} s / {first_git[0]:.3f} s, plus {second_git[1]:.3f} s reading the first one",
        ),
    ]


def unchanged_drift(settings: dict[str, str], folder: Path) -> Figure:
    """Time ``drift`` against ``create`` on an instance where nothing changed since; whole processes, in turn."""

    def run(verb: str) -> float:
        words = [sys.executable, "-m", "difyops", "snapshot", verb, "-q", "--store", str(folder / "store0")]
        return timed(words, {**settings, "state": str(folder / "state0")})[0]

    run("create")
    pairs = [(run("drift"), run("create")) for _ in range(3)]
    drift, create = (statistics.median(column) for column in zip(*pairs, strict=True))
    name = f"drift of {APPS} unchanged apps / an unchanged create"
    return Figure(name=name, value=drift / create, limit=1.3, note=f"{drift:.1f} s / {create:.1f} s")


def sealed(settings: dict[str, str], folder: Path) -> Figure:
    """Time a first snapshot of all but one app into a store with two recipients, and into one without; in turn."""

    def run(number: int, *, recipients: bool) -> float:
        store, state = folder / f"sealed{number}{recipients}", folder / f"sealed-state{number}{recipients}"
        timed([*snapshot_command(store, state), "one"], settings)
        if recipients:
            held = GitStore.open(store)
            wanted = NewSeal(recipients=(str(new_identity().recipient), str(new_identity().recipient)))
            set_recipients(held, held.branches()[0], wanted, Access(state=state), SystemClock())
        return timed(snapshot_command(store, state), settings)[0]

    pairs = [(run(number, recipients=True), run(number, recipients=False)) for number in range(3)]
    with_seal, without = (statistics.median(column) for column in zip(*pairs, strict=True))
    name = f"first snapshot of {APPS} apps with recipients / without"
    return Figure(name=name, value=with_seal / without, limit=1.1, note=f"{with_seal:.1f} s / {without:.1f} s")


def snapshot_command(store: Path, state: Path) -> list[str]:
    """Return the command line of a snapshot that also writes down how long git took."""
    return [sys.executable, "-m", "tests.bench.timed_snapshot", str(store), str(state)]


def git_seconds(store: Path) -> tuple[float, float]:
    """Read what ``timed_snapshot`` wrote down: seconds of writing and of reading the last snapshot."""
    writing, reading = (store.parent / f"{store.name}.git-seconds").read_text().split()
    return float(writing), float(reading)


def timed(command: list[str], settings: dict[str, str]) -> tuple[float, int]:
    """Run a whole process; return wall seconds and its peak memory in KB."""
    environment = {
        **os.environ,
        "DIFY_BASE_URL": settings["url"],
        "DIFY_EMAIL": settings["email"],
        "DIFY_PASSWORD": settings["password"],
        "BENCH_KEY": settings["key"],
        "BENCH_WORKSPACE": settings["workspace"],
        "PYTHONPATH": str(ROOT),
        **({"DIFYOPS_STATE": settings["state"]} if "state" in settings else {}),
    }
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.perf_counter() - started, usage.ru_maxrss


def change_some(settings: dict[str, str]) -> None:
    """Edit and publish ten workflows."""
    colleague = Colleague(settings["url"], settings["key"], settings["workspace"])
    rows: list[dict[str, Any]] = []
    page = 1
    while len(rows) < CHANGED:
        found = colleague.call("GET", f"/apps?limit=100&page={page}&mode=workflow")
        rows += found["data"]
        page += 1
        if not found["has_more"]:
            break
    for row in rows[:CHANGED]:
        colleague.edit(row["id"], lambda document: document["graph"]["nodes"][0]["data"].update(title="changed"))
        colleague.publish(row["id"])


def startup() -> list[Figure]:
    """Time ``--version`` and ``--help`` against importing typer alone."""
    base = process_seconds([sys.executable, "-c", "import typer"])
    version = process_seconds([sys.executable, "-m", "difyops", "--version"])
    shown = process_seconds([sys.executable, "-m", "difyops", "--help"])
    return [
        Figure(name='difyops --version / python -c "import typer"', value=version / base, limit=1.3),
        Figure(name='difyops --help / python -c "import typer"', value=shown / base, limit=2.5),
    ]


def process_seconds(command: list[str]) -> float:
    """Return the median user+system seconds of a command over nine runs."""
    found = []
    for _ in range(9):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found)


def big_diff() -> Figure:
    """Load and compare two DSLs of 1 MB."""
    prompt = {"role": "system", "text": "word " * 180}
    nodes: list[dict[str, Any]] = [
        {
            "id": f"n{number}",
            "type": "custom",
            "position": {"x": number, "y": 0},
            "data": {"type": "llm", "title": f"LLM {number}", "prompt_template": [prompt]},
        }
        for number in range(900)
    ]
    edges = [{"id": f"e{n}", "source": f"n{n}", "target": f"n{n + 1}", "sourceHandle": "source"} for n in range(899)]
    document = {"workflow": {"graph": {"nodes": nodes, "edges": edges}, "features": {}}}
    one = dump_yaml(document)
    nodes[450]["data"]["prompt_template"] = [{"role": "system", "text": "another prompt"}]
    other = dump_yaml(document)
    started = time.perf_counter()
    changes = diff(load_dsl(one)["workflow"], load_dsl(other)["workflow"])
    seconds = time.perf_counter() - started
    assert len(changes) == 1
    size = len(one) / 2**20
    return Figure(name=f"semantic diff of two DSLs of {size:.1f} MB (seconds)", value=seconds, limit=1.0)
