"""A document of one instance in the words of another: tools, credentials, models, plugins, wherever they stand."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.release.promote.bindings import Bindings
from difyops.release.promote.parts import Parts
from difyops.release.promote.translate import Translated, translate
from difyops.requirements import Stock

LOOKUP, THERE = "11111111-aaaa-4aaa-8aaa-000000000001", "22222222-bbbb-4bbb-8bbb-000000000002"
OLD, NEW = "acme/search:0.1.0@" + "a" * 64, "acme/search:0.2.0@" + "b" * 64
STRATEGY = "langgenius/agent:0.0.9@" + "c" * 64


def parts(**fields: Any) -> Parts:
    models = frozenset({("langgenius/openai/openai", "gpt-4o-mini"), ("langgenius/cohere/cohere", "rerank-v3")})
    stock = Stock(datasets=frozenset(), providers=frozenset(), models=models, tool_providers=frozenset())
    plain = {"stock": stock, "apps": (), "datasets": {}, "tools": {}, "plugins": {}, "credentials": {}}
    return Parts(**{**plain, **fields})


def graph(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"graph": {"nodes": [{"id": str(number), "data": data} for number, data in enumerate(nodes)], "edges": []}}


def told(found: Translated) -> dict[tuple[str, str], str]:
    return {(row.kind, row.name): row.problem for row in found.rows}


@pytest.mark.parametrize("kind", ["workflow", "api", "mcp"])
@pytest.mark.parametrize("how", [Bindings(), Bindings(tools={"look up": "look up"}), Bindings(tools={LOOKUP: THERE})])
def test_peoples_own_tools_in_tool_nodes_and_in_agent_nodes(kind: str, how: Bindings) -> None:
    node = {"type": "tool", "provider_id": LOOKUP, "provider_type": kind, "provider_name": "look up", "tool_name": "t"}
    agent = {"type": "agent", "agent_parameters": {"tools": {"type": "constant", "value": [
        {"enabled": True, "provider_name": LOOKUP, "type": kind, "tool_name": "t"}]}}}  # fmt: skip
    found = translate(graph(node, agent), {}, parts(tools={LOOKUP: "look up"}), parts(tools={THERE: "look up"}), how)
    first, second = (item["data"] for item in found.document["graph"]["nodes"])
    assert (first["provider_id"], first["provider_name"]) == (THERE, "look up")
    assert second["agent_parameters"]["tools"]["value"][0]["provider_name"] == THERE
    assert told(found) == {("tool", "look up"): ""}
    lost = translate(graph(agent), {}, parts(tools={LOOKUP: "look up"}), parts(), how)
    assert [row.problem for row in lost.rows] == ["no tool of this name"]
    two = parts(tools={THERE: "look up", "33333333": "look up"})
    if LOOKUP not in how.tools:
        assert "several tools" in translate(graph(node), {}, parts(tools={LOOKUP: "look up"}), two, how).rows[0].problem


def test_plugins_are_named_and_their_identifiers_replaced_wherever_they_stand() -> None:
    tool = {"type": "tool", "provider_id": "acme/search/google", "provider_type": "builtin", "tool_name": "t",
            "plugin_unique_identifier": OLD}  # fmt: skip
    agent = {"type": "agent", "agent_strategy_provider_name": "langgenius/agent/agent",
             "agent_parameters": {"tools": {"value": [{"extra": {"uid": OLD}}]}}}  # fmt: skip
    trigger = {"type": "trigger-plugin", "plugin_unique_identifier": OLD, "provider_id": "acme/search/hook"}
    plain = {"type": "template-transform", "template": "see acme/none:1@aa or https://acme/search:80/"}
    has = {"acme/search": OLD, "langgenius/agent": STRATEGY, "langgenius/unused": "langgenius/unused:1@aa"}
    document = graph(tool, agent, trigger, plain)
    found = translate(document, {}, parts(plugins=has), parts(plugins={"acme/search": NEW}), Bindings())
    assert OLD not in str(found.document)
    assert str(found.document).count(NEW) == 3
    assert found.document["graph"]["nodes"][3]["data"] == plain
    assert told(found) == {
        ("plugin", "acme/search"): "",
        ("plugin", "langgenius/agent"): "this plugin is not installed there",
    }
    assert {row.name: row.rule for row in found.rows}["acme/search"] == "0.1.0 here, 0.2.0 there"


def test_an_old_document_names_a_plugin_by_its_provider_alone() -> None:
    node = {"type": "llm", "model": {"provider": "openai", "name": "gpt-4o-mini", "mode": "chat"}}
    has = {"langgenius/openai": "langgenius/openai:1@aa", "acme/openai": "acme/openai:1@bb"}
    there = {"langgenius/openai": "langgenius/openai:2@cc"}
    found = translate(graph(node), {}, parts(plugins=has), parts(plugins=there), Bindings())
    assert told(found) == {("model", "openai/gpt-4o-mini"): "", ("plugin", "langgenius/openai"): ""}


def test_credentials_of_tools_and_models_for_ranking() -> None:
    node = {"type": "tool", "provider_id": "acme/search/google", "provider_type": "builtin", "tool_name": "t",
            "credential_id": "here-1"}  # fmt: skip
    ranked = {"type": "knowledge-retrieval", "multiple_retrieval_config": {
        "reranking_model": {"provider": "langgenius/cohere/cohere", "model": "rerank-v3"}}}  # fmt: skip
    has = parts(credentials={"acme/search/google": {"here-1": "prod key"}})
    there = parts(credentials={"acme/search/google": {"there-9": "prod key"}})
    how = Bindings(models={"langgenius/cohere/cohere/rerank-v3": "langgenius/openai/openai/gpt-4o-mini"})
    found = translate(graph(node, ranked), {}, has, there, how)
    assert found.document["graph"]["nodes"][0]["data"]["credential_id"] == "there-9"
    model = found.document["graph"]["nodes"][1]["data"]["multiple_retrieval_config"]["reranking_model"]
    assert model == {"provider": "langgenius/openai/openai", "model": "gpt-4o-mini"}
    lost = translate(graph(node, ranked), {}, has, parts(credentials={}), Bindings())
    assert told(lost)["credential", "prod key"].startswith("no credential of acme/search/google")
