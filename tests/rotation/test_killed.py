"""Killed with SIGKILL before and after every effect, then resumed: done or rolled back, one working secret, no orphan.

The points are not random: a first run counts them, then every one of them is tried, forwards and on the way back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import Emulator
from difyops.rotation.machine import State
from tests.processes import run
from tests.rotation.rig import CASES, Case, Console, Rig, count_of, furnish, value_in_use

ROOT = Path(__file__).parents[2]
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
SOME = pytest.mark.exhaustive(3)  # of the kinds in each run
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KILLED = -9
MOST = 60


def killed(**job: Any) -> int:
    """Do a job in a process of its own; return how it ended."""
    words = [sys.executable, "-m", "tests.rotation.kill_child", json.dumps(job)]
    return run(words, cwd=ROOT).returncode


@pytest.fixture
def job(rig: Rig, tmp_path: Path) -> dict[str, Any]:
    """Return what every job says."""
    return {"url": rig.url, "workspace": rig.workspace_id, "place": "", "grace": 0.05, "wait": True}


def anew(emulator: Emulator, console: Console, place: Path, case: Case) -> str:
    """Start over on a fresh instance; return the secret that callers have."""
    emulator.reset()
    furnish(emulator, console, case.kind)
    place.unlink(missing_ok=True)
    return str(place)


def check_end(emulator: Emulator, case: Case, rig: Rig, before: str) -> None:
    """Assert that one working secret is known, that it is the right one, and that nothing is left over."""
    now = value_in_use(emulator, case.kind)
    assert now != before
    assert now == case.new or not case.needs_value
    assert count_of(emulator, case.kind) == 1, "a secret was orphaned"
    assert not rig.held(), "held values were left behind"
    for secret in (before, now):
        assert secret.encode() not in rig.texts()


@SOME
@EVERY
async def test_killed_at_every_point_a_resumed_rotation_ends_done(
    case: Case,
    emulator: Emulator,
    console: Console,
    job: dict[str, Any],
    tmp_path: Path,
    rig: Rig,
    points: Iterable[int],
) -> None:
    place = tmp_path / "reader.key"
    for point in points:
        job["place"] = anew(emulator, console, place, case) if case.kind in ("app-key", "dataset-key") else ""
        if not job["place"]:
            anew(emulator, console, place, case)
        here = Rig(url=rig.url, workspace_id=rig.workspace_id, state=tmp_path / f"state{point}")
        before = value_in_use(emulator, case.kind)
        code = killed(**job, job="rotate", kind=case.kind, state=str(here.state), point=point)
        assert code in (KILLED, 0)
        driven = await here.resume()
        assert driven is None or driven.rotation.state is State.DONE, (point, driven)
        check_end(emulator, case, here, before)
        if job["place"]:
            assert place.read_text().strip() == value_in_use(emulator, case.kind)
        if case.kind == "env":
            check_draft(emulator)
        if code == 0:
            assert point > 6, "too few points were killed"
            return
    raise AssertionError("the rotation never ended by itself")


@SOME
@EVERY
async def test_killed_at_every_point_of_the_way_back_a_resumed_rotation_ends_rolled_back(
    case: Case,
    emulator: Emulator,
    console: Console,
    job: dict[str, Any],
    tmp_path: Path,
    rig: Rig,
    points: Iterable[int],
) -> None:
    place = tmp_path / "reader.key"
    job["place"] = str(place) if case.kind in ("app-key", "dataset-key") else ""
    for point in points:
        anew(emulator, console, place, case)
        here = Rig(url=rig.url, workspace_id=rig.workspace_id, state=tmp_path / f"state{point}")
        before = value_in_use(emulator, case.kind)
        await_grace = {**job, "grace": 3600.0, "wait": False}
        assert killed(**await_grace, job="rotate", kind=case.kind, state=str(here.state), point=0) == 0
        code = killed(**job, job="revert", kind=case.kind, state=str(here.state), point=point)
        assert code in (KILLED, 0)
        driven = await here.resume()
        assert driven is None or driven.rotation.state is State.ROLLED_BACK, (point, driven)
        assert value_in_use(emulator, case.kind) == before
        assert count_of(emulator, case.kind) == 1, "a secret was orphaned"
        assert not here.held(), "held values were left behind"
        if job["place"]:
            assert place.read_text().strip() == before
        if case.kind == "env":
            check_draft(emulator)
        if code == 0:
            assert point > 2, "too few points were killed"
            return
    raise AssertionError("the rotation never ended by itself")


@pytest.mark.parametrize("case", [CASES[kind] for kind in ("app-key", "env", "provider")], ids=lambda case: case.kind)
async def test_a_resume_that_is_killed_again_and_again_still_ends(
    case: Case, emulator: Emulator, console: Console, job: dict[str, Any], rig: Rig
) -> None:
    before = value_in_use(emulator, case.kind)
    common = {**job, "kind": case.kind, "state": str(rig.state)}
    code = killed(**common, job="rotate", point=1)
    kills = 0
    while code == KILLED and kills < MOST:
        kills += 1
        code = killed(**common, job="resume", point=3)
    assert code == 0
    assert await rig.resume() is None
    check_end(emulator, case, rig, before)


def check_draft(emulator: Emulator) -> None:
    app = emulator.app_named("wf-llm")
    assert app.draft
    assert app.live
    assert app.draft.graph["nodes"][0]["data"]["title"] == "a colleague's title"
    assert app.live.graph["nodes"][0]["data"]["title"] != "a colleague's title"
    assert app.draft.env["API_TOKEN"] == app.live.env["API_TOKEN"]
