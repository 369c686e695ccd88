"""Credentials of tools and of single models: which one is in use, and what a deleted one leaves behind (1.13.0)."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.emulator.providers import OPENAI, SEARCH_TOOL
from tests.emulator.door import Door

TOOL = f"/workspaces/current/tool-provider/builtin/{SEARCH_TOOL}"
MODEL = f"/workspaces/current/model-providers/{OPENAI}/models/credentials"
WHICH = {"model": "ft:own", "model_type": "llm"}
SHOWN = f"{MODEL}?model=ft:own&model_type=llm&config_from=custom-model"


@pytest.fixture
def door() -> Door:
    return Door("1.13.0")


async def tools(door: Door) -> list[str]:
    return [row["name"] for row in (await door.console("GET", f"{TOOL}/credentials")).json()]


async def tool_id(door: Door, name: str) -> str:
    rows = (await door.console("GET", f"{TOOL}/credentials")).json()
    return next(str(row["id"]) for row in rows if row["name"] == name)


async def add_tool(door: Door, *names: str) -> None:
    for name in names:
        body = {"name": name, "type": "api-key", "credentials": {"serpapi_api_key": f"serp-{name}-canary"}}
        assert (await door.console("POST", f"{TOOL}/add", body)).status_code == 200


async def use_tool(door: Door, credential_id: str = "") -> dict[str, Any]:
    """Let wf-echo call the tool, run it, and return the run's data."""
    app = door.emulator.app_named("wf-echo")
    draft = await door.draft(app)
    node = next(node for node in draft["graph"]["nodes"] if node["data"]["type"] in ("template-transform", "tool"))
    node["data"] = {"type": "tool", "title": "search", "provider_id": SEARCH_TOOL, "tool_name": "google_search"}
    node["data"]["credential_id"] = credential_id
    assert (await door.save(app, draft)).status_code == 200
    await door.console("POST", f"/apps/{app.id}/workflows/publish", {})
    data: dict[str, Any] = (await door.run(app, text="hi")).json()["data"]
    return data


async def test_the_oldest_tool_credential_is_used_until_one_is_chosen(door: Door):
    await add_tool(door, "one", "two", "three")
    assert await tools(door) == ["one", "two", "three"]
    await door.console("POST", f"{TOOL}/default-credential", {"id": await tool_id(door, "three")})
    assert await tools(door) == ["three", "one", "two"]
    await door.console("POST", f"{TOOL}/delete", {"credential_id": await tool_id(door, "three")})
    rows = (await door.console("GET", f"{TOOL}/credentials")).json()
    assert [(row["name"], row["is_default"]) for row in rows] == [("one", True), ("two", False)]


async def test_what_another_account_made_the_default_stays_in_use(door: Door):
    await add_tool(door, "theirs", "ours")
    theirs = door.emulator.instance.tool.credentials[0]
    theirs.added_by, theirs.is_marked = door.emulator.account("editor").id, True
    answer = await door.console("POST", f"{TOOL}/default-credential", {"id": await tool_id(door, "ours")})
    assert answer.json() == {"result": "success"}
    rows = (await door.console("GET", f"{TOOL}/credentials")).json()
    assert [(row["name"], row["is_default"]) for row in rows] == [("theirs", True), ("ours", True)]


async def test_a_node_that_names_a_deleted_credential_fails_for_good(door: Door):
    await add_tool(door, "one", "two")
    named = await tool_id(door, "one")
    assert (await use_tool(door, named))["status"] == "succeeded"
    await door.console("POST", f"{TOOL}/delete", {"credential_id": named})
    data = await use_tool(door, named)
    assert (data["status"], data["error"]) == ("failed", f"provider has been deleted: {named}")
    assert (await use_tool(door))["status"] == "succeeded", "the others follow the default"


async def test_a_node_that_names_no_id_follows_the_default(door: Door):
    await add_tool(door, "one", "two")
    await use_tool(door, "not-an-id")
    assert door.emulator.control.counts()["provider_keys"] == {"serp-one-canary": 1}


async def test_a_revoked_tool_key_fails_runs_and_cannot_be_saved_again(door: Door):
    await add_tool(door, "one")
    door.emulator.control.revoke("serp-one-canary")
    assert "ToolProviderCredentialValidationError" in (await use_tool(door))["error"]
    body = {"credential_id": await tool_id(door, "one"), "credentials": {"serpapi_api_key": "[__HIDDEN__]"}}
    answer = await door.console("POST", f"{TOOL}/update", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_param")
    assert "PluginInvokeError" in answer.json()["message"]


async def test_names_that_nobody_gives_count_on_from_the_highest(door: Door):
    await add_tool(door, "API KEY 4")
    body = {"type": "api-key", "credentials": {"serpapi_api_key": "serp-canary-5"}}
    await door.console("POST", f"{TOOL}/add", body)
    assert await tools(door) == ["API KEY 4", "API KEY 5"]


async def add_models(door: Door) -> dict[str, str]:
    for number, name in enumerate(("one", "two"), 1):
        body = {**WHICH, "name": name, "credentials": {"openai_api_key": f"sk-good-canary-{number}{number}"}}
        assert (await door.console("POST", MODEL, body)).status_code == 201
    rows = (await door.console("GET", SHOWN)).json()["available_credentials"]
    assert [row["credential_name"] for row in rows] == ["two", "one"], "the newest first here"
    return {row["credential_name"]: row["credential_id"] for row in rows}


async def in_use(door: Door) -> tuple[str | None, str | None]:
    body = (await door.console("GET", SHOWN)).json()
    return body["current_credential_name"], body["credentials"].get("openai_api_key", "")[-2:]


async def test_a_switch_that_did_not_take_is_cured_by_saving_not_by_switching_again(door: Door):
    known = await add_models(door)
    door.emulator.control.mood("stale_switch")
    body = {**WHICH, "credential_id": known["two"]}
    await door.console("POST", f"{MODEL}/switch", body)
    assert await in_use(door) == ("two", "11")
    answer = await door.console("POST", f"{MODEL}/switch", body)
    assert (answer.status_code, answer.json()["message"]) == (400, "Can't add same credential")
    await door.console("PUT", MODEL, {**body, "credentials": {"openai_api_key": "[__HIDDEN__]"}})
    assert await in_use(door) == ("two", "22")


async def test_a_deleted_current_credential_of_a_model_is_used_on_and_the_last_takes_the_model_along(door: Door):
    known = await add_models(door)
    await door.console("DELETE", MODEL, {**WHICH, "credential_id": known["one"]})
    assert await in_use(door) == (None, "11")
    await door.console("DELETE", MODEL, {**WHICH, "credential_id": known["two"]})
    rows = (await door.console("GET", "/workspaces/current/model-providers")).json()["data"]
    assert rows[0]["custom_configuration"]["custom_models"] == []
