"""Two machines rotate the same secret, each with a journal of its own: one is told to wait, and callers never lose."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from difyops.emulator import Emulator
from difyops.errors import DifyopsError, Refused
from difyops.rotation.engine import Driver, again, begin, turn_back
from difyops.rotation.machine import State
from difyops.rotation.prepare import RotationRequest
from difyops.secret_text import SecretText
from tests.rotation.rig import CASES, Case, Console, Later, Rig, count_of, value_in_use

NAMED = [CASES[kind] for kind in ("provider", "tool", "model")]
EVERY_NAMED = pytest.mark.parametrize("case", NAMED, ids=lambda case: case.kind)


@pytest.fixture
def other(rig: Rig) -> Rig:
    """Another machine: the same instance, another state folder."""
    return dataclasses.replace(rig, state=rig.state.parent / "other-state")


@pytest.mark.exhaustive(2)
@EVERY_NAMED
async def test_a_rotation_that_another_machine_has_open_is_refused_by_name(case: Case, rig: Rig, other: Rig) -> None:
    await rig.rotate(case, wait=False, grace=3600.0)
    async with other.bench() as bench:
        with pytest.raises(Refused, match="another machine") as caught:
            await other.plan(bench, case)
    assert "side by side" in caught.value.message
    assert "web page" in str(caught.value.hint)


@pytest.mark.exhaustive(2)
@EVERY_NAMED
async def test_what_another_machine_finished_can_be_rotated_again(
    case: Case, rig: Rig, other: Rig, emulator: Emulator
) -> None:
    await rig.rotate(case)
    back = dataclasses.replace(case, new=f"{case.new}-3")
    driven = await other.rotate(back)
    assert driven.rotation.state is State.DONE
    assert value_in_use(emulator, case.kind) == back.new
    assert count_of(emulator, case.kind) == 1


@pytest.mark.exhaustive(2)
@EVERY_NAMED
async def test_a_rotation_of_ones_own_is_gone_on_with(case: Case, rig: Rig) -> None:
    await rig.rotate(case, wait=False, grace=3600.0)
    rig.clock = Later()
    done = await rig.resume()
    assert done
    assert done.rotation.state is State.DONE


async def test_a_variable_that_another_machine_may_still_take_back_is_refused_until_it_may_not(
    rig: Rig, other: Rig
) -> None:
    await rig.rotate(CASES["env"], wait=False, grace=3600.0)
    async with other.bench() as bench:
        with pytest.raises(Refused, match="another machine"):
            await other.plan(bench, CASES["env"])
    other.clock = Later()
    async with other.bench() as bench:
        assert await other.plan(bench, CASES["env"])


async def test_a_variable_that_another_machine_took_back_can_be_rotated(
    rig: Rig, other: Rig, emulator: Emulator
) -> None:
    driven = await rig.rotate(CASES["env"], wait=False, grace=3600.0)
    async with rig.bench() as bench:
        await Driver(bench).drive(await turn_back(bench, driven.rotation))
    driven = await other.rotate(CASES["env"])
    assert driven.rotation.state is State.DONE
    assert value_in_use(emulator, "env") == CASES["env"].new


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.exhaustive(2)
@pytest.mark.parametrize(
    ("kind", "way"),
    [("provider", "forward"), ("provider", "back"), ("tool", "back"), ("app-key", "back"), ("env", "forward")],
)
async def test_two_that_saw_nothing_of_each_other_never_leave_callers_without_a_working_secret(
    kind: str, way: str, rig: Rig, console: Console, emulator: Emulator, points: Iterable[int]
) -> None:
    """The other machine planned before, and does its whole rotation at every single point of ours."""
    case = CASES[kind]
    for point in points:
        theirs = dataclasses.replace(case, new=f"{case.new}-b" if case.new else "")
        ours = dataclasses.replace(rig, state=rig.state.parent / f"ours-{point}")
        other = dataclasses.replace(rig, state=rig.state.parent / f"other-{point}")
        with watched(emulator, case) as lost:
            reached = await interleaved(ours, other, (case, theirs), point, way)
        assert not lost, (point, lost)
        assert works(emulator, case), point
        if not reached:
            assert point > 4
            return
        await tidy(console, case)
    raise AssertionError("the rotation never ended")


async def interleaved(ours: Rig, other: Rig, cases: tuple[Case, Case], point: int, way: str) -> bool:
    """Run ours up to ``point``, all of theirs, then the rest of ours; say whether the point was reached."""
    at, go_on, passed = asyncio.Event(), threading.Event(), 0
    loop = asyncio.get_running_loop()

    def checkpoint(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == point:
            loop.call_soon_threadsafe(at.set)
            assert go_on.wait(60)

    async with other.bench() as bench:
        planned = await other.plan(bench, cases[1], RotationRequest(no_probe=True), grace=0.05)
        mine = asyncio.create_task(asyncio.to_thread(asyncio.run, one(ours, cases[0], checkpoint, way)))
        reached = asyncio.create_task(at.wait())
        await asyncio.wait({mine, reached}, return_when=asyncio.FIRST_COMPLETED)
        is_reached = reached.done()
        reached.cancel()
        if is_reached:
            rotation = await begin(bench, planned, SecretText(cases[1].new) if cases[1].needs_value else None)
            await Driver(bench).drive(rotation)
        go_on.set()
        await mine
    return is_reached


async def one(rig: Rig, case: Case, checkpoint: Callable[[str], None], way: str) -> None:
    """Rotate, forward or back again; a person goes on with what was parked, once, either way."""
    async with rig.bench(checkpoint) as bench:
        planned = await rig.plan(bench, case, grace=0.05 if way == "forward" else 3600.0)
        rotation = await begin(bench, planned, SecretText(case.new) if case.needs_value else None)
        driven = await Driver(bench, wait=way == "forward").drive(rotation)
        try:
            if way == "back" and driven.rotation.is_open:
                driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
            if driven.rotation.state is State.PARKED:
                await Driver(bench).drive(await again(bench, driven.rotation, force=False))
                await Driver(bench).drive(await turn_back(bench, driven.rotation))
        except DifyopsError:
            return  # refused: left as it is


@contextmanager
def watched(emulator: Emulator, case: Case) -> Iterator[list[str]]:
    """Look all the time whether what callers use works; yield what was seen when it did not."""
    lost: list[str] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.003):
            if not works(emulator, case):
                lost.append("no working secret in use")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()


def works(emulator: Emulator, case: Case) -> bool:
    """Say whether a call through this secret would be served now."""
    provider, tool = emulator.instance.provider, emulator.instance.tool
    match case.kind:
        case "app-key":
            return bool(emulator.app_named("wf-echo").keys)
        case "env":
            live = emulator.app_named("wf-llm").live
            return live is not None and str(live.env["API_TOKEN"]).startswith("tok-canary")
        case "provider":
            return provider.current is not None and provider.current in provider.credentials
        case _:
            return any(item.is_default for item in tool.credentials)


async def tidy(console: Console, case: Case) -> None:
    """Do in the web page what is left to a person: delete what is not in use."""
    if case.kind == "app-key":
        path = f"/apps/{console.app_id('wf-echo')}/api-keys"
        for row in console.call("GET", path)["data"][1:]:
            console.call("DELETE", f"{path}/{row['id']}")
    elif case.kind == "provider":
        row = console.call("GET", "/workspaces/current/model-providers")["data"][0]["custom_configuration"]
        for item in row["available_credentials"]:
            if item["credential_id"] != row["current_credential_id"]:
                path = f"/workspaces/current/model-providers/{case.arguments[0]}/credentials"
                console.call("DELETE", path, {"credential_id": item["credential_id"]})
    elif case.kind == "tool":
        path = f"/workspaces/current/tool-provider/builtin/{case.arguments[0]}"
        for item in console.call("GET", f"{path}/credentials"):
            if not item["is_default"]:
                console.call("POST", f"{path}/delete", {"credential_id": item["id"]})
    else:
        console.set_secret("wf-llm", "API_TOKEN", CASES["env"].old)


@pytest.mark.parametrize("kind", ["env", "provider"])
async def test_an_open_rotation_that_was_begun_under_another_address_of_the_instance_is_seen(
    kind: str, rig: Rig
) -> None:
    await rig.rotate(CASES[kind], wait=False, grace=3600.0)
    elsewhere = dataclasses.replace(rig, url=rig.url.replace("127.0.0.1", "localhost"))
    with pytest.raises(Refused, match="another machine"):
        await elsewhere.rotate(CASES[kind])
