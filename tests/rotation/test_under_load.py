"""A hundred calls a second, half of them through the secret that is being rotated: none is lost, of any kind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import Emulator
from difyops.rotation.machine import State
from difyops.rotation.prepare import RotationRequest
from tests.rotation.caller import Callers
from tests.rotation.rig import CASES, MODEL, TOOL, Case, Console, Rig, value_in_use
from tests.waiting import until

pytestmark = [pytest.mark.slow]


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_no_call_is_lost_while_a_secret_is_rotated(
    case: Case, rig: Rig, emulator: Emulator, console: Console, tmp_path: Path
) -> None:
    place = tmp_path / "key"
    place.write_text(value_in_use(emulator, case.kind))
    place.chmod(0o600)
    deliver = (f"file:{place}",) if case.kind in ("app-key", "dataset-key") else ()
    keys = {name: console.app_keys(name)[0] for name in ("wf-echo", "wf-llm", "completion-basic")}

    def rotated() -> tuple[str, str, Any]:
        match case.kind:
            case "app-key":
                return info(place.read_text().strip())
            case "dataset-key":
                headers = {"Authorization": f"Bearer {place.read_text().strip()}"}
                return "GET", "/v1/datasets?limit=1", {"headers": headers}
            case "model":
                return complete(keys["completion-basic"])
            case "tool":
                return run(keys["wf-echo"])
            case _:
                return run(keys["wf-llm"])

    def other() -> tuple[str, str, Any]:
        return info(keys["wf-llm"])

    if case.kind == "model":
        use_model(console, "completion-basic")
    if case.kind == "tool":
        use_tool(console, "wf-echo")
    if case.kind == "env":
        use_variable(console, "wf-llm")
        emulator.control.accept(case.old, case.new)
    callers = Callers(rig.url, rotated, other)
    calling = asyncio.create_task(callers.run())
    await until(lambda: callers.good > 20, "the load")
    emulator.control.mood("stale_switch")
    driven = await rig.rotate(case, RotationRequest(deliver=deliver, no_probe=True), grace=0.5)
    if case.kind == "env":
        emulator.control.accept(case.new)  # the old one is revoked where it came from
    before = callers.good
    await until(lambda: callers.good > before + 20, "the load afterwards")
    callers.stop()
    await calling
    assert driven.rotation.state is State.DONE
    assert callers.lost == []
    if case.kind in ("model", "provider", "tool"):
        used = emulator.control.counts()["provider_keys"]
        assert isinstance(used, dict)
        assert used.get(case.old), "the load did not go through the old secret"
        assert used.get(case.new), "the load did not go through the new secret"
    if case.kind == "env":
        outside = emulator.control.counts()["outside"]
        assert isinstance(outside, dict)
        assert outside.get(case.old), "the load did not go through the old secret"
        assert outside.get(case.new), "the load did not go through the new secret"
        assert outside.get("refused", 0) == 0, "the service outside refused a value"


def info(key: str) -> tuple[str, str, Any]:
    return "GET", "/v1/info", {"headers": {"Authorization": f"Bearer {key}"}}


def run(key: str) -> tuple[str, str, Any]:
    body = {"inputs": {"query": "hello", "text": "hello", "tone": "plain"}, "user": "load", "response_mode": "blocking"}
    return "POST", "/v1/workflows/run", {"headers": {"Authorization": f"Bearer {key}"}, "json": body}


def complete(key: str) -> tuple[str, str, Any]:
    body = {
        "inputs": {"query": "hello", "text": "hello"},
        "user": "load",
        "response_mode": "blocking",
    }
    return "POST", "/v1/completion-messages", {"headers": {"Authorization": f"Bearer {key}"}, "json": body}


def use_model(console: Console, app: str) -> None:
    """Let an app use the model that has credentials of its own."""
    path = f"/apps/{console.app_id(app)}"
    config = console.call("GET", path)["model_config"]
    config["model"]["name"] = MODEL
    console.call("POST", f"{path}/model-config", config)


def use_variable(console: Console, app: str) -> None:
    """Let a workflow call a service outside with the secret variable, before anything else."""
    path = f"/apps/{console.app_id(app)}/workflows"
    draft = console.call("GET", f"{path}/draft")
    edge = draft["graph"]["edges"][0]
    data: dict[str, Any] = {"type": "http-request", "title": "call", "method": "get"}
    data |= {"url": "https://outside.example.com/"}
    data |= {"headers": "Authorization: Bearer {{#env.API_TOKEN#}}", "authorization": {"type": "no-auth"}}
    draft["graph"]["nodes"].append({"id": "outside", "type": "custom", "data": data})
    target, edge["target"] = edge["target"], "outside"
    draft["graph"]["edges"].append({**edge, "id": "outside-next", "source": "outside", "target": target})
    for item in draft["environment_variables"]:
        if item["value_type"] == "secret":
            item["value"] = "[__HIDDEN__]"
    parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
    console.call("POST", f"{path}/draft", {part: draft[part] for part in parts})
    console.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})


def use_tool(console: Console, app: str) -> None:
    """Let a workflow call the tool with whatever credential is the default."""
    path = f"/apps/{console.app_id(app)}/workflows"
    draft = console.call("GET", f"{path}/draft")
    node = next(node for node in draft["graph"]["nodes"] if node["data"]["type"] == "template-transform")
    node["data"] = {"type": "tool", "title": "search", "provider_id": TOOL, "provider_name": TOOL, "tool_name": "s"}
    parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
    console.call("POST", f"{path}/draft", {part: draft[part] for part in parts})
    console.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})
