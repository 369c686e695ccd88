"""Moods change what callers see, and only that; switching them off brings the instance back."""

from __future__ import annotations

import pytest

from difyops.emulator import MOODS
from difyops.emulator.routes.service_datasets import new_dataset, new_document
from difyops.errors import UsageError
from tests.emulator.door import Door, events
from tests.emulator.replay import ShiftedClock
from tests.waiting import until

OPENAI = "/workspaces/current/model-providers/langgenius/openai/openai"


async def credentials(door: Door) -> dict[str, str]:
    """Return the provider's credential ids by name."""
    listed = (await door.console("GET", "/workspaces/current/model-providers")).json()["data"][0]
    known = listed["custom_configuration"]["available_credentials"]
    return {item["credential_name"]: item["credential_id"] for item in known}


def test_an_unknown_mood_is_refused_and_every_mood_has_a_sentence():
    door = Door()
    with pytest.raises(UsageError, match="happy"):
        door.emulator.control.mood("sulky")
    assert all(text.endswith(".") for text in MOODS.values())


async def test_happy_switches_all_others_off():
    door = Door()
    for name in MOODS:
        door.emulator.control.mood(name)
    door.emulator.control.mood("happy")
    assert door.emulator.control.moods == frozenset()
    assert (await door.run(door.emulator.app_named("wf-echo"), text="x")).status_code == 200


async def test_flaky_fails_every_third_request_before_doing_anything():
    door = Door()
    door.emulator.control.mood("flaky")
    statuses = [(await door.console("POST", "/tags", {"name": f"t{n}", "type": "app"})).status_code for n in range(6)]
    assert statuses == [200, 200, 503, 200, 200, 504]
    assert len(door.emulator.instance.tags) == 4


async def test_rate_limited_says_when_to_come_back_and_the_retry_succeeds():
    door = Door()
    door.emulator.control.mood("rate_limited")
    first, second = await door.console("GET", "/apps"), await door.console("GET", "/apps")
    assert (first.status_code, first.headers["retry-after"], second.status_code) == (429, "1", 200)


async def test_an_expired_session_is_renewed_by_refresh_and_a_dead_one_only_by_login():
    door = Door()
    control = door.emulator.control
    body = {"email": door.emulator.email, "password": "UGFzc3cwcmQhMQ=="}
    await door.client.post("/console/api/login", json=body)

    async def profile() -> int:
        csrf = door.client.cookies["csrf_token"]
        return (await door.client.get("/console/api/account/profile", headers={"x-csrf-token": csrf})).status_code

    assert await profile() == 200
    control.mood("expired_session")
    assert await profile() == 401
    assert (await door.client.post("/console/api/refresh-token")).status_code == 200
    assert await profile() == 200
    control.mood("dead_session")
    assert await profile() == 401
    assert (await door.client.post("/console/api/refresh-token")).status_code == 401
    assert (await door.client.post("/console/api/login", json=body)).status_code == 200
    assert await profile() == 200


async def test_a_provider_that_is_down_fails_runs_and_nothing_else():
    door = Door()
    door.emulator.control.mood("provider_down")
    chat = await door.ask(door.emulator.app_named("chat-basic"))
    assert (chat.status_code, chat.json()["code"]) == (400, "completion_request_error")
    run = (await door.run(door.emulator.app_named("wf-llm"), query="q")).json()["data"]
    assert (run["status"], "503" in run["error"]) == ("failed", True)
    assert (await door.run(door.emulator.app_named("wf-echo"), text="x")).json()["data"]["status"] == "succeeded"


async def test_runs_that_waited_for_a_worker_are_executed_when_it_comes_back():
    door = Door(speed=5000.0)
    app = door.emulator.app_named("wf-echo")
    door.emulator.control.mood("worker_down")
    assert events(await door.run(app, "streaming", text="late")) == []
    assert (await door.run(app, text="now")).json()["data"]["status"] == "succeeded", "blocking runs need no worker"
    assert len(app.runs) == 1
    door.emulator.control.mood("worker_down", False)
    await door.console("GET", "/apps")
    await until(lambda: len(app.runs) == 2 and app.runs[1].status == "succeeded")
    assert [run.outputs["result"] for run in app.runs] == ["echo: NOW (3)", "echo: LATE (4)"]


async def test_a_half_written_import_leaves_an_app_without_draft_or_a_draft_without_variables():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    text = await door.export(app, include_secret="true")
    door.emulator.control.mood("half_written_import")
    assert (await door.load(text, name="half")).status_code == 500
    assert door.emulator.app_named("half").draft is None
    assert (await door.load(text, app_id=app.id)).status_code == 500
    assert app.env == {}
    assert app.live_env["API_TOKEN"] == "tok-secret-123456789"


async def test_a_stale_switch_goes_on_using_the_old_key_until_it_is_made_again():
    door = Door()
    await door.console(
        "POST", f"{OPENAI}/credentials", {"credentials": {"openai_api_key": "sk-good-2-next"}, "name": "next"}
    )
    door.emulator.control.mood("stale_switch")
    wanted = (await credentials(door))["next"]
    app = door.emulator.app_named("wf-llm")

    async def used() -> set[object]:
        door.emulator.control.reset_counts()
        await door.run(app, query="q")
        keys = door.emulator.control.counts()["provider_keys"]
        assert isinstance(keys, dict)
        return set(keys)

    await door.console("POST", f"{OPENAI}/credentials/switch", {"credential_id": wanted})
    shown = [
        (await door.console("GET", f"{OPENAI}/credentials{query}")).text for query in ("", f"?credential_id={wanted}")
    ]
    assert shown[0] != shown[1], "the mask in use differs from the mask of the current credential"
    assert await used() == {"sk-good-1"}
    old = (await credentials(door))["primary"]
    await door.console("DELETE", f"{OPENAI}/credentials", {"credential_id": old})
    assert await used() == {"sk-good-1"}, "deleting the old credential does not help"
    await door.console("POST", f"{OPENAI}/credentials/switch", {"credential_id": wanted})
    assert await used() == {"sk-good-2-next"}


async def test_a_ghost_key_is_accepted_for_a_while_after_its_deletion():
    clock = ShiftedClock()
    door = Door(speed=1.0, clock=clock)
    app = door.emulator.app_named("wf-echo")
    token, key = app.key, app.keys[0].id
    door.emulator.control.mood("ghost_keys")
    assert (await door.console("DELETE", f"/apps/{app.id}/api-keys/{key}")).status_code == 204
    assert (await door.console("DELETE", f"/apps/{app.id}/api-keys/{key}")).status_code == 404
    assert (await door.service(token, "GET", "/info")).status_code == 200
    clock.offset += 601
    assert (await door.service(token, "GET", "/info")).status_code == 401


async def test_a_busy_editor_makes_every_save_a_conflict():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    door.emulator.control.mood("busy_editor")
    for _ in range(2):
        assert (await door.save(app, await door.draft(app))).status_code == 409


async def test_documents_that_fail_to_index_can_be_retried():
    clock = ShiftedClock()
    door = Door(speed=1.0, clock=clock)
    instance = door.emulator.instance
    dataset = new_dataset(instance, "kb")
    door.emulator.control.mood("indexing_fails")
    document = new_document(instance, dataset, "d", "zebras and llamas")
    clock.offset += 4
    failed = (await door.console("GET", f"/datasets/{dataset.id}/error-docs")).json()
    assert (failed["total"], failed["data"][0]["id"]) == (1, document.id)
    door.emulator.control.mood("indexing_fails", False)
    retried = await door.console("POST", f"/datasets/{dataset.id}/retry", {"document_ids": [document.id]})
    clock.offset += 4
    listed = (await door.console("GET", f"/datasets/{dataset.id}/indexing-status")).json()["data"]
    assert (retried.status_code, listed[0]["indexing_status"]) == (204, "completed")


async def test_redis_down_breaks_login_and_runs_and_leaves_reads_alone():
    door = Door()
    door.emulator.control.mood("redis_down")
    assert (await door.console("GET", "/apps")).status_code == 200
    assert (await door.console("GET", "/workspaces/current/model-providers")).status_code == 500
    run = await door.run(door.emulator.app_named("wf-echo"), text="x")
    assert (run.status_code, run.json()["code"]) == (500, "internal_server_error")
    with pytest.raises(ConnectionResetError):
        await door.run(door.emulator.app_named("wf-echo"), "streaming", text="x")
