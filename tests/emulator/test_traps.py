"""The traps of the platform behave as they were observed, version by version."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.emulator.door import Door, events
from tests.emulator.replay import ShiftedClock
from tests.waiting import until

ALL = ("1.9.1", "1.11.2", "1.13.0", "1.13.3", "1.15")


def test_an_unknown_version_is_refused_with_the_list_of_those_there_are():
    with pytest.raises(Exception, match=r"1\.13\.0"):
        Door("1.2.3")


@pytest.mark.parametrize("version", ALL)
async def test_importing_without_secrets_blanks_them_and_the_run_still_succeeds(version: str):
    door = Door(version)
    app = door.emulator.app_named("wf-llm")
    assert (await door.run(app, query="hi")).json()["data"]["outputs"]["result"].endswith("[tok=tok-secret-123456789]")
    await door.load(await door.export(app), app_id=app.id)
    assert app.env["API_TOKEN"] == ""
    assert app.live_env["API_TOKEN"] == "tok-secret-123456789", "the import touches the draft only"
    await door.console("POST", f"/apps/{app.id}/workflows/publish", {})
    data = (await door.run(app, query="hi")).json()["data"]
    assert (data["status"], data["outputs"]["result"]) == ("succeeded", "echo: Hello hi [tok=]")


@pytest.mark.parametrize("version", ALL)
async def test_a_cut_edge_publishes_and_succeeds_with_no_outputs(version: str):
    door = Door(version)
    app = door.emulator.app_named("wf-llm")
    draft = await door.draft(app)
    draft["graph"]["edges"] = [edge for edge in draft["graph"]["edges"] if edge["source"] != "llm"]
    assert (await door.save(app, draft)).status_code == 200
    await door.console("POST", f"/apps/{app.id}/workflows/publish", {})
    data = (await door.run(app, query="hi")).json()["data"]
    assert (data["status"], data["outputs"]) == ("succeeded", {})


@pytest.mark.parametrize(("version", "kept"), [("1.13.0", False), ("1.13.3", True), ("1.15", True)])
async def test_stars_sent_back_become_the_secret_or_keep_it_by_version(version: str, kept: bool):
    door = Door(version)
    app = door.emulator.app_named("wf-llm")
    await door.save(app, await door.draft(app))
    assert app.env["API_TOKEN"] == ("tok-secret-123456789" if kept else "*" * 20)


@pytest.mark.parametrize("version", ALL)
async def test_the_hidden_marker_with_its_id_keeps_the_secret_everywhere(version: str):
    door = Door(version)
    app = door.emulator.app_named("wf-llm")
    draft = await door.draft(app)
    draft["environment_variables"][0]["value"] = "[__HIDDEN__]"
    await door.save(app, draft)
    assert app.env["API_TOKEN"] == "tok-secret-123456789"


async def test_variables_left_out_are_deleted_and_the_hash_does_not_move():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    draft = await door.draft(app)
    del draft["environment_variables"]
    answer = await door.save(app, draft)
    assert answer.json()["hash"] == draft["hash"]
    assert app.env == {}


async def test_saving_with_an_old_hash_is_a_conflict_and_changes_nothing():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    draft = await door.draft(app)
    changed = {**draft, "graph": {**draft["graph"], "viewport": {"x": 1, "y": 1, "zoom": 2}}}
    assert (await door.save(app, changed)).status_code == 200
    assert (await door.save(app, draft)).status_code == 409
    assert (await door.draft(app))["graph"]["viewport"]["zoom"] == 2


async def test_an_empty_graph_answers_500_and_is_stored_all_the_same():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    draft = await door.draft(app)
    assert (await door.save(app, {**draft, "graph": {}})).status_code == 500
    assert (await door.draft(app))["graph"] == {}


@pytest.mark.parametrize(("version", "left"), [("1.13.0", 1), ("1.13.3", 1), ("1.15", 0)])
async def test_a_failed_import_leaves_an_orphan_app_on_older_releases(version: str, left: int):
    door = Door(version)
    answer = await door.load("version: 0.6.0\nkind: app\napp:\n  mode: workflow\n  name: orphan\n")
    assert (answer.status_code, answer.json()["app_id"]) == (400, None)
    assert sum(app.name == "orphan" for app in door.emulator.instance.apps.values()) == left


async def test_a_failed_overwrite_is_not_rolled_back():
    door = Door("1.15")
    app = door.emulator.app_named("wf-llm")
    text = (await door.export(app)).replace("version: 0.6.0", "version: abc")
    answer = await door.load(text, app_id=app.id)
    assert (answer.status_code, answer.json()["status"]) == (400, "failed")
    assert app.env["API_TOKEN"] == ""


async def test_a_pending_import_can_be_confirmed_for_ten_minutes_only():
    clock = ShiftedClock()
    door = Door(speed=1.0, clock=clock)
    text = (await door.export(door.emulator.app_named("wf-echo"))).replace("version: 0.6.0", "version: 0.7.0")
    answer = await door.load(text)
    assert answer.status_code == 202
    clock.offset += 601
    late = await door.console("POST", f"/apps/imports/{answer.json()['id']}/confirm")
    assert (late.status_code, late.json()["error"]) == (400, "Import information expired or does not exist")


async def test_overwriting_keeps_webhook_address_and_trigger_state_and_a_new_app_gets_its_own():
    door = Door()
    app = door.emulator.app_named("wf-hook")
    webhook = app.webhooks["hook"].webhook_id
    trigger = app.triggers["hook"].id
    await door.console("POST", f"/apps/{app.id}/trigger-enable", {"trigger_id": trigger, "enable_trigger": False})
    text = await door.export(app)
    await door.load(text, app_id=app.id)
    await door.console("POST", f"/apps/{app.id}/workflows/publish", {})
    assert (app.webhooks["hook"].webhook_id, app.triggers["hook"].enabled) == (webhook, False)
    other = (await door.load(text)).json()["app_id"]
    assert door.emulator.instance.apps[other].webhooks["hook"].webhook_id != webhook


async def test_trigger_enable_answers_400_on_the_newest_release_although_it_did():
    door = Door("1.15")
    app = door.emulator.app_named("wf-hook")
    body = {"trigger_id": app.triggers["hook"].id, "enable_trigger": False}
    assert (await door.console("POST", f"/apps/{app.id}/trigger-enable", body)).status_code == 400
    assert app.triggers["hook"].enabled is False


async def test_datasets_of_another_workspace_vanish_silently_on_import():
    door, other = Door(apps=30), Door(seed=8)
    source = next(app for app in door.emulator.instance.apps.values() if app.draft and '"kb"' in app.draft.graph_text)
    answer = await other.load(await door.export(source))
    app = other.emulator.instance.apps[answer.json()["app_id"]]
    assert answer.json()["status"] == "completed"
    assert app.draft is not None
    found = [node["data"]["dataset_ids"] for node in app.draft.graph["nodes"] if node["id"] == "kb"]
    assert found == [[]]
    back = (await door.load(await door.export(source))).json()["app_id"]
    draft = door.emulator.instance.apps[back].draft
    assert draft is not None
    assert [node["data"]["dataset_ids"] for node in draft.graph["nodes"] if node["id"] == "kb"] != [[]]


async def test_a_version_can_run_without_being_live_and_brings_its_old_secret():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    first = app.versions[0].id
    draft = await door.draft(app)
    draft["environment_variables"][0]["value"] = "tok-new"
    await door.save(app, draft)
    await door.console("POST", f"/apps/{app.id}/workflows/publish", {})
    now = (await door.run(app, query="q")).json()["data"]["outputs"]["result"]
    then = (await door.run(app, path=f"/workflows/{first}/run", query="q")).json()["data"]["outputs"]["result"]
    assert (now, then) == ("echo: Hello q [tok=tok-new]", "echo: Hello q [tok=tok-secret-123456789]")


@pytest.mark.parametrize(("version", "status"), [("1.9.1", 404), ("1.13.0", 404), ("1.13.3", 200), ("1.15", 200)])
async def test_restore_exists_from_1_13_3_on(version: str, status: int):
    door = Door(version)
    app = door.emulator.app_named("wf-llm")
    answer = await door.console("POST", f"/apps/{app.id}/workflows/{app.versions[0].id}/restore", {})
    assert answer.status_code == status


@pytest.mark.parametrize(("version", "said", "row"), [("1.13.0", "stopped", "running"), ("1.15", "failed", "stopped")])
async def test_after_a_stop_stream_and_row_disagree_on_older_releases(version: str, said: str, row: str):
    door = Door(version, speed=20.0)
    app = door.emulator.app_named("wf-echo")
    running = asyncio.create_task(door.run(app, "streaming", text="slow", secs=40))
    await until(lambda: app.runs)
    await until(lambda: app.runs[0].nodes[-1:] and app.runs[0].nodes[-1].node_type == "code")
    await door.service(app.key, "POST", f"/workflows/tasks/{app.runs[0].task_id}/stop", {"user": "somebody-else"})
    last = events(await running)[-1]
    assert (last["event"], last["data"]["status"], app.runs[0].status) == ("workflow_finished", said, row)


async def test_too_many_requests_for_one_app_is_a_400_and_streaming_takes_two_slots():
    door = Door(speed=20.0)
    app = door.emulator.app_named("chat-basic")
    app.max_active_requests = 3
    answers = await asyncio.gather(*(door.ask(app, f"[[delay=4]] {number}") for number in range(6)))
    refused = [answer.json() for answer in answers if answer.status_code == 400]
    assert len(refused) == 3
    assert all(body["code"] == "invalid_param" and "Too many requests" in body["message"] for body in refused)
    echo = door.emulator.app_named("wf-echo")
    echo.max_active_requests = 1
    assert (await door.run(echo, text="x")).status_code == 200
    assert (await door.run(echo, "streaming", text="x")).status_code == 400
    assert (app.active, echo.active) == (0, 0)


@pytest.mark.parametrize(
    ("version", "what"), [("1.11.2", 400), ("1.13.0", "silence"), ("1.13.3", "silence"), ("1.15", "error")]
)
async def test_streaming_with_bad_inputs_by_version(version: str, what: Any):
    answer = await Door(version, speed=5000.0).run(Door(version).emulator.app_named("wf-echo"), "streaming")
    if what == 400:
        assert answer.json()["message"] == "text is required in input form"
    elif what == "silence":
        assert answer.text == "event: ping\n\n"
    else:
        assert [event["event"] for event in events(answer)] == ["error"]


@pytest.mark.parametrize(("version", "works"), [("1.9.1", True), ("1.13.0", False), ("1.13.3", True), ("1.15", True)])
async def test_a_blocking_chatflow_call_never_answers_on_1_13_0(version: str, works: bool):
    door = Door(version, speed=5000.0)
    app = door.emulator.app_named("flow-chat")
    answer = await door.ask(app)
    assert answer.headers["content-type"].startswith("application/json" if works else "text/event-stream")
    await until(lambda: app.runs[0].status == "succeeded")


@pytest.mark.parametrize("version", ["1.13.3", "1.15"])
async def test_message_end_comes_before_workflow_finished_where_it_comes_at_all(version: str):
    door = Door(version)
    names = [event["event"] for event in events(await door.ask(door.emulator.app_named("flow-chat"), mode="streaming"))]
    assert names[-2:] == ["message_end", "workflow_finished"]


async def test_secrets_show_in_clear_in_node_executions_and_environment_variables():
    door = Door()
    app = door.emulator.app_named("wf-llm")
    await door.run(app, query="q")
    shown = await door.console("GET", f"/apps/{app.id}/workflow-runs/{app.runs[0].id}/node-executions")
    listed = await door.console("GET", f"/apps/{app.id}/workflows/draft/environment-variables")
    assert "tok-secret-123456789" in shown.text
    assert "tok-secret-123456789" in listed.text
    assert "tok-secret-123456789" not in json.dumps(await door.draft(app))


async def test_the_tail_of_helpful_404_messages_is_there_to_be_ignored():
    door = Door()
    app = door.emulator.app_named("chat-basic")
    body = (await door.console("GET", f"/apps/{app.id}/workflows/draft")).json()
    assert body["code"] == "app_not_found"
    assert "You have requested this URI" in body["message"]


async def test_a_deleted_app_answers_403_and_a_deleted_key_401():
    door = Door()
    app, other = door.emulator.app_named("wf-echo"), door.emulator.app_named("wf-llm")
    key, token = other.keys[0].id, other.key
    await door.console("DELETE", f"/apps/{other.id}/api-keys/{key}")
    assert (await door.service(token, "GET", "/info")).status_code == 401
    token = app.key
    await door.console("DELETE", f"/apps/{app.id}")
    answer = await door.service(token, "GET", "/info")
    assert (answer.status_code, answer.json()["message"]) == (403, "The app no longer exists.")


async def test_the_end_of_a_run_is_told_again_to_its_own_end_user_and_a_run_that_goes_on_breaks_the_line():
    door = Door("1.16.1", speed=50.0)
    app = door.emulator.app_named("wf-llm")
    await door.run(app, query="hi")
    path = f"/workflow/{app.runs[0].id}/events"
    (event,) = events(await door.service(app.key, "GET", f"{path}?user=u-1"))
    assert (event["event"], event["data"]["status"]) == ("workflow_finished", "succeeded")
    assert (await door.service(app.key, "GET", f"{path}?user=other")).status_code == 404
    assert (await door.service(app.key, "GET", path)).status_code == 400
    other = door.emulator.app_named("wf-echo")
    assert (await door.service(other.key, "GET", f"{path}?user=u-1")).status_code == 404
    slow = asyncio.create_task(door.run(app, query="slow [[delay=100]]"))
    await until(lambda: len(app.runs) == 2)
    with pytest.raises(ConnectionResetError):
        await door.service(app.key, "GET", f"/workflow/{app.runs[1].id}/events?user=u-1")
    slow.cancel()
