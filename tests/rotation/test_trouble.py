"""What can go wrong at the server does: wrong values, providers away, stale switches, ghosts, lost answers."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from pathlib import Path

import pytest

from difyops.changes import Journal
from difyops.clock import SystemClock
from difyops.emulator import Emulator
from difyops.errors import Refused
from difyops.rotation.engine import Driver, again, begin, turn_back
from difyops.rotation.inventory import take_inventory
from difyops.rotation.machine import Health, RotationAction, State
from difyops.rotation.policy import RotationPolicy
from difyops.rotation.prepare import RotationRequest
from difyops.rotation.reading import WorkspaceReading
from difyops.rotation.record import ProbeSpec
from difyops.secret_text import SecretText
from tests.rotation.rig import CASES, PROVIDER, Case, Console, Rig, count_of, value_in_use
from tests.waiting import passed

PROBED = RotationRequest(probes=("wf-llm",))
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
    driven = await rig.rotate(CASES["provider"], PROBED, wait=False, grace=40.0)
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
    assert driven.step.action is RotationAction.HOLD
    assert driven.rotation.memo["health"] == Health.INCONCLUSIVE
    assert count_of(emulator, "provider") == 2
    emulator.control.mood("provider_down", on=False)
    async with rig.bench() as bench:
        await passed(1.0)
        driven = await Driver(bench).drive(driven.rotation)
    assert driven.rotation.state is State.DONE


@pytest.mark.parametrize("wants_back", [False, True], ids=["in the grace period", "on the way back"])
async def test_an_instance_that_is_away_longer_than_patience_lasts_is_waited_for(
    wants_back: bool, rig: Rig, emulator: Emulator
) -> None:
    driven = await rig.rotate(CASES["provider"], wait=False, grace=3600.0, patience=1)
    async with rig.bench() as bench:
        bench.journal.write(driven.rotation, "note", memo={"grace_until": 1.0, "last_round": 0.5})
        if wants_back:
            await turn_back(bench, driven.rotation)
        emulator.control.mood("gateway_down")
        started = asyncio.create_task(Driver(bench).drive(driven.rotation))
        while bench.journal.open()[0].failures < 2:
            await asyncio.sleep(0.05)
        emulator.control.mood("gateway_down", on=False)
        driven = await asyncio.wait_for(started, 30)
    assert driven.rotation.state is (State.ROLLED_BACK if wants_back else State.DONE)


async def test_an_instance_that_is_already_sick_is_not_touched(rig: Rig, emulator: Emulator) -> None:
    emulator.control.revoke("sk-good-1")
    driven = await rig.rotate(CASES["provider"], PROBED)
    assert driven.rotation.state is State.ROLLED_BACK
    assert "before the switch" in str(driven.rotation.went_back)
    assert "--probe" in str(driven.rotation.went_back)
    assert count_of(emulator, "provider") == 1


async def test_an_app_nobody_named_that_fails_already_is_set_aside(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    broken = console.app_id("completion-basic")
    config = console.call("GET", f"/apps/{broken}")["model_config"]
    console.call("POST", f"/apps/{broken}/model-config", {**config, "pre_prompt": "[[fail=bad]] {{query}}"})
    driven = await rig.rotate(CASES["provider"], RotationRequest())
    assert driven.rotation.state is State.DONE
    assert driven.rotation.memo["left_out"] == [broken]
    assert {item["app"] for item in driven.rotation.memo["probed"]} == {"agent", "chat-basic"}


async def test_when_every_app_fails_already_the_old_key_may_be_what_is_broken(rig: Rig, emulator: Emulator) -> None:
    emulator.control.revoke("sk-good-1")
    driven = await rig.rotate(CASES["provider"], RotationRequest())
    assert driven.rotation.state is State.DONE
    assert {item["health"] for item in driven.rotation.memo["before"]} == {"sick"}
    assert {item["health"] for item in driven.rotation.memo["probed"]} == {"healthy"}


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
    await passed(0.2)
    left = await rig.resume(wait=False)
    assert left
    assert left.rotation.state is State.RETIRED
    assert left.rotation.is_open
    finished = await rig.resume()
    assert finished
    assert finished.rotation.state is State.DONE
    waited = (finished.rotation.updated - finished.rotation.started).total_seconds()
    assert waited > 1.0


async def test_an_unreachable_place_turns_back_before_callers_lose_anything(
    rig: Rig, emulator: Emulator, tmp_path: Path
) -> None:
    before = value_in_use(emulator, "app-key")
    reached, plain_file = tmp_path / "key", tmp_path / "no-folder"
    plain_file.write_text("")
    for place in ("keyring:nobody/home", f"file:{plain_file}/key"):
        reached.write_text(before)
        reached.chmod(0o600)
        driven = await rig.rotate(CASES["app-key"], RotationRequest(deliver=(f"file:{reached}", place), no_probe=True))
        assert driven.rotation.state is State.ROLLED_BACK, driven.rotation
        assert reached.read_text().strip() == before
        assert [key.token for key in emulator.app_named("wf-echo").keys] == [before]


async def test_a_command_that_fails_to_take_a_key_is_offered_the_old_one_again(
    rig: Rig, emulator: Emulator, tmp_path: Path
) -> None:
    before, script, taken = value_in_use(emulator, "app-key"), tmp_path / "take.sh", tmp_path / "taken"
    script.write_text(f"#!/bin/sh\ncat > {taken}\ngrep -q {before} {taken}\n")  # takes it, and fails for a new one
    script.chmod(0o700)
    driven = await rig.rotate(CASES["app-key"], RotationRequest(deliver=(f"cmd:{script}",), no_probe=True))
    assert driven.rotation.state is State.ROLLED_BACK, driven.rotation
    assert taken.read_text() == before


async def test_a_place_that_takes_nothing_any_more_keeps_both_keys_until_a_person_passes_over_it(
    rig: Rig, emulator: Emulator, tmp_path: Path
) -> None:
    before, script, place = value_in_use(emulator, "app-key"), tmp_path / "take.sh", tmp_path / "key"
    script.write_text("#!/bin/sh\ncat > /dev/null\nexit 3\n")
    script.chmod(0o700)
    asked = RotationRequest(deliver=(f"cmd:{script}", f"file:{place}"), no_probe=True)
    driven = await rig.rotate(CASES["app-key"], asked, force=True)
    assert driven.rotation.state is State.PARKED
    assert count_of(emulator, "app-key") == 2
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await again(bench, driven.rotation, force=False))
        assert driven.rotation.state is State.PARKED
        driven = await Driver(bench).drive(await again(bench, driven.rotation, force=True))
    assert driven.rotation.state is State.ROLLED_BACK
    assert value_in_use(emulator, "app-key") == before
    assert count_of(emulator, "app-key") == 1


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
    await passed(2.2)  # the server's time is known to a second
    assert console.status(old.token) == 200
    await passed(3.1)  # last uses are written every half hour of server time
    async with rig.bench() as bench:
        bench.journal.write(driven.rotation, "note", memo={"grace_until": 1.0, "last_round": 0.5})
        held = await Driver(bench, wait=False).drive(driven.rotation)
        assert held.step.action is RotationAction.HOLD
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
    assert driven.step.action is RotationAction.HOLD
    assert "wf-echo" in str(driven.rotation.memo["old_use"])
    assert count_of(emulator, "tool") == 2


@pytest.mark.parametrize("limit", [1, 3])
async def test_as_many_failed_checks_as_were_asked_for_turn_back(limit: int, rig: Rig, emulator: Emulator) -> None:
    driven = await rig.rotate(CASES["provider"], PROBED, wait=False, grace=40.0, sick_limit=limit)
    emulator.control.revoke(CASES["provider"].new)
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(driven.rotation)
    assert driven.rotation.state is State.ROLLED_BACK
    assert f"failed {limit} times" in str(driven.rotation.went_back)


async def test_an_answer_that_comes_too_late_is_a_failed_check(rig: Rig, emulator: Emulator) -> None:
    app, steps = emulator.app_named("wf-llm"), [0.0]
    passed = itertools.accumulate(iter(lambda: steps[0], None))

    class Jumping(SystemClock):
        """A clock on which more time passes each time that somebody measures."""

        def monotonic(self) -> float:
            return super().monotonic() + next(passed)

    rig.clock = Jumping()
    slow = ProbeSpec(app=app.id, name="wf-llm", max_seconds=100.0)
    driven = await rig.rotate(CASES["provider"], wait=False, grace=3600.0, probes=(slow,), sick_limit=1)
    assert driven.rotation.memo["health"] == Health.HEALTHY
    steps[0] = 101.0
    async with rig.bench() as bench:
        bench.journal.write(driven.rotation, "note", memo={"last_round": 0.0})
        driven = await Driver(bench).drive(driven.rotation)
    assert driven.rotation.state is State.ROLLED_BACK
    assert "more than 100 s" in str(driven.rotation.went_back)


async def test_a_rotation_resumed_long_after_its_grace_period_is_looked_at_before_the_old_secret_dies(
    rig: Rig, emulator: Emulator
) -> None:
    driven = await rig.rotate(CASES["provider"], PROBED, wait=False, grace=3600.0)
    emulator.control.revoke(CASES["provider"].new)
    hours_ago = {"grace_until": 1.0, "last_round": 2.0, "round_ended": 3.0}  # it was healthy then
    async with rig.bench() as bench:
        bench.journal.write(driven.rotation, "note", memo=hours_ago)
        driven = await Driver(bench).drive(driven.rotation)
    assert driven.rotation.state is State.ROLLED_BACK
    assert value_in_use(emulator, "provider") == "sk-good-1"


@pytest.mark.parametrize("kind", ["provider", "model", "tool"])
async def test_a_new_credential_that_somebody_deletes_in_the_grace_period_brings_the_old_one_back(
    kind: str, rig: Rig, emulator: Emulator
) -> None:
    driven = await rig.rotate(CASES[kind], wait=False, grace=3600.0, sick_limit=1)
    provider, tool = emulator.instance.provider, emulator.instance.tool
    match kind:
        case "provider":
            provider.credentials[:] = [one for one in provider.credentials if one is not provider.current]
            provider.use(None)
        case "model":
            own = provider.custom[0]
            own.credentials[:] = [one for one in own.credentials if one is not own.current]
            own.current = None
        case _:
            tool.credentials[:] = [one for one in tool.credentials if not one.is_default]
    async with rig.bench() as bench:
        bench.journal.write(driven.rotation, "note", memo={"last_round": 0.0})
        driven = await Driver(bench).drive(driven.rotation)
    assert driven.rotation.state is State.ROLLED_BACK
    assert value_in_use(emulator, kind) == CASES[kind].old


async def test_a_rotation_is_never_gone_on_with_at_another_instance(rig: Rig, emulator: Emulator) -> None:
    await rig.rotate(CASES["provider"], wait=False, grace=3600.0)
    with emulator.listening() as moved, pytest.raises(Refused, match="another instance"):
        await dataclasses.replace(rig, url=moved).resume()
    assert count_of(emulator, "provider") == 2


async def test_a_value_is_looked_for_where_it_was_held_when_the_rotation_began(rig: Rig, emulator: Emulator) -> None:
    async with rig.bench() as bench:
        planned = await rig.plan(bench, CASES["provider"])
        rotation = await begin(bench, planned, SecretText(CASES["provider"].new))
        here = dataclasses.replace(bench, hold="keyring")  # the configuration was changed meanwhile
        driven = await Driver(here).drive(rotation)
    assert driven.rotation.state is State.DONE


async def test_a_rotation_that_is_killed_at_the_very_end_is_ended_by_the_next_run_and_counts(rig: Rig) -> None:
    class Killed(BaseException):
        """The process ended here."""

    def ends(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "end", ends)
        with pytest.raises(Killed):
            await rig.rotate(CASES["provider"])
    assert not rig.held()
    ended = await rig.resume()
    assert ended
    assert ended.rotation.state is State.DONE
    async with rig.bench() as bench:
        assert not bench.journal.open()
        listed = (await take_inventory(bench, WorkspaceReading(bench.instance), RotationPolicy())).secrets
    assert [item.age is not None for item in listed if item.kind == "provider"] == [True]


async def test_a_credential_beside_one_that_was_rotated_is_no_younger_for_it(rig: Rig, console: Console) -> None:
    body = {"name": "spare", "credentials": {"openai_api_key": "sk-good-canary-spare"}}
    console.call("POST", f"/workspaces/current/model-providers/{PROVIDER}/credentials", body)
    await rig.rotate(CASES["provider"])
    async with rig.bench() as bench:
        listed = (await take_inventory(bench, WorkspaceReading(bench.instance), RotationPolicy())).secrets
    ages = {item.name.partition(" ")[0]: item.age for item in listed if item.kind == "provider"}
    assert ages["spare"] is None
    assert ages["primary"] is not None
