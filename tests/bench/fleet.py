"""Figures of many instances: one snapshot of all of them, and workers that share them out.

``python -m tests.bench fleet``. The instances are ``prepared``: one process answers from bytes after 50 ms, so that
the processors are there for what is measured. On a busy machine CPU seconds say more than the wall clock.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.prepared import counted, prepared
from tests.bench.table import Figure
from tests.bench.whole import OURS, Times, once

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
DELAY = 0.05
INSTANCES, APPS = 10, 100
WORKERS, SHARED, SMALL = 8, 40, 25
_WORK = """
import json
rows = {str(number): [number, str(number) * 3, {"a": number}] for number in range(3000)}
for _ in range(60):
    str(json.loads(json.dumps(rows)))
"""


def main() -> list[Figure]:
    """Measure both."""
    with tempfile.TemporaryDirectory() as folder:
        return [*at_once(Path(folder)), *in_shards(Path(folder))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder with the configuration of all instances; what they answer is prepared by a first look."""

    folder: Path
    made: list[dict[str, str]]
    once_each: list[Counter[str]] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, made: list[dict[str, str]]) -> Place:
        folder.mkdir()
        lines = [
            f'  c{number}: {{url: "{item["url"]}", email: {item["email"]}, password: "env:BENCH_PASSWORD"}}\n'
            for number, item in enumerate(made)
        ]
        (folder / "fleet.yaml").write_text("contexts:\n" + "".join(lines))
        place = cls(folder=folder, made=made)
        place.take("first-look", "-c", "all")
        place.once_each.extend(place.asked()[1])
        return place

    def take(self, name: str, *which: str, state: str | None = None) -> Times:
        """Take a first snapshot of some contexts into the store of that name."""
        own = {
            "BENCH_PASSWORD": self.made[0]["password"], "DIFYOPS_CONFIG": str(self.folder / "fleet.yaml"),
            "DIFYOPS_STATE": str(self.folder / f"state-{state or name}"), "DIFYOPS_STORE": str(self.folder / name),
        }  # fmt: skip
        return once((*OURS, "snapshot", "create", "-q", *which), own)

    def asked(self) -> tuple[float, list[Counter[str]]]:
        """Return the CPU seconds of the servers, and what each was asked."""
        return counted(self.made[0]["url"])


def at_once(folder: Path) -> list[Figure]:
    """Take a snapshot of ten instances at once, and of each of three alone."""
    with prepared(INSTANCES, APPS, DELAY) as made:
        place = Place.of(folder / "ten", made)
        alone = [place.take(f"one{number}", "-c", f"c{number}") for number in range(3)]
        together = [place.take(f"all{number}", "-c", "all") for number in range(ROUNDS)]
    slowest = max(wall for wall, _ in alone)
    wall, cpu = (statistics.median(column) for column in zip(*together, strict=True))
    one = statistics.median(cpu for _, cpu in alone)
    said = f"{wall:.1f} s / {slowest:.1f} s; {cpu:.1f} CPU s / {one:.1f} CPU s"
    name = f"snapshot of {INSTANCES} instances of {APPS} apps that answer in 50 ms / the slowest of three alone"
    return [Figure(name=name, value=wall / slowest, limit=1.3, note=said)]


def in_shards(folder: Path) -> list[Figure]:
    """Let eight workers take shards of forty instances, and one of them a shard alone.

    Linear is eight times the calls a second of the worker alone. The machine allows no more calls than its processors
    can carry, of workers and servers, by the CPU seconds that a call costs the worker alone; and of as many processes
    at once each needs more of them than one alone, which ``crowding`` measures on a program that is not ours.
    """
    with prepared(SHARED, SMALL, DELAY) as made:
        place = Place.of(folder / "forty", made)
        alone = [_workers(place, f"alone{number}", [number]) for number in range(ROUNDS)]
        together = [_workers(place, f"together{number}", range(WORKERS)) for number in range(ROUNDS)]
    rate = statistics.median(run.calls / run.wall for run in alone)
    cost = statistics.median(run.cpu / run.calls for run in alone)
    crowded = statistics.median(crowding(WORKERS) for _ in range(ROUNDS))
    allowed = min(WORKERS * rate, (os.cpu_count() or 1) / (cost * crowded))
    reached = statistics.median(run.calls / run.wall for run in together)
    costs = statistics.median(run.cpu / run.calls for run in together)
    said = (
        f"{reached:.0f} calls/s of {allowed:.0f}; linear {WORKERS * rate:.0f};"
        f" CPU ms a call {costs * 1e3:.2f}, alone {cost * 1e3:.2f}, crowding {crowded:.2f}"
    )
    name = f"{WORKERS} workers on shards of {SHARED} instances, calls a second / linear over what the machine allows"
    twice = sum(run.twice for run in together)
    return [
        Figure(name=name, value=reached / allowed, limit=0.85, least=True, note=said),
        Figure(name="calls of theirs that one worker alone would not have made", value=twice, limit=0),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Some workers at once: wall and CPU seconds (the servers' too), calls, and how many of them were too many."""

    wall: float
    cpu: float
    calls: int
    twice: int


def _workers(place: Place, name: str, numbers: Sequence[int]) -> Run:
    """Start the workers with these numbers at once, each with a state of its own and one store, as pods are."""

    def work(number: int) -> Times:
        return place.take(name, "-c", "all", "--shard", f"{number}/{WORKERS}", state=f"{name}-{number}")

    servers, before = place.asked()
    usage, began = _children(), time.perf_counter()
    with ThreadPoolExecutor(len(numbers)) as pool:
        list(pool.map(work, numbers))
    wall, spent = time.perf_counter() - began, _children() - usage
    servers_then, then = place.asked()
    made = [after - earlier for after, earlier in zip(then, before, strict=True)]
    twice = sum((calls - once_each).total() for calls, once_each in zip(made, place.once_each, strict=True))
    return Run(wall=wall, cpu=spent + servers_then - servers, calls=sum(map(Counter.total, made)), twice=twice)


def crowding(processes: int) -> float:
    """Return what a piece of work costs each of so many processes at once, in CPU seconds, over what it costs one."""
    return _cost_each(processes) / _cost_each(1)


def _cost_each(processes: int) -> float:
    before = _children()
    running = [subprocess.Popen([sys.executable, "-c", _WORK]) for _ in range(processes)]
    for process in running:
        process.wait()
    return (_children() - before) / processes


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
