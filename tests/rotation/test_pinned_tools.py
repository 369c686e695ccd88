"""Nodes that name a tool's credential by its id: found, told, and never left without it."""

from __future__ import annotations

import dataclasses

import pytest

from difyops.emulator import Emulator
from difyops.errors import SelectorError
from difyops.rotation.engine import Driver, again, turn_back
from difyops.rotation.machine import RotationAction, State
from tests.rotation.rig import CASES, TOOL, Console, Rig, value_in_use

CASE = CASES["tool"]


def pin(console: Console, credential_id: str) -> None:
    """Let a node of wf-echo call the tool with one credential, or (empty) with the default; publish."""
    path = f"/apps/{console.app_id('wf-echo')}/workflows"
    draft = console.call("GET", f"{path}/draft")
    node = next(node for node in draft["graph"]["nodes"] if node["data"]["type"] in ("template-transform", "tool"))
    node["data"] = {"type": "tool", "title": "Look it up", "provider_id": TOOL, "tool_name": "google_search"}
    node["data"]["credential_id"] = credential_id
    parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
    console.call("POST", f"{path}/draft", {part: draft[part] for part in parts})
    console.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})


def ids(emulator: Emulator) -> list[str]:
    return [item.id for item in emulator.instance.tool.credentials]


async def test_the_plan_names_app_and_node_and_the_default_users_are_not_among_them(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    async with rig.bench() as bench:
        pin(console, "")
        planned = await rig.plan(bench, CASE)
        assert not any("Look it up" in warning for warning in planned.warnings)
        pin(console, ids(emulator)[0])
        planned = await rig.plan(bench, CASE)
    assert any("wf-echo (Look it up)" in warning for warning in planned.warnings)


async def test_it_waits_until_the_node_names_the_new_one(rig: Rig, emulator: Emulator, console: Console) -> None:
    pin(console, ids(emulator)[0])
    driven = await rig.rotate(CASE, wait=False, grace=0.1)
    while driven.step.action is RotationAction.WAIT:
        again_driven = await rig.resume()
        assert again_driven
        driven = again_driven
    assert (driven.rotation.state, driven.step.action) == (State.GRACE, RotationAction.HOLD)
    assert "wf-echo (Look it up)" in driven.rotation.memo["old_use"]
    assert value_in_use(emulator, "tool") == CASE.new
    assert len(ids(emulator)) == 2
    pin(console, ids(emulator)[1])
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await again(bench, driven.rotation, force=False))
        while driven.step.action is RotationAction.HOLD:
            driven = await Driver(bench).drive(driven.rotation)
    assert driven.rotation.state is State.DONE
    assert len(ids(emulator)) == 1


async def test_force_does_not_delete_what_a_live_node_names(rig: Rig, emulator: Emulator, console: Console) -> None:
    old = ids(emulator)[0]
    pin(console, old)
    driven = await rig.rotate(CASE, force=True)
    assert driven.rotation.state is State.PARKED
    assert "wf-echo (Look it up)" in (driven.rotation.trouble or "")
    assert old in ids(emulator)


async def test_the_way_back_does_not_delete_the_new_one_when_a_node_names_it_already(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    driven = await rig.rotate(CASE, wait=False, grace=3600.0)
    new = ids(emulator)[1]
    pin(console, new)
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
        assert driven.rotation.state is State.PARKED
        assert value_in_use(emulator, "tool") == CASE.old
        assert new in ids(emulator)
        pin(console, "")
        driven = await Driver(bench).drive(await again(bench, driven.rotation, force=False))
    assert driven.rotation.state is State.ROLLED_BACK
    assert len(ids(emulator)) == 1


async def test_a_default_that_another_account_set_stays_and_the_reason_is_told(rig: Rig, emulator: Emulator) -> None:
    theirs = emulator.instance.tool.credentials[0]
    theirs.added_by, theirs.is_marked = emulator.account("editor").id, True
    driven = await rig.rotate(CASE)
    assert driven.rotation.state is State.ROLLED_BACK
    assert "another account" in (driven.rotation.trouble or "")
    assert value_in_use(emulator, "tool") == CASE.old
    assert len(ids(emulator)) == 1


async def test_health_rounds_read_an_app_again_only_when_it_changed(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    case = dataclasses.replace(CASE, new="serp-canary-quiet-3")
    await rig.rotate(case, grace=0.1)
    emulator.control.reset_counts()
    async with rig.bench() as bench:
        planned = await rig.plan(bench, dataclasses.replace(case, new="serp-canary-quiet-4"))
    reads = _reads(emulator)
    emulator.control.reset_counts()
    driven = await rig.rotate(dataclasses.replace(case, new="serp-canary-quiet-4"), grace=2.5)
    assert driven.rotation.memo["rounds"] >= 2
    assert planned.target["old_id"] not in ids(emulator)
    assert _reads(emulator) <= 3 * reads, "once for the plan, at most once while it waits, once before the deletion"


def _reads(emulator: Emulator) -> int:
    routes = emulator.control.counts()["routes"]
    assert isinstance(routes, dict)
    return sum(
        number for route, number in routes.items() if route.endswith("/workflows/publish") and route.startswith("GET")
    )


async def test_a_provider_nobody_knows_is_refused_with_those_that_have_credentials(rig: Rig) -> None:
    async with rig.bench() as bench:
        with pytest.raises(SelectorError) as caught:
            await rig.plan(bench, dataclasses.replace(CASE, arguments=("google",)))
    assert TOOL in (caught.value.hint or "")
