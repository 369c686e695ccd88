"""Damaged answers: every place of every answer broken in a dozen ways, each with every verb that reads it.

On 1.13.0 and, with an agent app, on 1.16.1. A sample of it runs in the suite; the figure here is of all of them.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.bench.table import Figure
from tests.snapshot.broken_answers import Bench, Found

LEAST, MOST, SEED = 5_000, 6_000, 20261126


def main() -> list[Figure]:
    """Return how many damaged answers were tried, and how many broke a promise (the first are printed)."""
    figures = []
    for version in ("1.13.0", "1.16.1"):
        found = asyncio.run(_tried(version, MOST))
        for line in found.wrong[:20]:
            print(line, file=sys.stderr)
        figures += [
            Figure(f"damaged answers tried ({version})", found.tried, LEAST, "of those that were read", least=True),
            Figure(f"contradicted losses and tracebacks ({version})", len(found.wrong), 0),
        ]
    return figures


async def _tried(version: str, most: int) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        bench, found = await Bench.made(Path(folder), version), Found()
        every = bench.pairs()
        random.Random(SEED).shuffle(every)
        for case, verb in every:
            if found.tried >= most:
                break
            await bench.check(case, verb, found)
    return found
