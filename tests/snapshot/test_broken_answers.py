"""No answer, however damaged, ends in a traceback or in a loss that another answer contradicts. A sample by seed.

The whole of it (over 5,000 damaged answers) runs with ``make bench``.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests.snapshot.broken_answers import Bench, Found

SEED, SAMPLE = 20261126, 60


async def test_damaged_answers_lose_nothing_that_is_contradicted(tmp_path: Path) -> None:
    bench = await Bench.made(tmp_path)
    every = bench.pairs()
    assert len(every) > 5_000
    found = Found()
    for case, verb in random.Random(SEED).sample(every, SAMPLE):
        await bench.check(case, verb, found)
    assert found.wrong == []
    assert found.tried > SAMPLE // 2
