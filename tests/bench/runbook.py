"""Figures of running a runbook: a hundred checks side by side, and what the engine and its evidence cost by themselves.

The server is the emulator in a process of its own, answering every call after 5 ms; the baseline of a hundred checks
is their slowest one and a hundred bare calls, one after the other, over the same connection.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from difyops.config import Context
from difyops.runbook.resources import Resources
from difyops.runbook.result import Pass, Result
from tests.bench.snapshot import THINK, server
from tests.bench.table import Figure
from tests.runbook.runbook_tools import book, carried, from_text, resources_at, step

HUNDRED = 100
RUNS = 5
_KEY = "BENCH_ADMIN_KEY"


def main() -> list[Figure]:
    """Measure everything and return the figures."""
    with server(8, THINK) as settings, tempfile.TemporaryDirectory() as folder:
        os.environ[_KEY] = settings["key"]
        context = Context(
            name="bench", url=settings["url"], admin_key=f"env:{_KEY}", workspace_id=settings["workspace"], timeout=10.0
        )
        return [
            asyncio.run(hundred_checks(context, Path(folder) / "hundred")),
            asyncio.run(own_share(Path(folder) / "own")),
        ]


async def hundred_checks(context: Context, folder: Path) -> Figure:
    """Run a hundred independent checks, each with one call, against 1.5 times the slowest plus the bare calls."""
    seen: list[tuple[float, float, float]] = []
    async with resources_at(folder, context) as resources:
        instance = await resources.instance()
        apps = await resources.apps()
        lines = (
            f"  - {{id: s{number}, check: app.access, with: {{apps: {apps[number % len(apps)].id}, keys: false}}}}\n"
            for number in range(HUNDRED)
        )
        made = replace(from_text("runbook: trial\ntitle: T\nwhy: W\nsteps:\n" + "".join(lines)), parallel=16)
        for _ in range(RUNS):
            began = time.perf_counter()
            for number in range(HUNDRED):
                await instance.console.app(apps[number % len(apps)].id)
            bare = time.perf_counter() - began
            began = time.perf_counter()
            record = await carried(made, resources)
            whole = time.perf_counter() - began
            assert record.verdict == "pass", record.steps
            seen.append((whole, max(item.seconds for item in record.steps), bare))
    whole, slowest, bare = sorted(seen, key=lambda item: item[0] / (1.5 * item[1] + item[2]))[RUNS // 2]
    return Figure(
        name=f"{HUNDRED} independent checks / (1.5 x slowest check + {HUNDRED} bare calls)",
        value=whole / (1.5 * slowest + bare),
        limit=1.0,
        note=f"{whole:.2f} s / (1.5 x {slowest:.2f} s + {bare:.2f} s)",
    )


async def own_share(folder: Path) -> Figure:
    """Run a hundred checks that take no time: what is left is scheduling, evidence and the record."""
    made = book(*(step(f"s{number}", _at_once) for number in range(HUNDRED)))
    seen: list[float] = []
    async with resources_at(folder) as resources:
        for _ in range(RUNS):
            began = time.perf_counter()
            await carried(made, resources)
            seen.append((time.perf_counter() - began) / HUNDRED * 1000)
    return Figure(
        name="engine's own share per check (ms)", value=statistics.median(seen), limit=2.0, note="evidence included"
    )


async def _at_once(resources: Resources) -> Result:
    return Pass(text="there")
