from __future__ import annotations

from difyops.dsl.load import load_dsl
from difyops.dsl.model import (
    conversation_variables,
    datasets,
    env_variables,
    iter_nodes,
    models,
    node_types,
    tools,
    trigger_nodes,
)
from tests.dsl import dsl_samples
from tests.dsl.dsl_samples import node, workflow


def test_a_recorded_workflow_tells_its_nodes_models_and_variables() -> None:
    document = dsl_samples.draft()
    assert [item.name for item in iter_nodes(document)] == ["Start", "If", "LLM", "EndSkip", "EndLLM"]
    assert node_types(document) == {"start", "if-else", "llm", "end"}
    assert models(document) == {("langgenius/openai/openai", "gpt-4o-mini")}
    assert [item["name"] for item in env_variables(document)] == ["API_TOKEN", "GREETING", "LIMIT"]
    assert conversation_variables(document) == []


def test_a_recorded_chat_app_tells_its_model_and_has_no_nodes() -> None:
    document = dsl_samples.chat()
    assert models(document) == {("langgenius/openai/openai", "gpt-4o-mini")}
    assert list(iter_nodes(document)) == []
    assert datasets(document) == set()
    assert tools(document) == set()


def test_datasets_are_found_in_knowledge_nodes_and_in_chat_apps() -> None:
    exported = load_dsl(dsl_samples.text("export-knowledge.yml"))["workflow"]
    assert len(datasets(exported)) == 1
    links = [{"dataset": {"enabled": True, "id": "d-1"}}, {"dataset": {"enabled": False, "id": "d-2"}}]
    legacy = [{"dataset": {"enabled": True, "id": "d-3"}}]
    chat = {
        "model_config": {"dataset_configs": {"datasets": {"datasets": links}}, "agent_mode": {"tools": legacy}},
    }
    assert datasets(chat) == {"d-1", "d-3"}


def test_tools_are_found_in_tool_nodes_agent_nodes_and_agent_apps() -> None:
    chosen = [{"provider_name": "time", "type": "builtin", "tool_name": "now"}]
    document = workflow(
        node("t", "tool", provider_id="tavily", provider_type="builtin", tool_name="search", credential_id="c-1"),
        node("a", "agent", agent_parameters={"tools": {"type": "constant", "value": chosen}}),
    )
    assert tools(document) == {("tavily", "builtin", "search", "c-1"), ("time", "builtin", "now", None)}
    agent = {"provider_id": "x", "provider_type": "api", "tool_name": "call", "credential_id": ""}
    assert tools({"model_config": {"agent_mode": {"tools": [agent]}}}) == {("x", "api", "call", None)}


def test_models_of_agents_rerankers_and_embeddings_are_found_too() -> None:
    document = workflow(
        node("a", "agent", agent_parameters={"model": {"value": {"provider": "p1", "model": "m1"}}}),
        node(
            "k",
            "knowledge-retrieval",
            multiple_retrieval_config={
                "reranking_model": {"provider": "p2", "model": "m2"},
                "weights": {"vector_setting": {"embedding_provider_name": "p3", "embedding_model_name": "m3"}},
            },
        ),
    )
    assert models(document) == {("p1", "m1"), ("p2", "m2"), ("p3", "m3")}


def test_triggers_are_the_nodes_that_start_runs_by_themselves() -> None:
    document = workflow(node("w", "trigger-webhook"), node("s", "trigger-schedule"), node("e", "end"))
    assert [item.id for item in trigger_nodes(document)] == ["w", "s"]


def test_sticky_notes_are_no_nodes() -> None:
    note = {"id": "n", "type": "custom-note", "data": {"type": "", "text": "remember"}}
    assert list(iter_nodes(workflow(note))) == []
