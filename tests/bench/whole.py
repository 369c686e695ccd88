"""Figures of whole commands, start-up included, against bare loops over the same calls; processes in turn, medians.

``python -m tests.bench whole``. The broadcast's server is ``raw_server``, in a process of its own, which answers runs
after 200 ms and everything else at once (its share of the processors is told). On a busy machine CPU seconds say more
than the wall clock: both are shown.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from difyops import secret_text
from difyops.outcome import Outcome, Table
from difyops.render import _body
from difyops.render.look import Look
from tests.bench.snapshot import ROOT
from tests.bench.table import Figure

HERE = Path(__file__).resolve().parent
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
OURS = (sys.executable, "-m", "difyops")
BARE = (sys.executable, str(HERE / "whole_bare.py"))
Times = tuple[float, float]


def main() -> list[Figure]:
    """Measure everything and return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            *broadcasts(1000, 1.5, Path(folder)),
            *broadcasts(30, 1.2, Path(folder)),
            *secrets(1000, 2.0, Path(folder)),
            *rendering(),
            *tab(Path(folder)),
        ]


def once(words: Sequence[str], more: Mapping[str, str]) -> Times:
    """Run a whole process; return its wall and CPU seconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, (words, done.stderr[-500:])
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def in_turn(mine: Sequence[str], base: Sequence[str], more: Mapping[str, str]) -> tuple[Times, Times]:
    """Run two commands by turns; return the median wall and CPU seconds of each."""
    pairs = [(once(mine, more), once(base, more)) for _ in range(ROUNDS)]
    one, other = ([pair[place] for pair in pairs] for place in (0, 1))
    return _medians(one), _medians(other)


def _medians(runs: Sequence[Times]) -> Times:
    walls, cpus = zip(*runs, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def broadcasts(agents: int, limit: float, folder: Path) -> Iterator[Figure]:
    """Compare ``difyops broadcast --to all`` with list, key, form and run of each app in one aiohttp loop."""
    with raw_server(agents) as url:
        more = reached(url, folder / f"state{agents}")
        words = (*OURS, "broadcast", "Are you well?", "--to", "all")
        started, before = time.perf_counter(), counted(url)["cpu"]
        mine, base = in_turn(words, (*BARE, "broadcast"), more)
        share = (counted(url)["cpu"] - before) / (time.perf_counter() - started)
    said = f"{mine[0]:.2f} s / {base[0]:.2f} s; the server took {share:.0%} of a processor"
    name = f"difyops broadcast to {agents}, whole process / bare aiohttp over the same calls"
    yield Figure(name=f"{name}, wall", value=mine[0] / base[0], limit=limit, note=said)
    yield Figure(name=f"{name}, CPU", value=mine[1] / base[1], note=f"{mine[1]:.2f} s / {base[1]:.2f} s")


def secrets(apps: int, limit: float, folder: Path) -> Iterator[Figure]:
    """Compare ``difyops secret list`` with list, live version and keys of each app in one aiohttp loop."""
    with raw_server(apps) as url:
        more = reached(url, folder / "secrets")
        counted(url)
        mine, base = in_turn((*OURS, "secret", "list"), (*BARE, "keys"), more)
        calls = counted(url)["calls"] / ROUNDS / 2
    name = f"difyops secret list of {apps} apps, whole process / bare aiohttp over the same {calls:.0f} calls"
    yield Figure(name=f"{name}, wall", value=mine[0] / base[0], limit=limit, note=f"{mine[0]:.2f} s / {base[0]:.2f} s")
    yield Figure(name=f"{name}, CPU", value=mine[1] / base[1], note=f"{mine[1]:.2f} s / {base[1]:.2f} s")


def reached(url: str, state: Path) -> dict[str, str]:
    """Return the environment in which the raw server is the instance."""
    return {
        "DIFY_BASE_URL": url,
        "DIFY_ADMIN_KEY": "admin-key-of-the-bench",
        "DIFY_WORKSPACE_ID": str(uuid.UUID(int=1)),
        "DIFYOPS_STATE": str(state),
    }


@contextlib.contextmanager
def raw_server(apps: int) -> Iterator[str]:
    """Run the server that costs nearly nothing, in a process of its own."""
    words = [sys.executable, str(HERE / "raw_server.py"), "0.2", str(apps)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


def counted(url: str) -> dict[str, float]:
    """Return what the server counted since the last look."""
    with urllib.request.urlopen(f"{url}/__counts", timeout=60) as answer:
        return dict(json.load(answer))


def rendering() -> Iterator[Figure]:
    """Draw a thousand rows where a thousand secrets are known."""
    for number in range(1000):
        secret_text.remember(f"app-{uuid.UUID(int=number * 7919).hex[:24]}")
    rows = [
        (f"agent {number}", str(uuid.UUID(int=number)), "answered", number, 1.5 * number, None, "They are well. " * 4)
        for number in range(1000)
    ]
    table = Table(columns=("agent", "id", "status", "tokens", "seconds", "nothing", "answer"), rows=rows)
    data = [dict(zip(table.columns, row, strict=True)) for row in rows]
    outcome = Outcome(kind="bench", data=data, blocks=[table])
    for form, width in (("table", 80), ("table", 140), ("plain", 80), ("markdown", 80), ("json", 80), ("yaml", 80)):
        took = []
        for _ in range(3):
            started = time.process_time()
            _body(outcome, Look(form=form, colour=True, width=width))
            took.append(time.process_time() - started)
        name = f"1,000 rows drawn as {form}" + (f" of {width} columns" if form == "table" else "")
        yield Figure(name=f"{name} (CPU s)", value=min(took), limit=0.2)
    secret_text.forget_all()


def tab(folder: Path) -> Iterator[Figure]:
    """Press Tab: once as the first time, then as ever after."""
    line = {"COMP_WORDS": "difyops snapshot ro", "COMP_CWORD": "2", "_DIFYOPS_COMPLETE": "complete_bash"}
    more = {**line, "DIFYOPS_STATE": str(folder / "tab")}
    once(OURS, more)
    while not (folder / "tab" / "completion-tree.json").exists():
        time.sleep(0.1)
    runs = [once(OURS, more) for _ in range(2 * ROUNDS)]
    wall, cpu = _medians(runs)
    yield Figure(name="Tab after the first one (CPU s)", value=cpu, limit=0.1, note=f"{wall:.3f} s by the clock")
