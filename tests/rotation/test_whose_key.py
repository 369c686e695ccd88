"""A key whose id was lost is found again, and a colleague's is never taken for it: told apart by when it was made."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from difyops.clock import SystemClock
from difyops.emulator import Emulator
from difyops.rotation.engine import Driver, again, begin, turn_back
from difyops.rotation.machine import RotationAction, State
from tests.rotation.rig import ADMIN, CASES, Console, Rig, count_of
from tests.waiting import passed

KEYS = "api-keys"
AT_ONCE = pytest.mark.parametrize("emulator", [1e6], indirect=True, ids=["at once"])  # last uses are written at once


class Killed(BaseException):
    """The process ended here."""


class Elsewhere(SystemClock):
    """A wall clock that is wrong by some hours, as that of a machine nobody looks after."""

    hours: float

    def __init__(self, hours: float) -> None:
        object.__setattr__(self, "hours", hours)

    def now(self) -> datetime:
        return super().now() + timedelta(hours=self.hours)


def dies_at(point: str):
    def checkpoint(name: str) -> None:
        if name == point:
            raise Killed

    return checkpoint


def path_of(console: Console, kind: str) -> str:
    return f"/apps/{console.app_id('wf-echo')}/{KEYS}" if kind == "app-key" else f"/datasets/{KEYS}"


def tokens(console: Console, kind: str) -> list[str]:
    return [row["token"] for row in console.call("GET", path_of(console, kind))["data"]]


def made(emulator: Emulator, token: str, seconds: float) -> None:
    """Let a key have been made that many seconds later than it was."""
    key = next(key for key in emulator.instance.keys.values() if key.token == token)
    key.created_at = int(key.created_at + seconds)


@pytest.mark.parametrize("kind", ["app-key", "dataset-key"])
async def test_a_key_that_a_colleague_makes_after_a_kill_before_ours_stays_theirs(
    kind: str, rig: Rig, emulator: Emulator, console: Console
) -> None:
    with pytest.raises(Killed):
        await rig.rotate(CASES[kind], checkpoint=dies_at("before create key"))
    theirs = console.call("POST", path_of(console, kind))["token"]
    made(emulator, theirs, 600)  # ten minutes after the kill
    done = await rig.resume()
    assert done
    assert done.rotation.state is State.DONE
    assert theirs in tokens(console, kind)
    assert count_of(emulator, kind) == 2, "theirs and ours"


@pytest.mark.parametrize("kind", ["app-key", "dataset-key"])
async def test_a_revert_after_a_kill_before_the_creation_deletes_nobodys_key(
    kind: str, rig: Rig, emulator: Emulator, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("difyops.rotation.late.longest", lambda job: 0.5)  # until then ours may still come
    monkeypatch.setattr("difyops.rotation.late.SKEW", 1.0)
    with pytest.raises(Killed):
        await rig.rotate(CASES[kind], checkpoint=dies_at("before create key"))
    theirs = console.call("POST", path_of(console, kind))["token"]
    made(emulator, theirs, 600)
    before = set(tokens(console, kind))
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await turn_back(bench, bench.journal.open()[0]))
    assert driven.rotation.state is State.ROLLED_BACK
    assert set(tokens(console, kind)) == before


@pytest.mark.parametrize("hours", [-3.0, 0.0, 3.0])
async def test_a_key_of_ours_is_found_again_whatever_our_clock_says(
    hours: float, rig: Rig, emulator: Emulator, console: Console
) -> None:
    rig.clock = Elsewhere(hours)
    with pytest.raises(Killed):
        await rig.rotate(CASES["app-key"], checkpoint=dies_at("after create key"))
    done = await rig.resume()
    assert done
    assert done.rotation.state is State.DONE
    assert count_of(emulator, "app-key") == 1


@AT_ONCE
async def test_a_key_that_somebody_called_with_is_not_ours(rig: Rig, emulator: Emulator, console: Console) -> None:
    with pytest.raises(Killed):
        await rig.rotate(CASES["app-key"], checkpoint=dies_at("before create key"))
    theirs = console.call("POST", path_of(console, "app-key"))["token"]
    assert console.status(theirs) == 200
    await rig.resume()
    assert theirs in tokens(console, "app-key")


async def test_a_key_that_a_slow_server_makes_after_we_gave_up_is_waited_for(
    rig: Rig, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("difyops.rotation.late.SKEW", 1.0)
    monkeypatch.setattr("difyops.rotation.late.LATE", 1.0)
    slow: list[str] = []

    def slowly(name: str) -> None:
        if name == "before create key" and not slow:
            slow.append(name)
            emulator.control.delay(1.5)
            threading.Timer(0.5, emulator.control.delay, (0.0,)).start()

    async with rig.bench(slowly) as bench:
        bench.instance.transport.options = replace(bench.instance.transport.options, read=1.0)
        planned = await rig.plan(bench, CASES["app-key"])
        driven = await Driver(bench).drive(await begin(bench, planned, None))
    assert slow
    assert driven.rotation.state is State.DONE, driven.rotation
    assert count_of(emulator, "app-key") == 1


async def test_two_keys_made_while_one_was_asked_for_wait_for_a_person(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    with pytest.raises(Killed):
        await rig.rotate(CASES["app-key"], checkpoint=dies_at("after create key"))
    console.call("POST", path_of(console, "app-key"))
    driven = await rig.resume()
    assert driven
    assert driven.rotation.state is State.PARKED
    assert all(key.id in str(driven.rotation.trouble) for key in emulator.app_named("wf-echo").keys[1:])
    assert count_of(emulator, "app-key") == 3


@AT_ONCE
@pytest.mark.parametrize("hours", [-3.0, 3.0])
@pytest.mark.parametrize("is_in_use", [True, False])
async def test_the_last_use_of_an_old_key_is_compared_in_the_servers_time(
    hours: float, is_in_use: bool, rig: Rig, emulator: Emulator
) -> None:
    rig.clock = Elsewhere(hours)
    old = emulator.app_named("wf-echo").keys[0]
    driven = await rig.rotate(CASES["app-key"], wait=False, grace=3600.0)
    if is_in_use:
        await passed(2.2)  # the server's time is known to a second
    old.used_at = emulator.instance.moment() - (0.1 if is_in_use else 60.0)
    async with rig.bench() as bench:
        bench.journal.write(driven.rotation, "note", memo={"grace_until": 1.0, "last_round": 0.5})
        driven = await Driver(bench, wait=False).drive(driven.rotation)
    assert (driven.step.action is RotationAction.HOLD) == is_in_use
    assert (old in emulator.app_named("wf-echo").keys) == is_in_use


@pytest.mark.parametrize("is_in_use", [True, False])
async def test_a_server_whose_times_are_hours_off_is_read_by_the_key_it_made(
    is_in_use: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Date header is right, what its database says of keys is not: their time zones differ."""
    emulator = Emulator("1.13.0", speed=1e6, clock=Elsewhere(-8.0))
    monkeypatch.setenv(ADMIN, str(emulator.admin_key))
    with emulator.listening() as url:
        rig = Rig(url=url, workspace_id=emulator.workspace_id, state=tmp_path / "state")
        old = emulator.app_named("wf-echo").keys[0]
        driven = await rig.rotate(CASES["app-key"], wait=False, grace=3600.0)
        if is_in_use:
            await passed(2.2)
        old.used_at = emulator.instance.moment() - (0.1 if is_in_use else 60.0)
        async with rig.bench() as bench:
            bench.journal.write(driven.rotation, "note", memo={"grace_until": 1.0, "last_round": 0.5})
            driven = await Driver(bench, wait=False).drive(driven.rotation)
    assert (driven.step.action is RotationAction.HOLD) == is_in_use


async def test_callers_are_never_left_without_a_key_when_the_old_one_is_gone(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    old = emulator.app_named("wf-echo").keys[0]
    driven = await rig.rotate(CASES["app-key"], wait=False, grace=3600.0)
    console.call("DELETE", f"{path_of(console, 'app-key')}/{old.id}")
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
        assert driven.rotation.state is State.PARKED
        assert count_of(emulator, "app-key") == 1
        ended = await Driver(bench).drive(await again(bench, driven.rotation, force=False))
    assert ended.rotation.state is State.DONE, "there is nothing to go back to, and a person looked"
    assert count_of(emulator, "app-key") == 1
