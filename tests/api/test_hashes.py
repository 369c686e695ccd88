"""The hash of a version, as real servers gave it for one graph, and what it contradicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from difyops.api.console import HASH_RULES, content_hash
from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.config import Context
from difyops.emulator.store import draft_hash
from difyops.errors import UnreadableAnswer
from difyops.publishing.content import Content
from tests.api.frozen import FrozenClock

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "hashes.json").read_text())
RULE = {"1.13.0": "hash_of_graph_and_features", "1.15-dev": "hash_of_graph", "1.16.1": "hash_of_graph"}


@pytest.mark.parametrize("version", RECORDED["hashes"])
def test_a_real_server_makes_the_hash_by_this_rule(version: str) -> None:
    graph, features, wanted = RECORDED["graph"], RECORDED["features"], RECORDED["hashes"][version]
    fitting = [rule for rule in HASH_RULES if content_hash(graph, features, rule) == wanted]
    assert fitting == [RULE[version]]
    assert draft_hash(graph, features if version == "1.13.0" else None) == wanted


def version(recorded: str, name: str) -> dict[str, Any]:
    graph = json.loads(json.dumps(RECORDED["graph"]))
    if name == "damaged":
        graph["nodes"].pop()
    return {
        "id": name, "version": "draft", "graph": graph, "features": RECORDED["features"],
        "hash": RECORDED["hashes"][recorded], "environment_variables": [], "conversation_variables": [],
    }  # fmt: skip


async def reading(recorded: str, state: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.split("/")[4] if "/apps/" in request.url.path else "setup"
        body = {"step": "finished"} if name == "setup" else version(recorded, name)
        return httpx.Response(200, json=body, headers={"x-version": "1.16.1"})

    monkeypatch.setenv("KEY", "k")
    context = Context(
        name="t", url="http://server.test", admin_key="env:KEY", workspace_id=f"{0:08}-0000-4000-8000-{1:012}"
    )
    return await connect(context, ConnectOptions(state=state, carrier=httpx.MockTransport(answer), clock=FrozenClock()))


@pytest.mark.parametrize("recorded", RECORDED["hashes"])
async def test_a_graph_that_lost_a_node_is_contradicted(
    recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = await reading(recorded, tmp_path, monkeypatch)
    assert await instance.console.draft("whole")
    with pytest.raises(UnreadableAnswer, match="its own hash"):
        await instance.console.draft("damaged")
    await instance.close()


def test_features_are_compared_beside_the_hash() -> None:
    """From 1.15 on two versions that differ in their features alone have one hash."""
    document = {"graph": RECORDED["graph"], "features": RECORDED["features"], "environment_variables": []}
    one = Content(document=document, hash=RECORDED["hashes"]["1.16.1"])
    other = Content(document={**document, "features": {"opening_statement": "Hello"}}, hash=one.hash)
    assert one.is_same(Content(document=dict(document), hash=one.hash))
    assert not one.is_same(other)
