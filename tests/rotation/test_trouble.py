"""What can go wrong at the server does: wrong values, providers away, stale switches, ghosts, lost answers."""

from __future__ import annotations

import asyncio

import pytest

from difyops.emulator import Emulator
from difyops.rotation.engine import Driver, again, turn_back
from difyops.rotation.machine import Action, Health, State
from difyops.rotation.prepare import Asked
from tests.rotation.rig import CASES, PROVIDER, Case, Console, Rig, count_of, value_in_use

PROBED = Asked(probes=("wf-llm",))
WRONG = Case(kind="provider", arguments=(PROVIDER,), old="sk-good-1", new="sk-bad-canary-0001")
FAST = pytest.mark.parametrize("emulator", [600.0], indirect=True, ids=["fast"])  # half an hour there, 3 s here


async def test_a_value_that_the_provider_refuses_is_never_stored(rig: Rig, emulator: Emulator) -> None:
    driven = await rig.rotate(WRONG)
    assert driven.rotation.state is State.ROLLED_BACK
    assert "refuses the new value" in str(driven.rotation.went_back)
    assert value_in_use(emulator, "provider") == "sk-good-1"
    assert count_of(emulator, "provider") == 1


async def test_a_tool_value_that_is_wrong_is_never_stored(rig: Rig, emulator: Emulator) -> None:
    wrong = Case(kind="tool", arguments=CASES["tool"].arguments, new="bad-canary-serp-1")
    driven = await rig.rotate(wrong)
    assert driven.rotation.state is State.ROLLED_BACK
    assert value_in_use(emulator, "tool") == CASES["tool"].old


async def test_a_new_key_that_dies_after_the_switch_brings_the_old_one_back_after_two_failed_checks(
    rig: Rig, emulator: Emulator
) -> None:
    driven = await rig.rotate(CASES["provider"], PROBED, wait=False, grace=12.0)
    assert driven.rotation.state is State.GRACE
    assert driven.rotation.memo["health"] == "healthy"
    emulator.control.revoke(CASES["provider"].new)
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(driven.rotation)
    assert driven.rotation.state is State.ROLLED_BACK
    assert not driven.rotation.was_asked
    assert "failed 2 times" in str(driven.rotation.went_back)
    assert value_in_use(emulator, "provider") == "sk-good-1"


async def test_one_failed_check_alone_changes_nothing(rig: Rig, emulator: Emulator) -> None:
    once: list[str] = []

    def blink(name: str) -> None:
        if name == "after switch again" and not once:
            once.append(name)
            emulator.control.fail(method="POST", path="/v1/workflows/run", how="status:400")

    driven = await rig.rotate(CASES["provider"], PROBED, checkpoint=blink)
    assert once
    assert driven.rotation.state is State.DONE
    assert value_in_use(emulator, "provider") == CASES["provider"].new


async def test_a_provider_that_is_away_in_the_middle_is_inconclusive_and_nothing_is_retired(
    rig: Rig, emulator: Emulator
) -> None:
    def away(name: str) -> None:
        if name == "after switch credential":
            emulator.control.mood("provider_down")

    driven = await rig.rotate(CASES["provider"], PROBED, checkpoint=away)
    assert driven.rotation.state is State.GRACE
    assert driven.step.action is Action.HOLD
    assert driven.rotation.memo["health"] == Health.INCONCLUSIVE
    assert count_of(emulator, "provider") == 2
    emulator.control.mood("provider_down", on=False)
    async with rig.bench() as bench:
        await asyncio.sleep(1.0)
        driven = await Driver(bench).drive(driven.rotation)
    assert driven.rotation.state is State.DONE


async def test_an_instance_that_is_already_sick_is_not_touched(rig: Rig, emulator: Emulator) -> None:
    emulator.control.revoke("sk-good-1")
    driven = await rig.rotate(CASES["provider"], PROBED)
    assert driven.rotation.state is State.ROLLED_BACK
    assert "before the switch" in str(driven.rotation.went_back)
    assert count_of(emulator, "provider") == 1


async def test_a_server_that_goes_on_using_the_old_key_is_switched_again(rig: Rig, emulator: Emulator) -> None:
    emulator.control.mood("stale_switch")
    driven = await rig.rotate(CASES["provider"], PROBED)
    assert driven.rotation.state is State.DONE
    assert value_in_use(emulator, "provider") == CASES["provider"].new


async def test_a_way_back_that_the_server_ignores_is_switched_again_too(rig: Rig, emulator: Emulator) -> None:
    driven = await rig.rotate(CASES["provider"], wait=False, grace=3600.0)
    emulator.control.mood("stale_switch")
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
    assert driven.rotation.state is State.ROLLED_BACK
    assert value_in_use(emulator, "provider") == "sk-good-1"


@FAST
@pytest.mark.parametrize("kind", ["app-key", "dataset-key"])
async def test_a_deleted_key_is_called_until_it_is_refused(kind: str, rig: Rig, emulator: Emulator) -> None:
    emulator.control.mood("ghost_keys")  # 600 s of server time: one second at this speed
    await rig.rotate(CASES[kind], wait=False)
    await asyncio.sleep(0.2)
    left = await rig.resume(wait=False)
    assert left
    assert left.rotation.state is State.RETIRED
    assert left.rotation.is_open
    finished = await rig.resume()
    assert finished
    assert finished.rotation.state is State.DONE
    waited = (finished.rotation.updated - finished.rotation.started).total_seconds()
    assert waited > 1.0


async def test_an_unreachable_place_turns_back_before_callers_lose_anything(rig: Rig, emulator: Emulator) -> None:
    before = value_in_use(emulator, "app-key")
    driven = await rig.rotate(CASES["app-key"], Asked(deliver=("keyring:nobody/home",), no_probe=True))
    assert driven.rotation.state in (State.ROLLED_BACK, State.PARKED)
    assert before in {key.token for key in emulator.app_named("wf-echo").keys}


async def test_a_server_error_in_the_middle_is_tried_again(rig: Rig, emulator: Emulator) -> None:
    emulator.control.fail(method="POST", path="credentials/switch", times=2, how="status:503")
    driven = await rig.rotate(CASES["provider"])
    assert driven.rotation.state is State.DONE


async def test_an_answer_that_was_lost_makes_no_second_key(rig: Rig, emulator: Emulator) -> None:
    emulator.control.fail(method="POST", path="api-keys", how="lost")
    driven = await rig.rotate(CASES["app-key"])
    assert driven.rotation.state is State.DONE
    assert count_of(emulator, "app-key") == 1


async def test_a_deletion_that_always_fails_parks_it_with_both_keys_alive_and_a_person_can_go_on(
    rig: Rig, emulator: Emulator
) -> None:
    emulator.control.fail(method="DELETE", path="credentials", times=50, how="status:503")
    driven = await rig.rotate(CASES["provider"])
    assert driven.rotation.state is State.PARKED
    assert value_in_use(emulator, "provider") == CASES["provider"].new
    emulator.control.clear_failures()
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await again(bench, driven.rotation, force=False))
    assert driven.rotation.state is State.DONE
    assert count_of(emulator, "provider") == 1


@FAST
async def test_an_old_key_still_in_use_is_kept_until_somebody_forces_it(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    old = emulator.app_named("wf-echo").keys[0]
    driven = await rig.rotate(CASES["app-key"], wait=False, grace=3600.0)
    await asyncio.sleep(1.1)
    assert console.status(old.token) == 200
    await asyncio.sleep(3.2)  # last uses are written every half hour of server time
    async with rig.bench() as bench:
        bench.journal.write(driven.rotation, "note", memo={"grace_until": 1.0, "last_round": 0.5})
        held = await Driver(bench, wait=False).drive(driven.rotation)
        assert held.step.action is Action.HOLD
        assert old in emulator.app_named("wf-echo").keys
        forced = await again(bench, held.rotation, force=True)
        assert (await Driver(bench).drive(forced)).rotation.state is State.DONE
    assert old not in emulator.app_named("wf-echo").keys


async def test_a_node_that_names_the_old_tool_credential_keeps_it_alive(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    credential = emulator.instance.tool.credentials[0].id
    path = f"/apps/{console.app_id('wf-echo')}/workflows"
    draft = console.call("GET", f"{path}/draft")
    used = {"provider_name": CASES["tool"].arguments[0], "credential_id": credential, "tool_name": "s"}
    draft["graph"]["nodes"][0]["data"]["agent_parameters"] = {"tools": {"value": [used]}}
    parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
    console.call("POST", f"{path}/draft", {part: draft[part] for part in parts})
    console.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})
    driven = await rig.rotate(CASES["tool"])
    assert driven.step.action is Action.HOLD
    assert "wf-echo" in str(driven.rotation.memo["old_use"])
    assert count_of(emulator, "tool") == 2
