"""The ladder as a caller sees it: which rung gives the value, and what each kind of bad answer is called."""

from __future__ import annotations

import json
from typing import Any

import pytest

from difyops.errors import AnswerIsNo
from difyops.validation import EnforceOptions, compile_schema, enforce
from difyops.validation.faults import AmbiguousAnswer, AnswerError, EmptyAnswer, SchemaEcho, codes, fault

DOCUMENT: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
SCHEMA = compile_schema(DOCUMENT)
ANNA = {"name": "Anna", "age": 7}
TEXT = json.dumps(ANNA)


@pytest.mark.parametrize(
    ("text", "rung"),
    [
        (TEXT, "strict"),
        (f"  \n{TEXT}\n", "strict"),
        (f"```json\n{TEXT}\n```", "extract"),
        (f"~~~\n{TEXT}\n~~~", "extract"),
        (f"```json\n{TEXT}", "extract"),
        (f"Sure, as in [1] and {{x}}: {TEXT} Bye!", "extract"),
        (f"<think>{{'name': 'Bob', 'age': 1}} {json.dumps({'name': 'Bob', 'age': 1})}</think>{TEXT}", "extract"),
        (f"Maybe {json.dumps({'name': 'Bob', 'age': 1})}.\n</think>\n{TEXT}", "extract"),
        (f"\ufeff{TEXT}", "extract"),
        (f"{TEXT}\n{TEXT}", "extract"),
        (f'{{"name": "only"}} is wrong, {TEXT} is right', "extract"),
        (json.dumps(TEXT), "extract"),
        (json.dumps(json.dumps(TEXT)), "extract"),
        (TEXT.replace('"', '\\"'), "extract"),
        (json.dumps({"name": "submit", "arguments": ANNA}), "extract"),
        (json.dumps({"name": "submit", "arguments": TEXT}), "extract"),
        (json.dumps({"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": TEXT}}]}), "extract"),
        (json.dumps({"action": "submit", "action_input": ANNA}), "extract"),
        (json.dumps({"role": "assistant", "content": f"Here: {TEXT}"}), "extract"),
        (json.dumps({"result": ANNA}), "extract"),
        (f"```json\n{TEXT[:-1]},}}\n```", "repair"),
    ],
)
def test_each_rung_gives_the_value(text: str, rung: str) -> None:
    verdict = enforce(text, SCHEMA)
    assert (verdict.value, verdict.rung, verdict.error) == (ANNA, rung, None)
    assert verdict.unwrap() == ANNA


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("\ufeff", "empty"),
        ("<think>Let me see", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI language model, I cannot do this {thing}.", "refusal"),
        ("很抱歉，我无法回答这个问题。", "refusal"),
        ('{"error": "I cannot answer this."}', "refusal"),
        ("The answer is forty-two.", "not_json"),
        (json.dumps(DOCUMENT), "schema_echo"),
        (f"```json\n{json.dumps(DOCUMENT, indent=2)}\n```", "schema_echo"),
        (json.dumps(DOCUMENT["properties"]), "schema_echo"),
        ('{"name": "Anna"}', "violates"),
        ("null", "violates"),
        ("42", "violates"),
        (f"{TEXT} {json.dumps({'name': 'Bob', 'age': 1})}", "ambiguous"),
    ],
)
def test_each_kind_of_bad_answer_has_its_class(text: str, error: str) -> None:
    verdict = enforce(text, SCHEMA)
    assert (verdict.ok, verdict.rung, verdict.error) == (False, "failed", error)
    assert verdict.message
    failure = verdict.as_error()
    assert isinstance(failure, AnswerIsNo)
    assert (failure.code, failure.exit_code) == (error, 5)
    with pytest.raises(AnswerError):
        verdict.unwrap()


def test_classes_can_be_caught_by_name() -> None:
    for code, cls in (("empty", EmptyAnswer), ("ambiguous", AmbiguousAnswer), ("schema_echo", SchemaEcho)):
        assert type(fault(code)) is cls
    assert len(set(codes())) == len(codes())


def test_an_echo_of_a_loose_schema_is_no_data_even_though_it_satisfies_it() -> None:
    loose = {"type": "object", "properties": {"note": {}}}
    assert enforce(json.dumps(loose), loose).error == "schema_echo"
    assert enforce('{"properties": {"x": {"type": "string"}}, "type": "object"}', loose).rung == "strict"
    assert enforce('{"properties": "of matter"}', loose).rung == "strict"


def test_the_candidate_that_satisfies_the_schema_wins_not_the_first_nor_the_longest() -> None:
    long = json.dumps({"other": "x" * 500})
    assert enforce(f"{long}\n{TEXT}\n{long}", SCHEMA).value == ANNA


def test_ambiguity_is_settled_by_pick_only() -> None:
    bob = {"name": "Bob", "age": 1}
    text = f"{TEXT} or {json.dumps(bob)}"
    assert enforce(text, SCHEMA).error == "ambiguous"
    assert enforce(text, SCHEMA, options=EnforceOptions(pick="first")).value == ANNA
    assert enforce(text, SCHEMA, options=EnforceOptions(pick="last")).value == bob


def test_a_wrapping_is_not_opened_when_the_outer_value_satisfies_the_schema() -> None:
    call = {"name": "submit", "arguments": {"name": "Anna"}}
    assert enforce(json.dumps(call), {"type": "object"}).value == call
    assert enforce('"{}"', {"type": "string"}).value == "{}"


def test_an_inner_value_of_a_broken_outer_one_is_not_taken_for_the_answer() -> None:
    assert enforce(f'{{"list": [{TEXT}], "bad": }} x', SCHEMA).value is None
    assert enforce(f'"person": {TEXT}', SCHEMA).value is None


def test_what_was_around_the_json_is_listed() -> None:
    verdict = enforce(f"Here you are: {TEXT}", SCHEMA)
    assert [(edit.reason, edit.before) for edit in verdict.edits] == [("text left out", "Here you are:")]


def test_violations_tell_pointer_value_expectation_and_line() -> None:
    text = 'Here:\n```json\n{\n  "name": "Anna",\n  "age": "seven"\n}\n```'
    (violation,) = enforce(text, SCHEMA).violations
    assert (violation.pointer, violation.value, violation.expected, violation.line) == (
        "/age",
        "seven",
        "type: integer",
        5,
    )
    (missing,) = enforce('\n{"name": "Anna"}', SCHEMA).violations
    assert (missing.pointer, missing.expected, missing.line) == ("", "required: age", 2)


def test_a_fenced_scalar_is_found() -> None:
    assert enforce("```json\n42\n```", {"type": "integer"}).value == 42
    assert enforce("The answer is 42.", {"type": "integer"}).error == "not_json"


def test_limits_are_options() -> None:
    options = EnforceOptions(max_chars=10, max_depth=3)
    assert enforce(TEXT, SCHEMA, options=options).error == "too_large"
    assert enforce("[[[[]]]]", True, options=options).error == "too_deep"
    assert enforce("[[[]]]", True, options=options).ok
    assert enforce(TEXT[:-1] + ",}", SCHEMA, options=EnforceOptions(max_repair_chars=10)).error == "too_large"


def test_brackets_inside_texts_are_no_depth() -> None:
    text = json.dumps(["[{" * 500, "]}" * 500])
    assert enforce(text, True).rung == "strict"


def test_a_key_named_twice_is_found_in_long_texts_with_and_without_colons_in_strings() -> None:
    rows = [{"id": number, "text": "x" * 20} for number in range(300)]
    for extra in ("", "a: b"):
        text = json.dumps([*rows, {"note": extra}])
        assert enforce(text, True).rung == "strict"
        assert enforce(text[:-2] + ', "note": 1}]', True).error == "duplicate_keys"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("123456789012345678901234567890", int, 123456789012345678901234567890),
        ("18446744073709551616", int, 2**64),
        ("-0", int, 0),
        ("-0.0", float, 0.0),
        ("1E5", float, 1e5),
        ("0.1", float, 0.1),
        ("1e16", float, 1e16),
    ],
)
def test_numbers_are_read_exactly(text: str, kind: type, value: float) -> None:
    read: Any = enforce(f"[{text}]", True).unwrap()
    assert (type(read[0]), read[0], str(read[0])) == (kind, value, str(json.loads(text)))


def test_a_key_named_twice_is_found_whatever_stands_between() -> None:
    for text in (
        '{"a": 1, "a": 1}', '{"a":1,"a":11}', '{"a b": 1, "ab": 2, "a b": 3}', '{"x": {"a": [], "a": []}}',
        '{"a": 1, "b": "\\u003a", "a": 2}', '{"x": {"a": 1, "b": "\\u003A"}, "y": {"a": "\\u003a", "a": ":"}}',
        '{"x": {"a": 18446744073709551616, "a": 1}}', '{"x": {"a": "\\\\u003a", "a": "\\\\\\u003a"}}',
    ):  # fmt: skip
        assert enforce(text, True).error == "duplicate_keys", text
    for text in (
        '{"a b": 1, "ab": 2, "ba": ["a b", "ab"]}', '{"x": {"a": "\\u003a", "b": "\\\\u003A: \\u003c"}}',
        '{"x": {"a": 18446744073709551616, "b": ":"}}',
    ):  # fmt: skip
        assert enforce(text, True).rung == "strict", text


def test_a_comma_behind_the_whole_answer_is_left_out_and_no_other() -> None:
    for text in ('{"b": 1},', '```json\n{"b": 1},\n```', "{'b': 1},\n"):
        assert enforce(text, {"type": "object"}).value == {"b": 1}
    assert not enforce('{"b": 1}, {"b": 2}', {"type": "object"}).ok
    pair = enforce('[{"b": 1}},{"b": 2}]', {"type": "array"})
    assert pair.value == [{"b": 1}, {"b": 2}]


WRAPPED = '{"name": "Anna", "age": 7}'


@pytest.mark.parametrize(
    "text",
    [
        f'[{{"type": "text", "text": "So {{}}"}}, {{"type": "tool_use", "id": "t", "name": "f", "input": {WRAPPED}}}]',
        f'{{"candidates": [{{"content": {{"parts": [{{"functionCall": {{"name": "f", "args": {WRAPPED}}}}}]}}}}]}}',
        f"◁think▷{{'name': 'Bob', 'age': 1}}◁/think▷{WRAPPED}",
        f'<|channel|>analysis<|message|>{{"name": "Bob", "age": 1}}<|end|><|channel|>final<|message|>{WRAPPED}',
        f"<json><![CDATA[{WRAPPED}]]></json>",
        '{"name": "An" + "na", "age": 7}',
        '{"name": "An"\n  "na", "age": 7}',
    ],
)
def test_what_vendors_and_models_put_around_and_between_is_known(text: str) -> None:
    assert enforce(text, SCHEMA).value == ANNA


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"age": 7, "name": "he said "n', "truncated"),
        ('{"age": 7, "name": "a 19" rack and mo', "truncated"),
        ('{"age": 7, "name": "the "}" brace', "truncated"),
        ('{"age": 7, "name": "tags "a", "', "truncated"),
        ('{"name": "Anna", "age": 7}\nCorrected: {"name": "Bob", "age": NaN}', "not_finite"),
        ('{"name": "Anna", "age": 7}\nCorrected: {"name": "Bob", "age": 1, "age": 2}', "duplicate_keys"),
        ('{"name": "Anna", "age": 7}\nCorrected: "name": "Bob", "age": 8}', "truncated"),
        (f"{WRAPPED}\nSmile :-}}", "not_json"),
        ('{"b": "an example: {\\"name\\": \\"Anna\\", \\"age\\": 7}", "name": "y', "truncated"),
    ],
)
def test_a_text_that_may_hide_another_answer_is_refused(text: str, error: str) -> None:
    assert enforce(text, SCHEMA).error == error


@pytest.mark.parametrize("path", ["C:\\Users\\bob\\new", "\\\\server\\share\\x", "D:\\temp\\Q1 (b).txt"])
def test_a_path_of_windows_that_nobody_escaped_is_kept(path: str) -> None:
    assert enforce(f'{{"name": "{path}", "age": 7,}}', SCHEMA).value == {"name": path, "age": 7}


def test_groups_of_digits_are_not_split() -> None:
    assert not enforce("[12 000, 7]", {"type": "array", "items": {"type": "integer"}}).ok
    assert enforce("[12 13, 7]", {"type": "array", "items": {"type": "integer"}}).value == [12, 13, 7]


def test_texts_joined_by_a_plus_are_one_wherever_they_stand() -> None:
    for text in ('["a", "b" + "c"]', '["a", "b" +\n "" + "c"]', '["a", "b"\n + "c",]'):
        verdict = enforce(text, {"type": "array"})
        assert verdict.value == ["a", "bc"], text
        assert verdict.edits[0].reason == "joined texts"
    assert enforce('{"a": "x\\n" + "y"}', {"type": "object"}).value == {"a": "x\ny"}
    assert not enforce('["a", "b", + "c"]', {"type": "array"}).ok


def test_a_mark_in_the_quotes_before_its_place_has_two_readings_where_the_schema_names_none() -> None:
    closed = {"type": "object", "properties": {"a": {"enum": ["x"]}, "b": {}}, "additionalProperties": False}
    for text in ('{"a:" "x", "b": 1}', '{"a": "x," "b": 1}', '{"a": "x,""b": 1}'):
        assert enforce(text, {"type": "object"}).error == "ambiguous"
        assert enforce(text, closed).value == {"a": "x", "b": 1}


def _answers(*values: object) -> dict[str, Any]:
    """Return one envelope a vendor with several answers in it."""
    texts = [json.dumps(value) for value in values]
    blocks = [{"type": "tool_use", "id": str(at), "name": "f", "input": value} for at, value in enumerate(values)]
    uses = [{"toolUse": {"toolUseId": "1", "name": "f", "input": value}} for value in values]
    called = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": text}} for text in texts]
    parts = [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"} for text in texts]
    said = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": t}]} for t in texts]
    return {
        "choices": {"choices": [{"message": {"role": "assistant", "content": text}} for text in texts]},
        "calls": {"role": "assistant", "content": None, "tool_calls": called},
        "anthropic": {"type": "message", "role": "assistant", "content": blocks},
        "gemini": {"candidates": parts},
        "responses": {"object": "response", "status": "completed", "output": said},
        "bedrock": {"output": {"message": {"role": "assistant", "content": uses}}, "stopReason": "tool_use"},
    }


@pytest.mark.parametrize("vendor", list(_answers()))
def test_several_answers_in_one_envelope_are_refused_unless_they_are_one(vendor: str) -> None:
    def read(*values: object, pick: Any = None) -> Any:
        verdict = enforce(json.dumps(_answers(*values)[vendor]), SCHEMA, options=EnforceOptions(pick=pick))
        return verdict.value if verdict.ok else verdict.error

    bob = {"name": "Bob", "age": 1}
    assert read(ANNA, bob) == read(bob, ANNA) == "ambiguous"
    assert read(ANNA, ANNA) == read(ANNA, {"name": 3}) == read({"name": 3}, ANNA) == ANNA
    assert (read(ANNA, bob, pick="first"), read(ANNA, bob, pick="last")) == (ANNA, bob)


@pytest.mark.parametrize(
    "around", ["[{}]", '{{"draft": {}}}', "[link]({})", "![x]({})", "> {}", "// {}", "<answer>{}</answer>", "`{}`"]
)
def test_another_answer_in_any_dress_beside_one_is_never_passed_over(around: str) -> None:
    other = around.format(json.dumps({"name": "Bob", "age": 1}))
    for text in (f"{other}\n{TEXT}", f"{TEXT}\n\nand\n\n{other}", f"{other}, or {TEXT}"):
        assert not enforce(text, SCHEMA).ok, text
