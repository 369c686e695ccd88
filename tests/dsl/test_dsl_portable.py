from __future__ import annotations

from difyops.dsl.diff import diff
from difyops.dsl.load import dump_yaml, load_dsl
from difyops.dsl.portable import map_credentials, map_datasets, portable_dsl
from tests.dsl import dsl_samples
from tests.dsl.dsl_samples import env, node, workflow

APP = {
    "id": "a-1",
    "name": "wf-llm",
    "mode": "workflow",
    "icon": "🤖",
    "icon_background": "#FFEAD5",
    "description": "d",
}


def test_a_document_becomes_a_dsl_that_means_the_same() -> None:
    dsl = portable_dsl(APP, dsl_samples.draft(), dsl_version="0.6.0", dependencies=[])
    read = load_dsl(dump_yaml(dsl))
    assert read["version"] == "0.6.0"
    assert (read["kind"], read["app"]["name"], read["app"]["mode"]) == ("app", "wf-llm", "workflow")
    assert "id" not in read["app"]
    assert diff(dsl_samples.draft(), read["workflow"]) == ()
    exported = load_dsl(dsl_samples.text("export.yml"))
    assert read["workflow"].keys() == exported["workflow"].keys()


def test_secret_values_are_carried_as_the_document_has_them() -> None:
    document = workflow(environment_variables=[env("TOKEN", "canary-1")])
    dsl = portable_dsl(APP, document, dsl_version="0.6.0", dependencies=[])
    assert dsl["workflow"]["environment_variables"][0]["value"] == "canary-1"


def test_webhook_addresses_of_the_old_server_are_blank() -> None:
    document = workflow(node("w", "trigger-webhook", webhook_url="https://old.test/x", method="POST"))
    dsl = portable_dsl(APP, document, dsl_version="0.6.0", dependencies=[])
    assert dsl["workflow"]["graph"]["nodes"][0]["data"]["webhook_url"] == ""
    assert document["graph"]["nodes"][0]["data"]["webhook_url"] == "https://old.test/x"


def test_a_chat_app_becomes_a_model_config_without_stamps() -> None:
    dsl = portable_dsl(
        {**APP, "mode": "chat"}, dsl_samples.chat(), dsl_version="0.6.0", dependencies=[{"type": "github"}]
    )
    exported = load_dsl(dsl_samples.text("export-chat.yml"))
    assert "workflow" not in dsl
    assert "updated_at" not in dsl["model_config"]
    assert dsl["model_config"].keys() == exported["model_config"].keys()
    assert dsl["dependencies"] == [{"type": "github"}]


def test_dataset_ids_are_mapped_and_the_unknown_ones_are_named() -> None:
    document = workflow(node("k", "knowledge-retrieval", dataset_ids=["old-1", "old-2"]))
    mapped, unmapped = map_datasets(document, {"old-1": "new-1"})
    assert mapped["graph"]["nodes"][0]["data"]["dataset_ids"] == ["new-1", "old-2"]
    assert unmapped == {"old-2"}
    assert document["graph"]["nodes"][0]["data"]["dataset_ids"] == ["old-1", "old-2"]


def test_dataset_ids_of_a_chat_app_are_mapped() -> None:
    links = [{"dataset": {"enabled": True, "id": "old-1"}}]
    mapped, unmapped = map_datasets(
        {"model_config": {"dataset_configs": {"datasets": {"datasets": links}}}}, {"old-1": "new-1"}
    )
    assert mapped["model_config"]["dataset_configs"]["datasets"]["datasets"][0]["dataset"]["id"] == "new-1"
    assert unmapped == set()


def test_tool_credentials_are_mapped_and_the_unknown_ones_are_named() -> None:
    tools = {"value": [{"tool_name": "x", "credential_id": "old-2"}]}
    document = workflow(
        node("t", "tool", credential_id="old-1"),
        node("a", "agent", agent_parameters={"tools": tools}),
        model_config={"agent_mode": {"tools": [{"credential_id": "old-3"}]}},
    )
    mapped, unmapped = map_credentials(document, {"old-1": "new-1", "old-2": "new-2"})
    assert mapped["graph"]["nodes"][0]["data"]["credential_id"] == "new-1"
    assert mapped["graph"]["nodes"][1]["data"]["agent_parameters"]["tools"]["value"][0]["credential_id"] == "new-2"
    assert unmapped == {"old-3"}
