"""Releases: how seldom equal versions are told apart, how soon worse ones are, the way back, a promotion of a fleet."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from difyops.api.instance import ConnectOptions, connect
from difyops.clock import SystemClock
from difyops.config import Context
from difyops.emulator import Emulator
from difyops.history.failures import GOOD, OURS
from difyops.ledger import Ledger
from difyops.release.gates import FAIL, PASS, GateEvent, look
from difyops.release.plan import Gates, Shadow, WatchRules
from difyops.release.planning import PlanRequest
from difyops.release.promote.bindings import Bindings
from difyops.release.promote.plan import Promotion
from difyops.release.promote.run import carry_out, make_promotion
from difyops.release.run import ReleaseOptions
from difyops.statistics import FailureTest
from difyops.workspace import Workspace
from tests.bench.table import Figure
from tests.release.conftest import Rig, broken

RUNS, CALLS, APPS = 400, 5000, 100
OLD, MOST_WATCHED = 300, 100  # runs of the old version, and of the new one at most
MOST_SECONDS = 60.0


def main() -> list[Figure]:
    """Measure everything."""
    wrong = [sum(proven(seed, rate, rate, CALLS) is not None for seed in range(RUNS)) for rate in (0.01, 0.02, 0.05)]
    note = ", ".join(f"{count} at {rate} %" for count, rate in zip(wrong, (1, 2, 5), strict=True))
    large = statistics.median(proven(seed, 0.05, 0.5, CALLS) or CALLS for seed in range(RUNS))
    small = statistics.median(proven(seed, 0.05, 0.15, CALLS) or CALLS for seed in range(RUNS))
    back, plan, note_of_plan, changed = asyncio.run(_measured())
    return [
        Figure(f"% of {3 * RUNS} A/A releases stopped, {CALLS:,} looks each", 100 * sum(wrong) / (3 * RUNS), 1.0, note),
        Figure(
            f"% of {RUNS} A/A releases taken back by the whole judge (failures, times, tokens)",
            100 * sum(taken_back(seed, (0.01, 0.02, 0.05)[seed % 3]) for seed in range(RUNS)) / RUNS,
            1.0,
            "a look every 5 runs until it passes",
        ),
        Figure("calls of pairs until 5 -> 50 % failures are proven (median)", 2 * large, 50.0),
        Figure("calls of pairs until 5 -> 15 % failures are proven (median)", 2 * small, 330.0),
        Figure("s from a bad publish to the restored version", back, MOST_SECONDS, "emulator, traffic included"),
        Figure(f"s to plan the promotion of {APPS} apps", plan, 5.0, note_of_plan),
        Figure("ids, addresses and keys changed in the target", float(changed), 0.0),
    ]


def proven(seed: int, old: float, new: float, calls: int) -> int | None:
    """Return after how many paired calls the new version was proven worse, ``None`` for never."""
    dice, test = random.Random(seed), FailureTest(alpha=0.01)
    for number in range(calls):
        test.take_block(dice.random() < new, int(dice.random() < old), 1)
        if test.is_proven:
            return number + 1
    return None


def taken_back(seed: int, rate: float) -> bool:
    """Watch a version that is as good as the old one, as a release does; say whether it was taken back all the same."""
    dice, rules, failing = random.Random(seed), WatchRules(), 0

    def event(number: int) -> GateEvent:
        outcome = OURS if dice.random() < rate else GOOD
        return GateEvent(
            id=str(number), outcome=outcome, ended=float(number), seconds=dice.lognormvariate(1, 0.6),
            tokens=int(dice.lognormvariate(6, 0.8)),
        )  # fmt: skip

    old, new = [event(number) for number in range(OLD)], [event(number) for number in range(MOST_WATCHED)]
    for number in range(1, MOST_WATCHED // rules.least + 1):
        found = look(old, new[: number * rules.least], Gates(), number=number, wanted=rules.events)
        failing = failing + 1 if found.word == FAIL else 0
        if failing == 2 or found.word == PASS:
            break
    return failing == 2


async def _measured() -> tuple[float, float, str, int]:
    os.environ["EMULATED_PASSWORD"] = Emulator().password
    with tempfile.TemporaryDirectory() as folder:
        async with opened("dev", Emulator(), Path(folder) / "a") as rig:
            back = await way_back(rig)
        source, target = Emulator(apps=APPS), Emulator(apps=APPS)
        async with opened("dev", source, Path(folder) / "b") as dev, opened("prod", target, Path(folder) / "c") as prod:
            return (back, *await promoted(dev, prod))


async def way_back(rig: Rig) -> float:
    """Return the seconds from publishing a broken version to the old one being live again."""
    await rig.ask("wf-echo", 60)
    await rig.edit("wf-echo", broken)
    plan = await rig.plan("wf-echo", watch=WatchRules(events=10, least=4, every=0.05, seconds=60.0))
    began = time.monotonic()
    watching = asyncio.create_task(rig.apply(plan, wait=MOST_SECONDS))
    while not watching.done():
        await rig.ask("wf-echo", 1)
        await asyncio.sleep(0.05)
    assert (await watching).state == "rolled back"
    return time.monotonic() - began


async def promoted(dev: Rig, prod: Rig) -> tuple[float, str, int]:
    """Plan and carry out the promotion of every app; return seconds of the plan, releases, and what changed of ids."""
    apps = [app async for app in dev.console.apps() if app.live_version or not app.has_workflow]
    names = [app.name for app in apps]
    apps = [app for app in apps if names.count(app.name) == 1]
    for app in dev.emulator.instance.apps.values():
        if app.live is not None:
            graph = json.loads(app.live.graph_text)
            graph["nodes"][0]["data"]["title"] = "Begin"
            app.live.store_graph(graph, app.live.features)
    before = identity(prod)
    request = PlanRequest(app_id="", shadow=Shadow(calls=0), watch=WatchRules(events=1, least=1))
    began, worked = time.monotonic(), time.process_time()
    promotion = await make_promotion(
        dev.workspace.instance, apps, [(prod.workspace, Bindings())], request, pause=0.0, with_secrets=True,
        clock=SystemClock(),
    )  # fmt: skip
    seconds, worked = time.monotonic() - began, time.process_time() - worked
    found = await _carried(dev, prod, promotion)
    after = identity(prod)
    note = f"both sides in one process, {worked:.1f} s of CPU; then {found} released"
    return seconds, note, sum(before[key] != after.get(key) for key in before) + len(after.keys() - before.keys())


async def _carried(dev: Rig, prod: Rig, promotion: Promotion) -> int:
    @asynccontextmanager
    async def target(name: str) -> AsyncIterator[Workspace]:
        yield prod.workspace

    whole = [step for step in promotion.rings[0].steps if not step.problems]
    ring = type(promotion.rings[0])(
        context="prod", url=promotion.rings[0].url, bindings=promotion.rings[0].bindings, steps=tuple(whole)
    )
    plain = Promotion(
        source=promotion.source, source_url=promotion.source_url, made_at=promotion.made_at, rings=(ring,),
        with_secrets=True,
    )  # fmt: skip
    done = await carry_out(dev.workspace.instance, target, plain, ReleaseOptions(wait=0.0))
    return sum(row.state == "held" for row in done.rows)


def identity(rig: Rig) -> dict[str, object]:
    """Return what must stay of every app: name, mode, web address, keys."""
    instance = rig.emulator.instance
    keys = {app: sorted(key.token for key in instance.keys.values() if key.app_id == app) for app in instance.apps}
    return {
        app.id: (app.name, app.mode, getattr(app, "site_code", None), keys[app.id]) for app in instance.apps.values()
    }


@asynccontextmanager
async def opened(name: str, emulator: Emulator, state: Path) -> AsyncIterator[Rig]:
    """Open an emulator in process."""
    context = Context(
        name=name, url=f"http://{name}.test", source="bench", email=emulator.email, password="env:EMULATED_PASSWORD"
    )
    carrier = httpx.ASGITransport(emulator.app, raise_app_exceptions=False)
    instance = await connect(context, ConnectOptions(state=state, carrier=carrier))
    ledger = Ledger.open(state / "ledger.sqlite3")
    try:
        yield Rig(emulator, Workspace(instance=instance, state=state, ledger=ledger, actor="bench"))
    finally:
        await instance.close()
        ledger.close()
