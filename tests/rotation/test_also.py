"""A credential with two secrets: the server shows neither, so both are given, each by a reference of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keyring
import pytest

from difyops.emulator import Emulator, canned
from difyops.emulator.providers import Credential
from difyops.errors import Refused, UsageError
from difyops.rotation.engine import Driver, begin, turn_back
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.machine import State
from difyops.rotation.policy import RotationPolicy
from difyops.rotation.prepare import RotationRequest, prepare
from difyops.rotation.reading import WorkspaceReading
from difyops.rotation.record import PlannedRotation
from difyops.secret_text import SecretText
from tests.conftest import Cli
from tests.rotation.rig import CASES, MODEL, PROVIDER, QUICK, Case, Rig
from tests.rotation.test_parts import InMemory

FIELD, SECOND = "openai_api_key", "proxy_api_key"
OLD_SECOND, NEW_SECOND = "canary-second-old-0001", "canary-second-new-0002"
GIVEN = {SECOND: "env:SECOND"}
BOTH = pytest.mark.parametrize("case", [CASES["provider"], CASES["model"]], ids=lambda case: case.kind)


@pytest.fixture(autouse=True)
def two_secrets(emulator: Emulator, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the provider's and the model's form ask for a second secret, and fill it in."""
    original = canned._text
    monkeypatch.setattr(canned, "_text", lambda name: with_second(original(name)))
    monkeypatch.setenv("SECOND", NEW_SECOND)
    for credential in stored(emulator):
        credential.values[SECOND] = OLD_SECOND


def with_second(text: str) -> str:
    body = json.loads(text)
    for part in ("provider_credential_schema", "model_credential_schema"):
        for row in (body.get(part) or {}).get("credential_form_schemas", ()) if isinstance(body, dict) else ():
            if row["variable"] == "openai_api_base":
                row.update(variable=SECOND, type="secret-input")
    return json.dumps(body)


def stored(emulator: Emulator) -> list[Credential]:
    provider = emulator.instance.provider
    return [*provider.credentials, *provider.custom[0].credentials]


async def planned(rig: Rig, bench: Any, case: Case, **asked: Any) -> PlannedRotation:
    wanted = WantedSecret(arguments=case.arguments, field=FIELD)
    given = RotationRequest(no_probe=True, grace=0.1, **asked)
    return await prepare(bench, WorkspaceReading(bench.instance), (case.kind, wanted), given, RotationPolicy())


@BOTH
async def test_a_second_secret_that_is_not_given_is_asked_for_by_name(case: Case, rig: Rig) -> None:
    async with rig.bench() as bench:
        with pytest.raises(Refused, match="other secrets") as caught:
            await planned(rig, bench, case)
    assert caught.value.hint == f"--also {SECOND}=REF"


@BOTH
@pytest.mark.parametrize("hold", ["file", "keyring"])
async def test_a_second_secret_is_carried_over_and_forgotten(
    case: Case, hold: str, rig: Rig, emulator: Emulator
) -> None:
    before, here = keyring.get_keyring(), InMemory()
    keyring.set_keyring(here)
    try:
        async with rig.bench() as bench:
            bench = replace(bench, hold=hold)
            plan = await planned(rig, bench, case, also_from=GIVEN)
            plan = replace(plan, settings=QUICK)
            rotation = await begin(bench, plan, SecretText(case.new), {SECOND: SecretText(NEW_SECOND)})
            driven = await Driver(bench).drive(rotation)
    finally:
        keyring.set_keyring(before)
    assert driven.rotation.state is State.DONE, driven.rotation
    now = stored(emulator)[0 if case.kind == "provider" else 1]
    assert now.values == {FIELD: case.new, SECOND: NEW_SECOND}
    assert not here.entries
    assert not rig.held()
    for secret in (NEW_SECOND, case.new):
        assert secret.encode() not in rig.texts()


async def test_a_second_secret_survives_a_kill_before_it_was_stored(rig: Rig, emulator: Emulator) -> None:
    async with rig.bench() as bench:
        plan = await planned(rig, bench, CASES["provider"], also_from=GIVEN)
        await begin(bench, plan, SecretText(CASES["provider"].new))  # cut off before the second one was held
    driven = await rig.resume()
    assert driven
    assert driven.rotation.state is State.DONE
    assert stored(emulator)[0].values[SECOND] == NEW_SECOND


async def test_a_second_secret_that_a_colleague_fills_in_meanwhile_is_never_stored_as_stars(
    rig: Rig, emulator: Emulator
) -> None:
    del stored(emulator)[0].values[SECOND]
    async with rig.bench() as bench:
        plan = await planned(rig, bench, CASES["provider"])
        rotation = await begin(bench, plan, SecretText(CASES["provider"].new))
        stored(emulator)[0].values[SECOND] = OLD_SECOND
        driven = await Driver(bench).drive(rotation)
    assert driven.rotation.state is State.ROLLED_BACK
    assert SECOND in str(driven.rotation.went_back)
    assert stored(emulator)[0].values[SECOND] == OLD_SECOND


async def test_the_way_back_restores_both(rig: Rig, emulator: Emulator) -> None:
    async with rig.bench() as bench:
        plan = await planned(rig, bench, CASES["provider"], also_from=GIVEN)
        rotation = await begin(bench, plan, SecretText(CASES["provider"].new), {SECOND: SecretText(NEW_SECOND)})
        driven = await Driver(bench, wait=False).drive(rotation)
        driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
    assert driven.rotation.state is State.ROLLED_BACK
    current = emulator.instance.provider.current
    assert current
    assert current.values[SECOND] == OLD_SECOND


@pytest.mark.parametrize(
    ("others", "words"), [({FIELD: "env:SECOND"}, "being replaced"), ({"no_such": "env:SECOND"}, "no such secret")]
)
async def test_a_field_that_is_not_another_secret_is_a_usage_error(
    others: dict[str, str], words: str, rig: Rig
) -> None:
    async with rig.bench() as bench:
        with pytest.raises(UsageError, match=words):
            await planned(rig, bench, CASES["provider"], also_from=others)


@pytest.mark.parametrize(
    "words",
    [
        ("app-key", "wf-echo", "--also", "x=env:SECOND", "--by-hand"),
        ("dataset-key", "--field", "x", "--by-hand"),
        ("env", "wf-llm", "API_TOKEN", "--value-from", "env:SECOND", "--also", "x=env:SECOND"),
        ("env", "wf-llm", "API_TOKEN", "--value-from", "env:SECOND", "--credential", "x"),
        ("provider", PROVIDER, "--value-from", "env:NEW", "--also", "canary-not-a-reference"),
        ("provider", PROVIDER, "--value-from", "env:NEW", "--also", f"{SECOND}=canary-not-a-reference"),
        ("provider", PROVIDER, "--value-from", "env:NEW", "--also", f"{SECOND}=-"),
        ("provider", PROVIDER, "--value-from", "env:NEW", *["--also", f"{SECOND}=env:SECOND"] * 2),
        ("model", PROVIDER, MODEL, "--value-from", "env:NEW", "--also", f"{FIELD}=env:SECOND"),
    ],
)
def test_options_that_say_nothing_there_are_usage_errors(
    words: tuple[str, ...], cli: Cli, rig: Rig, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(rig, emulator, monkeypatch)
    ran = cli("secret", "rotate", *words, "--yes")
    assert ran.code == 2, ran.err
    assert "canary-not-a-reference" not in ran.out + ran.err


def test_the_command_line_takes_the_second_secret(
    cli: Cli, rig: Rig, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(rig, emulator, monkeypatch)
    words = ("--value-from", "env:NEW", "--field", FIELD, "--also", f"{SECOND}=env:SECOND", "--no-probe")
    ran = cli("secret", "rotate", "provider", PROVIDER, *words, "--grace", "100ms", "--yes", "-vv")
    assert ran.code == 0, ran.err
    assert stored(emulator)[0].values[SECOND] == NEW_SECOND
    assert NEW_SECOND not in ran.out + ran.err
    written = b"".join(path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file())
    assert NEW_SECOND.encode() not in written


def point_at(rig: Rig, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFY_BASE_URL", rig.url)
    monkeypatch.setenv("DIFY_ADMIN_API_KEY", str(emulator.admin_key))
    monkeypatch.setenv("DIFY_WORKSPACE_ID", rig.workspace_id)
    monkeypatch.setenv("NEW", CASES["provider"].new)
