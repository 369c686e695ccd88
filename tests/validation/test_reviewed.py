"""Answers that were read wrongly once, with the right value, and those that were refused without need."""

from __future__ import annotations

import json
from typing import Any

import pytest

from difyops.errors import ConfigError
from difyops.validation import EnforceOptions, compile_schema, enforce
from difyops.validation.reading import reader, reasoning

OBJECT = {"type": "object"}
META = "http://json-schema.org/draft-07/schema#"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
ITEMS = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "integer"}}},
    "required": ["items"],
}
WORDS = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "string"}}},
    "required": ["items"],
}
PRICE = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
A = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "customer": {"type": "object", "properties": {"name": {}, "email": {}, "note": {}}, "required": ["name"]},
        "note": {"type": "string"},
    },
    "required": ["id", "customer"],
}
ANN = '{"name":"Ann","age":30}'
EXAMPLE = 'The form is {"name":"Example","age":1}.'


@pytest.mark.parametrize("text", [
    f"[THINK]{EXAMPLE}[/THINK]", f"<seed:think>{EXAMPLE}</seed:think>", f"<think>{EXAMPLE}</think>",
    f"◁think▷{EXAMPLE}◁/think▷", f"<reasoning_content>{EXAMPLE}</reasoning_content>", f"<scratch>{EXAMPLE}</scratch>",
    f"<antThinking>{EXAMPLE}</antThinking>", f"<thought_process>{EXAMPLE}</thought_process>",
    f"< think >{EXAMPLE}</ think >", f"<reflect>{EXAMPLE}</reflect>",
    f'<details style="color:gray;" open> <summary> Thinking... </summary>\n{EXAMPLE}\n</details>\n',
])  # fmt: skip
def test_reasoning_is_never_the_answer_and_never_makes_one_ambiguous(text: str) -> None:
    assert not enforce(f"{text}Sorry, no such person.", PERSON).ok
    assert enforce(f"{text}{ANN}", PERSON).value == {"name": "Ann", "age": 30}


@pytest.mark.parametrize("text", [
    '{"items":[1,2 /* remaining 98 items omitted for brevity */]}', '{"items":[1,2 // rest of the list omitted\n]}',
    '{"items":[1,2 # and so on\n]}', '{"items":[1,2 // ... more items\n]}', '{"items":[1,2 // 其余省略\n]}',
    '{"items":[1,2 /* same as above */]}', '{"items":[1, 2, /* add more here */]}',
    '{"items":[1,2, // TODO: fill in\n]}',
    '{"items":[1,2]} # truncated, 48 more', '{"items":[1,2]} ...', '{"items":[1,2]}\n[...]',
    '{"items":[1,2]}\n[continued in next message]', '{"items":[1,2]}\n(Fortsetzung folgt)',
])  # fmt: skip
def test_a_list_that_says_it_is_cut_is_refused(text: str) -> None:
    assert not enforce(text, ITEMS).ok


@pytest.mark.parametrize("text", [
    '{"items":["a","b",etc]}', '{"items":["a","b", and so on]}', '{"items":["a","b", more]}', '{"items":["a",...]}',
    '{"items":[first_item, second_item]}', '{"items":["a", (98 more items)]}',
])  # fmt: skip
def test_bare_words_are_no_items(text: str) -> None:
    assert not enforce(text, WORDS).ok
    assert not enforce('{"expand": tre}', OBJECT).ok


def test_bare_words_are_read_as_text_with_coercion_and_listed() -> None:
    text = '{"items":[first_item, second_item]}'
    assert "--coerce" in (enforce(text, WORDS).message or "")
    done = enforce(text, WORDS, options=EnforceOptions(coerce=True))
    assert done.value == {"items": ["first_item", "second_item"]}
    assert [edit.reason for edit in done.edits] == ["unquoted text", "unquoted text"]


@pytest.mark.parametrize("number", ["3,142", "12,500", "0,125", "12 000", "1_000"])
def test_a_number_with_two_readings_is_refused(number: str) -> None:
    assert not enforce(f'{{"price": {number}}}', PRICE).ok
    assert not enforce(f'{{"price": {number}}}', OBJECT).ok


@pytest.mark.parametrize(("text", "schema"), [
    ('{"id": 7, "customer": {"name": "Ann", "email": "a@x.org", "note": "vip"}', ORDER),
    ('{"k": 1, "o": {"a": 1, "b": 2}', OBJECT), ('{"d": {"r": "x"], "act": "y"}}', OBJECT),
    ('{"order",: {"name": "A"}}', {**OBJECT, "required": ["name"]}),
    ('{status failed; detail {"name": "A"}}', {**OBJECT, "required": ["name"]}),
    ('{&quot;a&quot;: {}, "b": 1', OBJECT), ('"call f({}) now"', OBJECT), ('Note "x": {} and more', OBJECT),
    ('{"message": {"text": "hi"}, "priority": "very high"}', {
        "type": "object", "properties": {"message": {}, "text": {}, "priority": {"enum": ["low"]}},
    }),
    ('{"role": "user", "content": "{\\"a\\": 1}"}', A),
    ('{"de": "Hallo", "fr": "Salut"', {**OBJECT, "additionalProperties": {}}),
    ('{"a": {"b": 1}', OBJECT), ('{"a": [{}', {"type": "object", "properties": {"a": {}}}),
    ('1, [2, 3], 4]', {"type": "array", "maxItems": 2}), ('null, {"a": 1}]', {"type": "array", "maxItems": 1}),
    ('[\n  }//"\n]', {"type": "array"}),
    ('{"a": 1}\nFinal answer: {"a": "x"}', A),
    ('{"choices": [{"message": {"role": "assistant", "content": "{\\"a\\": 1}"}, '
     '"finish_reason": "length"}]}', A),
])  # fmt: skip
def test_no_quiet_guess(text: str, schema: dict[str, Any]) -> None:
    assert enforce(text, schema).value is None


@pytest.mark.parametrize(
    ("text", "schema"), [('"1"', "integer"), ('"true"', "boolean"), ('"null"', "null"), ('"1.5"', "number")]
)
def test_a_scalar_in_a_text_stays_a_text_without_coercion(text: str, schema: str) -> None:
    refused = enforce(text, {"type": schema})
    assert (refused.error, "--coerce" in (refused.message or "")) == ("violates", True)


@pytest.mark.parametrize(("text", "schema", "value"), [
    ("True", {"type": "boolean"}, True), ("None", {"type": "null"}, None), ("high", {"enum": ["low", "high"]}, "high"),
    ('{"p": high}', {"type": "object", "properties": {"p": {"enum": ["low", "high"]}}}, {"p": "high"}),
    ('According to [1]:\n```json\n{"a": 1}\n```', A, {"a": 1}), ('[12:00:01] {"a": 1}', A, {"a": 1}),
    ('ids [1, 2, 3]: {"a": 1}', A, {"a": 1}), ('{"a": 1{}', A, {"a": 1}), ('{"a",: 1}', A, {"a": 1}),
    ('{"a": }1}', A, {"a": 1}), ('{"a"" 1}', A, {"a": 1}), (',"a": 1}', A, {"a": 1}),
    ('"\n  "a": 1}', A, {"a": 1}), ('""a": 1}', A, {"a": 1}), ('{"a: 1}', A, {"a": 1}), ('{"a{: 1\n}', A, {"a": 1}),
    ('{`a`: 1, `b`: `]`, `c`: `he wrote \\"x\\"`}', A, {"a": 1, "b": "]", "c": 'he wrote "x"'}),
    ('1, {"b": 2}]', {"type": "array"}, [1, {"b": 2}]), ('{"b": ["\\"x\\""], a": 1}', A, {"b": ['"x"'], "a": 1}),
    ('{\n  "b": {\n    "c": 1\n  }\n', OBJECT, {"b": {"c": 1}}),
    ('{"a": 1, "b": "\\[x\\]"}', A, {"a": 1, "b": "\\[x\\]"}),
    ('{"name": "J", "items": [}{"sku": "A"}, {"sku": "B"}]}', OBJECT,
     {"name": "J", "items": [{"sku": "A"}, {"sku": "B"}]}),
    ('{"type": "object", "properties": {"x": {}}}', OBJECT, {"type": "object", "properties": {"x": {}}}),
    (f'{{"$schema": "{META}"}}', OBJECT, {"$schema": META}),
    ('{"object": "response", "output": [{"type": "reasoning"}, {"type": "message", "role": "assistant", "content": '
     '[{"type": "output_text", "text": "{\\"a\\": 1}"}]}]}', A, {"a": 1}),
    ('{"output": {"message": {"role": "assistant", "content": [{"text": "{\\"a\\": 1}"}]}}, "stopReason": "end_turn"}',
     A, {"a": 1}),
    ('{"event": "message", "message_id": "m", "answer": "{\\"a\\": 1}"}', A, {"a": 1}),
    ('{"workflow_run_id": "w", "data": {"status": "succeeded", "outputs": {"text": "{\\"a\\": 1}"}}}', A, {"a": 1}),
    ('data: {"event": "message", "answer": "{\\"a\\""}\n\ndata: {"event": "message", "answer": ": 1}"}\n\n'
     'data: {"event": "message_end"}\n', A, {"a": 1}),
    ('{"model": "m", "message": {"role": "assistant", "content": "{\\"a\\": 1}"}, "done": true}', A, {"a": 1}),
])  # fmt: skip
def test_what_is_explained_is_read(text: str, schema: dict[str, Any], value: object) -> None:
    verdict = enforce(text, schema)
    assert (verdict.ok, verdict.value) == (True, value), verdict


OPENAI = {"name": "x", "strict": True, "schema": A}


@pytest.mark.parametrize("wrapped", [OPENAI, {"schema": A}, {"type": "json_schema", "json_schema": OPENAI}])
def test_a_schema_in_a_known_wrapping_is_taken_out(wrapped: dict[str, Any]) -> None:
    schema = compile_schema(wrapped)
    assert schema.unwrapped is not None
    assert schema.document == A
    assert enforce('{"nope": 1}', schema).error == "violates"


@pytest.mark.parametrize("nothing", [{"typ": "object", "propertys": {}}, {"answer": {"type": "object"}, "x": 1}])
def test_a_schema_that_says_nothing_is_refused_with_a_hint(nothing: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="says nothing") as caught:
        compile_schema(nothing)
    assert caught.value.hint


def test_members_that_stand_alone_are_told_where_they_belong() -> None:
    with pytest.raises(ConfigError, match="are no keywords") as caught:
        compile_schema({"name": {"type": "string"}, "age": {"type": "integer"}})
    assert "properties" in (caught.value.hint or "")


def test_a_schema_that_accepts_everything_may_say_so() -> None:
    assert enforce("1", {}).ok
    assert enforce("1", True).ok


def test_a_recursive_union_is_explained_in_bounded_steps_at_the_deepest_place() -> None:
    tree: dict[str, Any] = {
        "$defs": {"n": {"oneOf": [
            {"properties": {"l": {"$ref": "#/$defs/n"}, "r": {"$ref": "#/$defs/n"}}, "required": ["l", "r"]},
            {"properties": {"v": {"type": "integer"}}, "required": ["v"]},
        ]}},
        "$ref": "#/$defs/n",
    }  # fmt: skip
    value: Any = {"v": "x"}
    for _ in range(12):
        value = {"l": value, "r": {"v": 1}}
    (violation,) = [found for _, found in compile_schema(tree).violations(value)]
    assert (violation.pointer, violation.expected) == ("/l" * 12 + "/v", "type: integer")


def test_a_constant_tells_which_branch_was_meant() -> None:
    branches = [
        {
            "properties": {"kind": {"const": kind}, "size": {"type": "integer"}, "x": {"type": "null"}},
            "required": ["kind", need],
        }
        for kind, need in (("a", "size"), ("b", "other"))
    ]
    (found,) = [
        item for _, item in compile_schema({"anyOf": branches}).violations({"kind": "b", "size": "1", "other": 1})
    ]
    assert found.pointer == "/size"


OPEN = {"type": ["object", "array", "string"], "properties": {"a": {"type": "integer"}, "b": {}}}


@pytest.mark.parametrize("text", [
    '{"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\\"a\\": 1}"}}]}',
    '{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]}',
    '[{"type": "text", "text": "I submit it."}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]',
    '{"result": {"a": 1}}', '"{\\"a\\": 1}"',
])  # fmt: skip
def test_an_envelope_that_an_open_schema_accepts_is_opened_all_the_same(text: str) -> None:
    assert enforce(text, OPEN).value == {"a": 1}
    assert enforce(text.replace("1", '\\"x\\"' if '\\"' in text else '"x"'), {**OPEN, "type": "object"}).value is None


@pytest.mark.parametrize(
    "value",
    [
        {"result": {"c": 1}}, {"a": 1, "result": {"a": 2}}, {"name": "f", "arguments": "c"}, "x", '{"a": "x"}',
        {"a": 1, "name": "f", "arguments": {"c": 1}}, {"choices": [{"message": {"role": "user", "content": "{}"}}]},
    ],
)  # fmt: skip
def test_data_that_looks_like_an_envelope_stays_data(value: object) -> None:
    assert enforce(json.dumps(value), OPEN)[:4] == (True, "strict", value, ())


@pytest.mark.parametrize(("value", "inner"), [
    ({"name": "f", "arguments": {}}, {}), ({"type": "text", "text": '{"c": 1}'}, {"c": 1}), ('{"c": 1}', {"c": 1}),
    ({"functionCall": {"name": "f", "args": {"c": 1}}}, {"c": 1}), ({"b": 1, "function": {"name": "f"}}, None),
])  # fmt: skip
def test_an_envelope_that_satisfies_as_well_as_what_it_holds_is_ambiguous(value: object, inner: object) -> None:
    verdict = enforce(json.dumps(value), OPEN)
    if inner is None:
        assert verdict.value == value
    else:
        assert (verdict.error, json.dumps(inner) in (verdict.message or "")) == ("ambiguous", True)


@pytest.mark.parametrize("schema", [True, {}, OBJECT, {**OBJECT, "additionalProperties": True}])
def test_a_schema_that_says_nothing_of_members_takes_an_envelope_as_it_is(schema: Any) -> None:
    text = '{"name": "f", "arguments": {"a": 1}}'
    assert enforce(text, schema)[:4] == (True, "strict", json.loads(text), ())


@pytest.mark.parametrize("text", [
    '{"a": {"b": 1}, "a": "\\u003a"}', '{"a": 1, "a": "\\u003A"}', '{"a\\u003a": 1, "a:": 2}',
    '{"é": 1, "é": 18446744073709551616}',
])  # fmt: skip
def test_no_repeated_key_hides_behind_an_escape(text: str) -> None:
    assert enforce(text, True).error == "duplicate_keys"


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40, 10**400])
def test_a_long_integer_stays_exact(number: int) -> None:
    assert enforce(f' [{number}, "a+b", 1e+22]', True).value == [number, "a+b", 1e22]


@pytest.mark.parametrize("thing", [b"{}", None, 7, bytearray(b"1")])
def test_what_is_no_text_gets_an_error_of_our_own(thing: Any) -> None:
    assert enforce(thing, A).error == "not_text"


@pytest.mark.parametrize("wanted", ["date", "uri", "email"])
def test_a_text_is_opened_only_where_members_are_wanted(wanted: str) -> None:
    """A schema that names a format alone says nothing of objects: the text fails the format, and stays a text."""
    verdict = enforce('"{}"', compile_schema({"format": wanted}))
    assert (verdict.ok, verdict.error) == (False, "violates")
    opened = enforce('"{\\"a\\": 1}"', compile_schema({"type": "object"}))
    assert opened.value == {"a": 1}


def test_a_text_without_the_marks_of_reasoning_holds_none() -> None:
    for opens, closes in reasoning.BLOCKS:
        assert any(mark in opens.upper() for mark in reasoning.MARKS), opens
        assert any(mark in closes.upper() for mark in reasoning.MARKS), closes


@pytest.mark.parametrize("tail", ["48 more items omitted", "...", "The rest is cut off.", "其余省略"])
@pytest.mark.parametrize(
    "text", ["[1, 2]", "```json\n[1, 2]\n```", "Sure:\n```\n[1, 2]\n```", "Here [it] is:\n```\n[1, 2]\n```"]
)
def test_words_behind_the_answer_that_say_that_it_is_cut_refuse_it(text: str, tail: str) -> None:
    assert enforce(text, {"type": "array"}).value == [1, 2]
    assert enforce(f"{text}\n{tail}", {"type": "array"}).error == "truncated"


@pytest.mark.parametrize(("before", "after"), [
    ("```json\n", "\n```"), ("Sure.\n\n```\n", "\n```\n\nIt's {{valid}}."), ("```JSON\n", "\n"), ("\ufeff", ""),
    ("Result: ", "\n\nHope this helps (or not) :)"), ("~~~\n", "\n~~~"), ("[1] says:\n```json\n", "\n```"),
])  # fmt: skip
def test_the_commonest_wrappings_are_read_as_the_outline_reads_them(
    before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f'{before}{{"a": 1, "b": ["x{{y"]}}{after}'
    quick = enforce(text, A)
    monkeypatch.setattr(reader, "plainly_wrapped", lambda _: None)
    assert quick == enforce(text, A)
    assert (quick.rung, quick.value) == ("extract", {"a": 1, "b": ["x{y"]})


def _chunks(text: str, reason: str | None) -> str:
    pieces = [{"choices": [{"index": 0, "delta": {"content": text[at : at + 4]}}]} for at in range(0, len(text), 4)]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    return "".join(f"data: {json.dumps(event)}\n\n" for event in (*pieces, last)) + (
        "data: [DONE]\n\n" if reason else ""
    )


def _deltas(text: str, reason: str | None) -> str:
    pieces: list[dict[str, Any]] = [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": text[at : at + 4]},
        }
        for at in range(0, len(text), 4)
    ]
    last: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": reason}}
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in (*pieces, last))


def _cohere(text: str, reason: str) -> str:
    message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    return json.dumps({"id": "c", "message": message, "finish_reason": reason})


@pytest.mark.parametrize(("make", "whole", "cut"), [
    (_cohere, "COMPLETE", "MAX_TOKENS"),
    (lambda text, why: json.dumps({"text": text, "generation_id": "g", "finish_reason": why}), "ERROR", "MAX_TOKENS"),
    (lambda text, why: json.dumps([{"generated_text": text, "details": {"finish_reason": why}}]), "stop", "length"),
    (lambda text, why: json.dumps({"generation": text, "stop_reason": why}), "stop", "length"),
    (lambda text, why: json.dumps({"results": [{"outputText": text, "completionReason": why}]}), "FINISH", "LENGTH"),
    (_chunks, "stop", "length"), (_chunks, "stop", None), (_deltas, "tool_use", "max_tokens"),
])  # fmt: skip
def test_further_vendors_and_streams_are_opened_and_say_when_they_are_cut(
    make: Any, whole: str, cut: str | None
) -> None:
    for schema in (OPEN, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}):
        assert enforce(make('{"a": 1, "b": "x"}', whole), schema).value == {"a": 1, "b": "x"}
        assert enforce(make('{"a": 1, "b": "x"}', cut), schema).error == "truncated"


def test_a_list_of_one_call_is_opened_though_the_schema_declares_a_name() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    assert enforce('[TOOL_CALLS][{"name": "f", "arguments": {"name": "x"}}]', schema).value == {"name": "x"}
