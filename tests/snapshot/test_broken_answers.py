"""No answer, however damaged, ends in a traceback or in a loss that another answer contradicts. A sample by seed.

The whole of it (over 5,000 damaged answers) runs with ``make bench``.
"""

from __future__ import annotations

import random
from pathlib import Path

import httpx
import pytest

from difyops.snapshot.take import TakeOptions, take
from tests.api.frozen import FrozenClock
from tests.snapshot.broken_answers import Bench, Found
from tests.snapshot.damage import Damaged

SEED, SAMPLE = 20261126, 8
ONCE_WRONG = {("GET /console/api/apps/ID", ("max_active_requests",), "to list")}


@pytest.mark.parametrize(("version", "route"), [("1.13.0", ""), ("1.16.1", "/agent")])
async def test_damaged_answers_lose_nothing_that_is_contradicted(tmp_path: Path, version: str, route: str) -> None:
    bench = await Bench.made(tmp_path, version)
    every = bench.pairs()
    assert len(every) > 5_000
    every = [pair for pair in every if route in pair[0].route]
    found = Found()
    once_wrong = [pair for pair in every if (pair[0].route, pair[0].place, pair[0].how) in ONCE_WRONG]
    for case, verb in [*once_wrong, *random.Random(SEED).sample(every, SAMPLE)]:
        await bench.check(case, verb, found)
    assert found.wrong == []
    assert found.tried > SAMPLE // 2


class Flaky(Damaged):
    """Every third answer is 502."""

    calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass two of three on."""
        Flaky.calls += 1
        if Flaky.calls % 3 == 0:
            return httpx.Response(502, content=b"<html>bad gateway</html>", headers={"content-type": "text/html"})
        return await super().handle_async_request(request)


async def test_a_flaky_server_gets_a_slower_second_pass(tmp_path: Path) -> None:
    bench = await Bench.made(tmp_path)
    instance = await bench.open(Flaky(bench.emulator, None))
    taken = await take(instance, None, TakeOptions(), clock=FrozenClock())
    assert taken.failed == ()
    assert taken.complete
    await instance.close()
