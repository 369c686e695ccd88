from __future__ import annotations

import copy
from typing import Any

import pytest

from difyops.dsl.diff import Difference, cosmetic_only, describe, diff
from difyops.dsl.load import load_dsl
from difyops.dsl.secrets import MARKER, redact
from tests.dsl import dsl_samples
from tests.dsl.dsl_samples import env, http, node, workflow

CANARY = "canary-7Q2xw9Zk41"


def edge(source: str, target: str, handle: str = "source") -> dict[str, Any]:
    return {"source": source, "sourceHandle": handle, "target": target, "targetHandle": "target"}


def only(before: dict[str, Any], after: dict[str, Any]) -> Difference:
    (change,) = diff(before, after)
    return change


def test_the_recorded_draft_differs_from_the_live_version_in_a_title_and_a_variable() -> None:
    lines = [describe(change) for change in diff(dsl_samples.published(), dsl_samples.draft())]
    assert lines == [
        'changed node "Start" (start) title: "Start-v3" -> "Start"',
        'added environment variable "LIMIT"',
    ]


def test_an_export_equals_its_document() -> None:
    assert diff(load_dsl(dsl_samples.text("export.yml"))["workflow"], dsl_samples.draft()) == ()


def test_a_prompt_change_comes_with_its_lines() -> None:
    before, after = dsl_samples.draft(), dsl_samples.draft()
    after["graph"]["nodes"][2]["data"]["prompt_template"][0]["text"] = "Tone: {{#start.tone#}}\nBe brief."
    change = only(before, after)
    assert (change.action, change.kind, change.place) == ("changed", "prompt", 'node "LLM" (llm)')
    assert change.field == "prompt_template.s1.text"
    assert change.lines == (("", "Tone: {{#start.tone#}}"), ("+", "Be brief."))
    assert describe(change) == 'changed node "LLM" (llm) prompt_template.s1.text: +1 -0 lines'


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        (("model", "name"), "gpt-5", "model"),
        (("model", "completion_params", "temperature"), 0.1, "parameter"),
        (("title",), "Other", "meta"),
        (("error_strategy",), "fail-branch", "parameter"),
        (("plugin_unique_identifier",), "langgenius/openai:0.2.9@ab", "dependency"),
        (("type",), "agent", "node"),
        (("code",), "x = 1", "code"),
    ],
)
def test_a_change_inside_a_node_has_the_kind_people_look_for(path: tuple[str, ...], value: object, kind: str) -> None:
    before, after = dsl_samples.draft(), dsl_samples.draft()
    target = after["graph"]["nodes"][2]["data"]
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    change = only(before, after)
    assert (change.kind, change.field, change.after) == (kind, ".".join(path), value)


def test_added_and_removed_nodes_and_edges_are_named_by_title() -> None:
    before = workflow(node("a", "start"), node("b", "end"))
    before["graph"]["edges"] = [edge("a", "b")]
    after = workflow(node("a", "start"), node("c", "llm"))
    after["graph"]["edges"] = [edge("a", "c", "true")]
    assert [describe(change) for change in diff(before, after)] == [
        'removed node "B" (end)',
        'added node "C" (llm)',
        'removed edge "A" -> "B"',
        'added edge "A" -> "C" (true)',
    ]


def test_a_branch_that_moves_to_another_case_is_a_change() -> None:
    before, after = workflow(node("a", "if-else")), workflow(node("a", "if-else"))
    before["graph"]["edges"], after["graph"]["edges"] = [edge("a", "a", "case-1")], [edge("a", "a", "false")]
    assert [change.action for change in diff(before, after)] == ["removed", "added"]


def test_an_inserted_case_is_one_change_and_a_new_order_is_one() -> None:
    cases = [{"case_id": name, "logical_operator": "and"} for name in "abc"]
    before = workflow(node("i", "if-else", cases=cases))
    inserted = workflow(node("i", "if-else", cases=[cases[0], {"case_id": "new"}, *cases[1:]]))
    assert only(before, inserted).field == "cases.new"
    change = only(before, workflow(node("i", "if-else", cases=cases[::-1])))
    assert (change.field, change.before, change.after) == ("cases", ["a", "b", "c"], ["c", "b", "a"])


def test_variables_are_matched_by_name_and_features_by_path() -> None:
    before = workflow(environment_variables=[env("A", "1", "string"), env("B", "1", "string")])
    after = workflow(
        environment_variables=[{**env("B", "2", "string"), "id": "other"}],
        conversation_variables=[env("C", [], "array[string]")],
        features={"opening_statement": "Hi", "suggested_questions": ["a"]},
    )
    assert [(change.action, change.kind, change.place, change.field) for change in diff(before, after)] == [
        ("removed", "variable", 'environment variable "A"', None),
        ("changed", "variable", 'environment variable "B"', "value"),
        ("added", "variable", 'conversation variable "C"', None),
        ("added", "feature", "features", "opening_statement"),
        ("added", "feature", "features", "suggested_questions"),
    ]


def test_a_chat_app_is_compared_field_by_field() -> None:
    before, after = dsl_samples.chat(), dsl_samples.chat()
    after["model_config"]["pre_prompt"] += " Be brief."
    after["model_config"]["model"]["name"] = "gpt-5"
    after["model_config"]["model"]["completion_params"]["temperature"] = 0
    after["model_config"]["dataset_configs"]["top_k"] = 9
    assert [(change.kind, change.field) for change in diff(before, after)] == [
        ("config", "dataset_configs.top_k"),
        ("parameter", "model.completion_params.temperature"),
        ("model", "model.name"),
        ("prompt", "pre_prompt"),
    ]


def test_plugins_are_compared_by_name() -> None:
    def plugin(version: str) -> dict[str, Any]:
        value = {"marketplace_plugin_unique_identifier": f"langgenius/openai:{version}@ab", "version": None}
        return {"dependencies": [{"type": "marketplace", "value": value, "current_identifier": None}]}

    change = only(plugin("0.2.8"), plugin("0.3.0"))
    assert change.kind == "dependency"
    assert change.after == "langgenius/openai:0.3.0@ab"


def test_the_same_app_with_other_node_ids_has_no_changes() -> None:
    def app(start: str, llm: str, field: str = "query") -> dict[str, Any]:
        prompt = [{"role": "user", "text": f"{{{{#{start}.query#}}}}"}]
        answering = node(llm, "llm", title="LLM", prompt_template=prompt, context={"selector": [start, field]})
        document = workflow(node(start, "start", title="Start"), answering)
        document["graph"]["edges"] = [edge(start, llm)]
        return document

    assert diff(app("1711", "1712"), app("1801", "1802")) == ()
    assert only(app("1711", "1712"), app("1801", "1802", "other")).field == "context.selector"


def test_a_secret_never_shows_and_a_marker_equals_what_it_stands_for() -> None:
    before, after = (
        http(headers=f"Authorization:Bearer {CANARY}\nA:1"),
        http(headers="Authorization:Bearer other-99\nA:1"),
    )
    change = only(before, after)
    assert (change.before, change.after) == (MARKER, MARKER)
    assert describe(change) == 'changed node "HTTP1" · header Authorization: the value of the secret'
    assert diff(before, redact(before).document) == ()
    assert diff(redact(before).document, redact(after).document) == ()


def test_a_secret_that_one_side_shows_is_hidden_on_the_other() -> None:
    before = workflow(node("c", "code", code=f"x = '{CANARY}'"), environment_variables=[env("T", CANARY)])
    after = workflow(node("c", "code", code=f"y = '{CANARY}'"), environment_variables=[env("T", "*" * 20)])
    changes = diff(before, after)
    assert [change.kind for change in changes] == ["code"]
    assert CANARY not in repr(changes)


def test_a_credential_typed_into_a_prompt_does_not_show_in_a_diff() -> None:
    key = "sk-" + "aB3" * 10
    before = workflow(node("l", "llm", prompt_template=[{"text": "Hello"}]))
    after = workflow(node("l", "llm", prompt_template=[{"text": f"Hello {key}"}]), node("n", "code", code=key))
    assert key not in repr(diff(before, after))
    other = workflow(node("l", "llm", prompt_template=[{"text": f"Hello {key}x"}]), node("n", "code", code=key))
    change = only(after, other)
    assert (change.before, change.after) == (MARKER, MARKER)


def test_cosmetic_only_means_other_bytes_and_the_same_app() -> None:
    before, after = dsl_samples.draft(), dsl_samples.draft()
    assert not cosmetic_only(before, after)
    after["graph"]["nodes"][0]["position"]["x"] += 10
    assert cosmetic_only(before, after)
    after["graph"]["nodes"][0]["data"]["title"] = "Renamed"
    assert not cosmetic_only(before, after)


def test_a_description_is_one_line_whatever_the_server_named_things() -> None:
    changes = diff(workflow(), workflow(node("a", "llm", note="x"), environment_variables=[env("N\nX", "v", "string")]))
    nasty = diff(workflow(node("a", "llm", title="A\x1b[2J\nB")), workflow(node("a", "llm", title="A\nC", desc="d\n")))
    for change in (*changes, *nasty):
        assert "\n" not in describe(change)
        assert "\x1b" not in describe(change)


def big(seed: str) -> dict[str, Any]:
    text = "\n".join(f"{seed if line % 7 == 0 else ''} line {line % 50}" for line in range(300))
    return workflow(*(node(f"n{i}", "llm", prompt_template=[{"role": "system", "text": text}]) for i in range(250)))


def test_two_documents_of_a_megabyte_are_compared() -> None:
    assert len(diff(big("one"), big("two"))) == 250


def test_texts_too_large_to_align_are_shown_as_two_blocks() -> None:
    before = {"model_config": {"pre_prompt": "\n".join("ab"[i % 2] for i in range(100_000))}}
    after = copy.deepcopy(before)
    after["model_config"]["pre_prompt"] = "\n".join("xy"[i % 2] for i in range(100_000))
    change = only(before, after)
    assert ("~", "... 99980 more lines") in change.lines
    assert len(change.lines) < 100


def test_lines_far_from_a_change_are_left_out() -> None:
    lines = [f"line {number}" for number in range(100)]
    before = {"model_config": {"pre_prompt": "\n".join(lines)}}
    after = {"model_config": {"pre_prompt": "\n".join([*lines[:50], "new", *lines[50:80], *lines[81:]])}}
    assert only(before, after).lines == (
        ("~", "... 47 unchanged lines"),
        *(("", f"line {number}") for number in (47, 48, 49)),
        ("+", "new"),
        *(("", f"line {number}") for number in (50, 51, 52)),
        ("~", "... 24 unchanged lines"),
        *(("", f"line {number}") for number in (77, 78, 79)),
        ("-", "line 80"),
        *(("", f"line {number}") for number in (81, 82, 83)),
        ("~", "... 16 unchanged lines"),
    )
