from __future__ import annotations

import json
from typing import Any

import pytest

from difyops.dsl.canonical import canonical, normalized, same_meaning
from difyops.dsl.load import load_dsl
from tests.dsl import dsl_samples
from tests.dsl.dsl_samples import env, node, workflow


def test_equal_values_have_equal_bytes_whatever_the_order_of_their_keys() -> None:
    assert canonical({"b": [1, {"y": 1, "x": "ü"}], "a": {}}) == canonical({"a": {}, "b": [1, {"x": "ü", "y": 1}]})
    assert canonical({"a": "ü"}) == '{\n  "a": "ü"\n}\n'.encode()


def test_the_order_of_nodes_is_kept() -> None:
    assert canonical([2, 1]) != canonical([1, 2])


def test_canonical_bytes_read_back_as_the_same_document() -> None:
    document = dsl_samples.draft()
    assert json.loads(canonical(document)) == document


def test_text_that_utf_8_cannot_hold_still_has_a_form() -> None:
    assert json.loads(canonical({"a": "\ud83e"})) == {"a": "\ud83e"}


def changed(**data: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"prompt_template": [{"role": "system", "text": "hi"}]}
    return workflow(node("llm", "llm", **{**base, **data}))


@pytest.mark.parametrize(
    "noise",
    [
        {"selected": True},
        {"_connectedSourceHandleIds": ["source"]},
        {"desc": ""},
        {"vision": {"enabled": False}},
        {"retry_config": {"retry_enabled": False, "max_retries": 3, "retry_interval": 1000}},
        {"structured_output_enabled": False},
        {"default_value": []},
        {"tool_label": "x"},
        {"memory": None},
    ],
)
def test_cosmetics_and_defaults_that_newer_servers_write_change_nothing(noise: dict[str, Any]) -> None:
    assert same_meaning(changed(), changed(**noise))


@pytest.mark.parametrize(
    "edit",
    [
        {"prompt_template": [{"role": "system", "text": "hello"}]},
        {"vision": {"enabled": True}},
        {"retry_config": {"retry_enabled": True, "max_retries": 3}},
        {"error_strategy": "fail-branch"},
        {"title": "Other"},
        {"model": {"completion_params": {"temperature": 0}}},
    ],
)
def test_what_changes_the_app_is_seen(edit: dict[str, Any]) -> None:
    assert not same_meaning(changed(), changed(**edit))


def test_layout_viewport_order_and_notes_change_nothing() -> None:
    before = dsl_samples.draft()
    after = dsl_samples.draft()
    after["graph"]["nodes"].reverse()
    after["graph"]["edges"].reverse()
    after["graph"]["viewport"] = {"x": 9, "y": 9, "zoom": 2}
    for moved in after["graph"]["nodes"]:
        moved.update(position={"x": 1, "y": 2}, width=1, selected=True, dragging=False)
    for edge in after["graph"]["edges"]:
        edge.update(id="other", zIndex=1001)
        edge["data"]["isInIteration"] = True
    after["graph"]["nodes"].append({"id": "n", "type": "custom-note", "data": {"text": "note"}})
    assert same_meaning(before, after)


def test_a_number_variable_means_the_same_in_an_export_and_in_the_api() -> None:
    exported = load_dsl(dsl_samples.text("export.yml"))["workflow"]
    assert same_meaning(exported, dsl_samples.draft())


def test_a_secret_variable_means_the_same_masked_blank_and_clear() -> None:
    masked, blank, clear = (workflow(environment_variables=[env("K", value)]) for value in ("*" * 20, "", "canary-1"))
    assert same_meaning(masked, blank)
    assert same_meaning(blank, clear)
    assert b"canary-1" not in canonical(normalized(clear))


def test_one_and_one_point_zero_mean_the_same_but_one_and_true_do_not() -> None:
    assert same_meaning(changed(top_k=1), changed(top_k=1.0))
    assert not same_meaning(changed(top_k=1), changed(top_k=True))


def test_who_saved_a_chat_app_and_when_changes_nothing() -> None:
    after = dsl_samples.chat()
    after["model_config"].update(updated_at=1, updated_by="somebody else")
    assert same_meaning(dsl_samples.chat(), after)


def test_a_webhook_address_changes_nothing() -> None:
    before = workflow(node("w", "trigger-webhook", webhook_url="https://a/1"))
    after = workflow(node("w", "trigger-webhook", webhook_url=""))
    assert same_meaning(before, after)
