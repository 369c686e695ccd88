"""Guards: limits, roles, two at once, clocks that jump, words that do not fit."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from difyops.api.auth import Login
from difyops.api.session import SessionFile
from difyops.clock import SystemClock
from difyops.emulator import Emulator
from difyops.errors import Forbidden, LockHeld, Refused, SelectorError, UsageError
from difyops.rotation.engine import Driver, begin
from difyops.rotation.kinds import WantedSecret, kind_named
from difyops.rotation.machine import State
from difyops.rotation.policy import RotationPolicy
from difyops.rotation.prepare import RotationRequest, prepare
from difyops.rotation.reading import WorkspaceReading
from difyops.secret_text import SecretText
from tests.rotation.rig import CASES, PROVIDER, Case, Console, Rig, count_of, value_in_use

PROBED = RotationRequest(probes=("wf-llm",))
WRONG = Case(kind="provider", arguments=(PROVIDER,), old="sk-good-1", new="sk-bad-canary-0001")


async def test_ten_keys_leave_no_room_and_nothing_is_created(rig: Rig, emulator: Emulator, console: Console) -> None:
    for _ in range(9):
        console.call("POST", f"/apps/{console.app_id('wf-echo')}/api-keys")
    first = emulator.app_named("wf-echo").keys[0].id
    async with rig.bench() as bench:
        with pytest.raises(SelectorError, match="10 keys"):
            await rig.plan(bench, CASES["app-key"])
        wanted = WantedSecret(arguments=("wf-echo",), credential=first)
        with pytest.raises(Refused, match="no room"):
            await kind_named("app-key").plan(bench.instance, WorkspaceReading(bench.instance), wanted)
    assert len(emulator.app_named("wf-echo").keys) == 10


async def test_a_key_that_a_colleague_creates_in_the_last_free_place_is_theirs(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    path = f"/apps/{console.app_id('wf-echo')}/api-keys"
    for _ in range(8):
        console.call("POST", path)
    first, theirs = emulator.app_named("wf-echo").keys[0].id, []

    def colleague(name: str) -> None:
        if name == "before create key":
            theirs.append(console.call("POST", path)["token"])

    async with rig.bench(colleague) as bench:
        wanted = ("app-key", WantedSecret(arguments=("wf-echo",), credential=first))
        planned = await prepare(
            bench,
            WorkspaceReading(bench.instance),
            wanted,
            RotationRequest(no_probe=True, by_hand=True),
            RotationPolicy(),
        )
        driven = await Driver(bench).drive(await begin(bench, planned, None))
    assert driven.rotation.state is State.ROLLED_BACK
    assert [console.status(key) for key in theirs] == [200]
    assert len(emulator.app_named("wf-echo").keys) == 10


async def test_an_editor_who_could_create_but_not_delete_a_key_is_refused_first(rig: Rig, emulator: Emulator) -> None:
    async with rig.bench() as bench:
        bench.instance.console.auth = await login_of(rig, emulator, "editor")
        with pytest.raises(Forbidden, match="editor"):
            await rig.plan(bench, CASES["app-key"])
    assert len(emulator.app_named("wf-echo").keys) == 1


async def login_of(rig: Rig, emulator: Emulator, role: str):
    account = emulator.account(role)
    return Login(
        base_url=rig.url,
        email=account.email,
        password=lambda: SecretText(account.password),
        store=SessionFile.of(rig.state, rig.url, account.email),
    )


async def test_two_rotations_of_one_secret_are_refused(rig: Rig) -> None:
    await rig.rotate(CASES["provider"], wait=False, grace=3600.0)
    async with rig.bench() as bench:
        with pytest.raises(Refused, match="open already"):
            await rig.plan(bench, CASES["provider"])


async def test_two_that_begin_at_once_end_as_one(rig: Rig, emulator: Emulator) -> None:
    results = await asyncio.gather(*[rig.rotate(CASES["app-key"]) for _ in range(3)], return_exceptions=True)
    done = [result for result in results if not isinstance(result, BaseException)]
    assert len(done) == 1
    assert all(isinstance(result, LockHeld | Refused) for result in results if isinstance(result, BaseException))
    assert count_of(emulator, "app-key") == 1


async def test_somebody_else_who_resumes_what_is_being_driven_waits_or_is_refused(rig: Rig, emulator: Emulator) -> None:
    driven = await rig.rotate(CASES["provider"], wait=False, grace=1.5)

    async def finish() -> State:
        async with rig.bench() as bench:
            return (await Driver(bench).drive(driven.rotation)).rotation.state

    results = await asyncio.gather(*[finish() for _ in range(3)], return_exceptions=True)
    assert State.DONE in results
    assert all(result is State.DONE or isinstance(result, LockHeld) for result in results)
    assert count_of(emulator, "provider") == 1


async def test_a_clock_that_jumps_ahead_does_not_shorten_a_grace_period_being_watched(rig: Rig) -> None:
    clock = Jumping()
    rig.clock = clock

    def jump(name: str) -> None:
        if name == "after switch again":
            clock.jump(timedelta(days=2))

    started = clock.monotonic()
    driven = await rig.rotate(CASES["provider"], checkpoint=jump, grace=1.5)
    clock.jump(timedelta(days=400))
    assert driven.rotation.state is State.DONE
    assert clock.monotonic() - started >= 1.5


async def test_a_clock_that_jumps_back_does_not_hold_it_for_ever(rig: Rig) -> None:
    clock = Jumping()
    rig.clock = clock
    driven = await rig.rotate(CASES["provider"], wait=False, grace=10.0)
    clock.jump(timedelta(days=-300))
    async with rig.bench() as bench:
        driven = await Driver(bench, wait=False).drive(driven.rotation)
    assert driven.rotation.state is State.GRACE
    clock.jump(timedelta(seconds=11))
    final = await rig.resume()
    assert final
    assert final.rotation.state is State.DONE


async def test_a_secret_that_is_an_ordinary_word_of_the_plan_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("difyops.secret_text._known", set())
    monkeypatch.setattr("difyops.secret_text._by_beginning", {})
    wrong = Case(kind="env", arguments=("wf-llm", "API_TOKEN"), new="switched")
    async with rig.bench() as bench:
        planned = await rig.plan(bench, wrong)
        with pytest.raises(Refused, match="ordinary word"):
            await begin(bench, planned, SecretText(wrong.new))


@pytest.mark.parametrize("word", ["API_TOKEN", "wf-llm", "prod", "rolling_back"])
async def test_a_placeholder_in_the_place_of_the_old_value_never_breaks_the_journal(
    word: str, rig: Rig, emulator: Emulator, console: Console
) -> None:
    console.set_secret("wf-llm", "API_TOKEN", word)
    driven = await rig.rotate(CASES["env"])
    if word == "prod":  # too short to be hidden anywhere, so nothing can break
        assert driven.rotation.state is State.DONE
    else:
        assert driven.rotation.state is State.ROLLED_BACK
        assert "ordinary word" in str(driven.rotation.went_back)
        assert value_in_use(emulator, "env") == word
    async with rig.bench() as bench:
        assert bench.journal.open() == []


async def test_words_that_do_not_fit_the_kind_are_refused(rig: Rig) -> None:
    async with rig.bench() as bench:
        with pytest.raises(UsageError, match="APP NAME"):
            await rig.plan(bench, Case(kind="env", arguments=("wf-llm",)))
        with pytest.raises(SelectorError, match="no variable"):
            await rig.plan(bench, Case(kind="env", arguments=("wf-llm", "NOPE")))
        with pytest.raises(UsageError, match="cannot be written"):
            await rig.plan(bench, CASES["app-key"], RotationRequest(deliver=("env:X",), no_probe=True))


async def test_a_value_that_is_live_already_is_no_rotation(rig: Rig, emulator: Emulator) -> None:
    same = Case(kind="env", arguments=("wf-llm", "API_TOKEN"), new=CASES["env"].old)
    live = emulator.app_named("wf-llm").live
    driven = await rig.rotate(same)
    assert driven.rotation.state is State.ROLLED_BACK
    assert "is live" in str(driven.rotation.went_back)
    assert emulator.app_named("wf-llm").live is live


@pytest.mark.parametrize("kind", ["string", "number"])
async def test_only_a_variable_that_can_hold_a_secret_is_rotated(kind: str, rig: Rig, console: Console) -> None:
    path = f"/apps/{console.app_id('flow-chat')}/workflows"
    draft = console.call("GET", f"{path}/draft")
    variable = {"id": "0b7d2f60-3f0e-4c1e-9d53-1f8f4f8f0002", "name": "LIMIT", "value_type": kind, "description": ""}
    body = {part: draft[part] for part in ("graph", "features", "conversation_variables", "hash")}
    body["environment_variables"] = [{**variable, "value": 7 if kind == "number" else "seven"}]
    console.call("POST", f"{path}/draft", body)
    console.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})
    case = Case(kind="env", arguments=("flow-chat", "LIMIT"), new="canary-limit-0001")
    async with rig.bench() as bench:
        if kind == "number":
            with pytest.raises(SelectorError, match="no variable"):
                await rig.plan(bench, case)
        else:
            planned = await rig.plan(bench, case)
            assert any("not a secret variable" in warning for warning in planned.warnings)


class Jumping(SystemClock):
    """A wall clock that somebody sets; the monotonic one goes on."""

    offset: list[timedelta]

    def __init__(self) -> None:
        object.__setattr__(self, "offset", [])

    def now(self) -> datetime:
        return super().now() + sum(self.offset, timedelta())

    def jump(self, by: timedelta) -> None:
        self.offset.append(by)
