"""Every kind of secret, from start to end: the new one works, the old one does not, nothing is left over."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from difyops import signing_keys
from difyops.emulator import Emulator
from difyops.errors import NotSupported, Refused, UsageError
from difyops.ledger import Ledger
from difyops.rotation.engine import Driver, begin, turn_back
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.machine import State
from difyops.rotation.policy import RotationPolicy
from difyops.rotation.prepare import RotationRequest, prepare
from difyops.rotation.reading import WorkspaceReading
from difyops.secret_text import SecretText
from tests.rotation.rig import CASES, PROVIDER, QUICK, Case, Console, Rig, count_of, value_in_use

EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
HALF = pytest.mark.exhaustive(2)  # of the kinds in each run


@HALF
@EVERY
async def test_the_new_secret_is_in_use_and_the_only_one(case: Case, rig: Rig, emulator: Emulator) -> None:
    before = value_in_use(emulator, case.kind)
    driven = await rig.rotate(case)
    assert driven.rotation.state is State.DONE, driven.rotation
    now = value_in_use(emulator, case.kind)
    assert now != before
    assert now == case.new or not case.needs_value
    assert count_of(emulator, case.kind) == 1


@HALF
@EVERY
async def test_nothing_of_a_secret_stays_in_the_state_folder(case: Case, rig: Rig, emulator: Emulator) -> None:
    before = value_in_use(emulator, case.kind)
    await rig.rotate(case)
    assert not rig.held()
    texts = rig.texts()
    for secret in (before, value_in_use(emulator, case.kind)):
        assert secret.encode() not in texts


@HALF
@EVERY
async def test_a_revert_in_the_grace_period_brings_the_old_secret_back(
    case: Case, rig: Rig, emulator: Emulator
) -> None:
    before = value_in_use(emulator, case.kind)
    driven = await rig.rotate(case, wait=False, grace=3600.0)
    assert driven.rotation.state is State.GRACE
    async with rig.bench() as bench:
        driven = await Driver(bench).drive(await turn_back(bench, driven.rotation))
    assert driven.rotation.state is State.ROLLED_BACK, driven.rotation
    assert value_in_use(emulator, case.kind) == before
    assert count_of(emulator, case.kind) == 1
    assert not rig.held()


@HALF
@EVERY
async def test_a_rotation_that_is_done_cannot_be_reverted(case: Case, rig: Rig) -> None:
    driven = await rig.rotate(case)
    async with rig.bench() as bench:
        with pytest.raises(Refused, match="cannot be brought back"):
            await turn_back(bench, driven.rotation)


@HALF
@EVERY
async def test_the_audit_trail_names_every_change_and_is_whole(case: Case, rig: Rig) -> None:
    await rig.rotate(case)
    with Ledger.open(rig.state / "ledger.sqlite3") as ledger:
        trail = ledger.audit_trail()
        assert ledger.verify_chain() == []
    assert trail[-1].action == "secret.rotate"
    assert trail[-1].outcome == "done"
    assert all(entry.actor == "tester" for entry in trail)
    assert len(trail) >= 2
    assert any(entry.data.get("fingerprint") for entry in trail)


async def test_a_new_app_key_reaches_its_readers_before_the_old_one_dies(
    rig: Rig, emulator: Emulator, tmp_path: Path
) -> None:
    place = tmp_path / "reader" / "key"
    await rig.rotate(CASES["app-key"], RotationRequest(deliver=(f"file:{place}",), no_probe=True))
    assert place.read_text().strip() == value_in_use(emulator, "app-key")
    assert place.stat().st_mode & 0o777 == 0o600


async def test_a_command_gets_the_new_key_on_standard_input_and_never_as_a_word(
    rig: Rig, emulator: Emulator, tmp_path: Path
) -> None:
    script, place = tmp_path / "take.sh", tmp_path / "taken"
    script.write_text(f'#!/bin/sh\ncat > {place}\necho "$@" > {place}.words\nenv > {place}.env\n')
    script.chmod(0o700)
    await rig.rotate(CASES["app-key"], RotationRequest(deliver=(f"cmd:{script} put",), no_probe=True))
    key = value_in_use(emulator, "app-key")
    assert place.read_text() == key
    assert (tmp_path / "taken.words").read_text().split() == ["put"]
    assert key not in (tmp_path / "taken.env").read_text()


async def test_of_a_pair_of_keys_receivers_get_the_public_one(rig: Rig, tmp_path: Path) -> None:
    case, place, own = CASES["webhook-secret"], tmp_path / "theirs", Path.home() / "callback.secret"
    own.write_text("whsk_" + "A" * 43 + "=")
    await rig.rotate(case, RotationRequest(deliver=(f"file:{place}",), no_probe=True))
    assert own.read_text().startswith("whsk_")
    assert "AAAA" not in own.read_text()
    assert place.read_text().strip() == signing_keys.public_text(SecretText(own.read_text().strip()))
    own.write_text(place.read_text())
    with pytest.raises(UsageError, match="public key"):
        await rig.rotate(case, RotationRequest(no_probe=True))


async def test_a_reverted_app_key_is_given_back_to_its_readers(rig: Rig, emulator: Emulator, tmp_path: Path) -> None:
    place = tmp_path / "key"
    before = value_in_use(emulator, "app-key")
    asked = RotationRequest(deliver=(f"file:{place}",), no_probe=True)
    driven = await rig.rotate(CASES["app-key"], asked, wait=False, grace=3600.0)
    assert place.read_text().strip() != before
    async with rig.bench() as bench:
        await Driver(bench).drive(await turn_back(bench, driven.rotation))
    assert place.read_text().strip() == before


async def test_a_variable_changes_alone_and_the_colleagues_draft_stays(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    app = emulator.app_named("wf-llm")
    assert app.live
    assert app.draft
    before, graph, draft = dict(app.live.env), app.live.hash, app.draft.hash
    await rig.rotate(CASES["env"])
    app = emulator.app_named("wf-llm")
    assert app.live
    assert app.draft
    assert app.live.env == {**before, "API_TOKEN": CASES["env"].new}
    assert app.live.hash == graph
    assert app.draft.hash == draft != graph
    assert app.draft.env["API_TOKEN"] == CASES["env"].new, "the next publish would bring the old secret back"


async def test_a_variable_of_a_chatflow_is_rotated_too(rig: Rig, emulator: Emulator, console: Console) -> None:
    path = f"/apps/{console.app_id('flow-chat')}/workflows"
    draft = console.call("GET", f"{path}/draft")
    token = {"id": "0b7d2f60-3f0e-4c1e-9d53-1f8f4f8f0002", "name": "API_TOKEN", "value_type": "secret"}
    body = {part: draft[part] for part in ("graph", "features", "conversation_variables", "hash")}
    body["environment_variables"] = [{**token, "value": CASES["env"].old, "description": ""}]
    console.call("POST", f"{path}/draft", body)
    console.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})
    driven = await rig.rotate(dataclasses.replace(CASES["env"], arguments=("flow-chat", "API_TOKEN")))
    live = emulator.app_named("flow-chat").live
    assert driven.rotation.state is State.DONE, driven.rotation
    assert live
    assert live.env == {"API_TOKEN": CASES["env"].new}


async def test_a_variable_that_a_colleague_set_in_the_draft_stays_theirs(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    path = f"/apps/{console.app_id('wf-llm')}/workflows/draft"
    draft = console.call("GET", path)
    for item in draft["environment_variables"]:
        if item["name"] == "API_TOKEN":
            item["value"] = "canary-of-a-colleague"
    parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
    console.call("POST", path, {part: draft[part] for part in parts})
    await rig.rotate(CASES["env"])
    app = emulator.app_named("wf-llm")
    assert app.live
    assert app.live.env["API_TOKEN"] == CASES["env"].new
    assert app.env["API_TOKEN"] == "canary-of-a-colleague"


async def test_the_other_fields_of_a_credential_are_carried_over(rig: Rig, emulator: Emulator) -> None:
    provider = emulator.instance.provider
    assert provider.current
    provider.current.values["openai_api_base"] = "https://proxy.example.com/v1"
    await rig.rotate(CASES["provider"])
    assert provider.current
    assert provider.current.values["openai_api_base"] == "https://proxy.example.com/v1"


async def test_a_credential_that_is_not_in_use_is_replaced_without_a_switch(
    rig: Rig, emulator: Emulator, console: Console
) -> None:
    path = f"/workspaces/current/model-providers/{PROVIDER}/credentials"
    console.call("POST", path, {"name": "spare", "credentials": {"openai_api_key": "sk-good-canary-spare-1"}})
    in_use = value_in_use(emulator, "provider")

    async with rig.bench() as bench:
        wanted = ("provider", WantedSecret(arguments=(PROVIDER,), credential="spare"))
        planned = await prepare(
            bench, WorkspaceReading(bench.instance), wanted, RotationRequest(no_probe=True, grace=0.1), RotationPolicy()
        )
        planned = dataclasses.replace(planned, settings=QUICK)
        rotation = await begin(bench, planned, SecretText("sk-good-canary-spare-2"))
        driven = await Driver(bench).drive(rotation)
    assert driven.rotation.state is State.DONE
    assert value_in_use(emulator, "provider") == in_use
    assert len(console.provider_credentials()) == 2
    assert "spare" not in console.provider_credentials()


@pytest.mark.parametrize("kind", ["env", "provider", "model", "tool"])
async def test_a_server_that_lacks_the_calls_is_refused_before_anything_is_changed(kind: str, rig: Rig) -> None:
    async with rig.bench() as bench:
        bench.instance.capabilities.text = "1.6.0"
        with pytest.raises(NotSupported):
            await rig.plan(bench, CASES[kind])
