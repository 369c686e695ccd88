"""A full disk, answers that slow down, repeats of model calls, and starting without the heavy parts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.errors import RateLimited, StoreError
from difyops.history.gaps import Gap, gaps
from difyops.history.pace import Pace, SyncEnded, together
from difyops.history.store import History, Stretch
from tests.history.conftest import DAY, Sync, now


async def test_a_full_disk_is_one_sentence_and_nothing_half_is_kept(
    emulator: Emulator, history: History, synced: Sync
) -> None:
    runs = load_past(
        emulator.instance, emulator.app_named("wf-echo"), Past(count=1500, since=now() - DAY, until=now() - 300)
    )
    pages = history.one("PRAGMA page_count")
    history.one(f"PRAGMA max_page_count = {pages + 30}")
    with pytest.raises(StoreError, match="No room left"):
        await synced("wf-echo", nodes=False)
    for t0, t1 in history.all("SELECT t0, t1 FROM covered"):
        kept = history.one("SELECT count(*) FROM run WHERE logged BETWEEN ? AND ?", [t0, t1])
        assert kept == sum(t0 <= run.logged_at <= t1 for run in runs)
    history.one("PRAGMA max_page_count = 1000000")
    assert (await synced("wf-echo", nodes=False)).error is None
    assert history.one("SELECT count(*) FROM run") == 1500


@dataclass
class Hands:
    """A clock that moves by what calls take and by what is slept."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


async def test_answers_that_take_twice_as_long_are_waited_for_and_well_again_is_seen() -> None:
    clock = Hands()
    pace = Pace(clock=clock, max_calls=1000)

    async def answer(seconds: float) -> None:
        clock.at += seconds

    async def calls(count: int, seconds: float) -> None:
        for _ in range(count):
            await pace.call(lambda: answer(seconds))

    await calls(40, 0.1)
    assert clock.slept == []
    await calls(60, 0.3)
    assert pace.wait > 0.3
    most, going = 0, 0

    async def seen() -> None:
        nonlocal most, going
        going += 1
        most = max(most, going)
        await asyncio.sleep(0)
        clock.at += 1.0
        going -= 1

    await together(pace.call(seen) for _ in range(4))
    assert most == 1  # one by one while it struggles
    assert pace.longest_wait <= 5.0
    await calls(200, 0.1)
    assert pace.wait == 0.0


async def test_the_budget_and_a_no_of_the_server_end_it() -> None:
    pace = Pace(clock=Hands(), max_calls=2)

    async def fine() -> int:
        return 1

    async def limited() -> int:
        raise RateLimited("Slow down.")

    assert await pace.call(fine) == 1
    with pytest.raises(SyncEnded) as stopped:
        await pace.call(limited)
    assert isinstance(stopped.value.error, RateLimited)
    with pytest.raises(SyncEnded) as spent:
        await pace.call(fine)
    assert spent.value.error is None


def test_gaps_are_what_no_stretch_covers() -> None:
    covered = [Stretch(t0=10, t1=20), Stretch(t0=30, t1=40)]
    assert gaps(covered, 0, 50) == [Gap(t0=0, t1=10), Gap(t0=20, t1=30), Gap(t0=40, t1=50)]
    assert gaps(covered, 12, 18) == []
    assert gaps(covered, 15, 35) == [Gap(t0=20, t1=30)]
    assert gaps([], 5, 5) == []
    assert gaps(covered, 45, 60) == [Gap(t0=45, t1=60)]


async def test_a_model_call_is_repeated_when_its_prompt_is(emulator: Emulator, history: History, synced: Sync) -> None:
    app = emulator.app_named("wf-echo")
    for run in load_past(emulator.instance, app, Past(count=30, since=now() - DAY, until=now() - 300, failing=0)):
        make = run.make_nodes

        def named_only(make=make):  # as newer servers do: the inputs of a model node are the model's name
            rows = make()
            for row in rows:
                row.inputs = {"model_name": "gpt-4o-mini"}
            return rows

        run.make_nodes = named_only
    await synced("wf-echo", share=1.0)
    hashes = history.one("SELECT count(DISTINCT input_hash) FROM node WHERE node = 'draft'")
    prompts = history.one("SELECT count(DISTINCT prompt_hash) FROM node WHERE node = 'draft'")
    assert hashes == prompts > 5


def test_help_loads_neither_duckdb_nor_history() -> None:
    code = (
        "import sys\nfrom difyops.cli.root import run\n"
        "for words in (['--help'], ['perf', '--help'], ['history', '--help'], ['perf', 'report', '--help']):\n"
        "    try:\n        run(words)\n    except SystemExit:\n        pass\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('duckdb', 'sqlite3') or m.startswith(('difyops.history',"
        " 'difyops.perf', 'difyops.statistics'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
