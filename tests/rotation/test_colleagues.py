"""Somebody else edits, publishes or rolls back while a variable is rotated: nobody loses anything."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.emulator.store import Trigger
from difyops.rotation.engine import Driver, begin, turn_back
from difyops.rotation.machine import State
from difyops.rotation.prepare import RotationRequest
from difyops.rotation.record import ProbeSpec
from difyops.secret_text import SecretText
from tests.kept import kept_text
from tests.rotation.rig import CASES, PROVIDER, Case, Console, Rig

PROBED = RotationRequest(probes=("wf-llm",))
WRONG = Case(kind="provider", arguments=(PROVIDER,), old="sk-good-1", new="sk-bad-canary-0001")


async def test_a_colleague_who_saves_the_draft_at_the_worst_moment_loses_nothing(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    saved: list[str] = []

    def colleague(name: str) -> None:
        if name == "before write draft" and not saved:
            saved.append(name)
            console.edit_draft("wf-llm", "a late title")

    driven = await rig.rotate(CASES["env"], checkpoint=colleague)
    app = emulator.app_named("wf-llm")
    assert driven.rotation.state is State.DONE
    assert app.draft
    assert app.live
    assert app.draft.graph["nodes"][0]["data"]["title"] == "a late title"
    assert app.live.graph["nodes"][0]["data"]["title"] not in ("a late title", "a colleague's title")


async def test_an_edit_on_top_of_what_was_written_stays_and_the_parked_draft_is_kept_in_a_file(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    saved: list[str] = []
    app = emulator.app_named("wf-llm")
    assert app.live
    live = app.live.id

    def colleague(name: str) -> None:
        if name == "after write draft" and not saved:
            saved.append(name)
            console.edit_draft("wf-llm", "on top")

    driven = await rig.rotate(CASES["env"], checkpoint=colleague)
    app = emulator.app_named("wf-llm")
    assert app.live
    assert app.draft
    assert driven.rotation.state is State.DONE
    assert app.live.id != live
    assert app.live.env["API_TOKEN"] == CASES["env"].new
    assert app.live.graph["nodes"][0]["data"]["title"] not in ("on top", "a colleague's title")
    assert app.draft.graph["nodes"][0]["data"]["title"] == "on top"
    kept = Path(str(driven.rotation.kept_draft))
    assert "a colleague's title" in kept_text(rig.state)
    assert "a colleague's title" not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_an_edit_that_slips_into_the_publication_is_kept_and_the_target_is_published_again(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    saved: list[str] = []

    def colleague(name: str) -> None:
        if name == "before publish" and not saved:
            saved.append(name)
            console.edit_draft("wf-llm", "slipped in")

    driven = await rig.rotate(CASES["env"], checkpoint=colleague)
    app = emulator.app_named("wf-llm")
    assert app.live
    assert app.draft
    assert driven.rotation.state is State.DONE
    assert app.live.graph["nodes"][0]["data"]["title"] not in ("slipped in", "a colleague's title")
    assert app.live.env["API_TOKEN"] == CASES["env"].new
    assert app.draft.graph["nodes"][0]["data"]["title"] == "slipped in"
    assert "slipped in" in kept_text(rig.state)


async def test_a_rotation_that_is_turned_back_leaves_its_value_nowhere(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    """A colleague saves while the rotation is turned back: only this variable of their draft is put right."""
    driven = await rig.rotate(CASES["env"], wait=False, grace=3600.0)
    console.edit_draft("wf-llm", "theirs")
    saved: list[str] = []

    def colleague(name: str) -> None:
        if name == "before publish" and not saved:
            saved.append(name)
            console.set_secret_in_draft("wf-llm", "API_TOKEN", CASES["env"].new)

    async with rig.bench(colleague) as bench:
        driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
    app = emulator.app_named("wf-llm")
    assert driven.rotation.state is State.ROLLED_BACK
    assert app.live
    assert app.draft
    assert app.live.env["API_TOKEN"] == app.draft.env["API_TOKEN"] == CASES["env"].old
    assert CASES["env"].new not in kept_text(rig.state)


async def test_a_value_with_which_the_draft_fails_never_goes_live(rig: Rig, emulator: Emulator) -> None:
    app = emulator.app_named("wf-llm")
    assert app.live
    live = app.live.id
    async with rig.bench() as bench:
        planned = await rig.plan(bench, CASES["env"], probes=(ProbeSpec(app=app.id, name="wf-llm", contains="xyzzy"),))
        rotation = await begin(bench, planned, SecretText(CASES["env"].new))
        driven = await Driver(bench).drive(rotation)
    app = emulator.app_named("wf-llm")
    assert driven.rotation.state is State.ROLLED_BACK
    assert app.live
    assert app.live.id == live


async def test_a_colleagues_variables_of_the_conversation_alone_stay_in_the_draft(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    console.set_secret("wf-llm", "API_TOKEN", CASES["env"].old)  # from here on draft and live have the same graph
    set_memory(console, "not published yet")
    driven = await rig.rotate(CASES["env"])
    app = emulator.app_named("wf-llm")
    assert driven.rotation.state is State.DONE
    assert app.live
    assert app.draft
    assert [item["value"] for item in app.draft.conversation_list] == ["not published yet"]
    assert app.live.conversation_list == []


async def test_a_variable_of_the_conversation_on_top_of_what_was_written_stays(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    saved: list[str] = []

    def colleague(name: str) -> None:
        if name == "after write draft" and not saved:
            saved.append(name)
            set_memory(console, "on top")

    driven = await rig.rotate(CASES["env"], checkpoint=colleague)
    app = emulator.app_named("wf-llm")
    assert driven.rotation.state is State.DONE
    assert app.draft
    assert [item["value"] for item in app.draft.conversation_list] == ["on top"]
    assert "a colleague's title" in kept_text(rig.state)


def set_memory(console: Console, value: str) -> None:
    """Set the one conversation variable of the draft, keeping everything else."""
    path = f"/apps/{console.app_id('wf-llm')}/workflows/draft"
    draft = console.call("GET", path)
    for variable in draft["environment_variables"]:
        if variable["value_type"] == "secret":
            variable["value"] = "[__HIDDEN__]"
    memory = {"id": "0b7d2f60-3f0e-4c1e-9d53-1f8f4f8f0001", "name": "memory", "value_type": "string", "value": value}
    parts = ("graph", "features", "environment_variables", "hash")
    body = {part: draft[part] for part in parts}
    console.call("POST", path, {**body, "conversation_variables": [{**memory, "description": ""}]})


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("is_on", [True, False], ids=["on", "off"])
@pytest.mark.parametrize("way", ["forward", "back"])
async def test_a_trigger_that_a_publication_switched_keeps_its_status_after_a_kill(
    way: str, is_on: bool, rig: Rig, emulator: Emulator, console: Console
) -> None:
    trigger = hooked(emulator, console)
    trigger.enabled = is_on

    def dies(name: str) -> None:
        if name == "after publish":
            trigger.enabled = not is_on  # as a server that makes them anew does
            raise Killed

    if way == "forward":
        with pytest.raises(Killed):
            await rig.rotate(HOOKED, checkpoint=dies)
    else:
        driven = await rig.rotate(HOOKED, wait=False, grace=3600.0)
        async with rig.bench(dies) as bench:
            with pytest.raises(Killed):
                await Driver(bench).drive(await turn_back(bench, driven.rotation))
    final = await rig.resume()
    assert final
    assert final.rotation.state is (State.DONE if way == "forward" else State.ROLLED_BACK)
    assert trigger.enabled == is_on


async def test_a_trigger_that_a_colleague_switches_while_nothing_was_published_stays_as_they_left_it(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    trigger = hooked(emulator, console)

    def dies(name: str) -> None:
        if name == "before publish":
            raise Killed

    with pytest.raises(Killed):
        await rig.rotate(HOOKED, checkpoint=dies)
    trigger.enabled = False
    async with rig.bench() as bench:
        await Driver(bench).drive(await turn_back(bench, bench.journal.open()[0]))
    assert not trigger.enabled


HOOKED = dataclasses.replace(CASES["env"], arguments=("wf-hook", "API_TOKEN"))


def hooked(emulator: Emulator, console: Console) -> Trigger:
    """Give wf-hook the variable, live, and return its trigger."""
    path = f"/apps/{console.app_id('wf-hook')}/workflows"
    draft = console.call("GET", f"{path}/draft")
    token = {"id": "0b7d2f60-3f0e-4c1e-9d53-1f8f4f8f0003", "name": "API_TOKEN", "value_type": "secret"}
    body = {part: draft[part] for part in ("graph", "features", "conversation_variables", "hash")}
    body["environment_variables"] = [{**token, "value": HOOKED.old, "description": ""}]
    console.call("POST", f"{path}/draft", body)
    console.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})
    return next(iter(emulator.app_named("wf-hook").triggers.values()))


async def test_a_version_with_an_edit_that_slipped_in_does_not_stay_live_after_a_kill_either(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    def colleague(name: str) -> None:
        if name == "before publish":
            console.edit_draft("wf-llm", "slipped in")
        if name == "after publish":
            raise Killed

    with pytest.raises(Killed):
        await rig.rotate(CASES["env"], checkpoint=colleague)
    final = await rig.resume()
    app = emulator.app_named("wf-llm")
    assert final
    assert final.rotation.state is State.DONE
    assert app.live
    assert app.live.graph["nodes"][0]["data"]["title"] not in ("slipped in", "a colleague's title")
    assert app.live.env["API_TOKEN"] == CASES["env"].new


async def test_the_way_back_works_after_the_former_version_was_deleted(rig: Rig, emulator: Emulator) -> None:
    app = emulator.app_named("wf-llm")
    assert app.live
    former = app.live.id
    driven = await rig.rotate(CASES["env"], wait=False, grace=3600.0)
    app.versions[:] = [version for version in app.versions if version.id != former]
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
    assert driven.rotation.state is State.ROLLED_BACK, driven.rotation
    assert app.live
    assert app.live.env["API_TOKEN"] == CASES["env"].old
    assert not rig.held()


async def test_a_rollback_by_somebody_else_during_the_grace_period_parks_it(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    driven = await rig.rotate(CASES["env"], wait=False, grace=3600.0)
    console.set_secret("wf-llm", "API_TOKEN", "canary-somebody-else")
    async with rig.bench() as bench:
        bench.journal.write(driven.rotation, "note", memo={"last_round": 0.0})
        driven = await Driver(bench, wait=False).drive(driven.rotation)
    assert driven.rotation.state is State.PARKED
    assert "another value" in str(driven.rotation.trouble)
