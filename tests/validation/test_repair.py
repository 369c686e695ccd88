"""What is mended, and what is refused because mending it would be guessing."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.validation import EnforceOptions, compile_schema, enforce

A_B = compile_schema(
    {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "t": {"type": "array"}},
        "required": ["a", "b"],
    }
)
ANY = compile_schema({"type": ["object", "array"]})


@pytest.mark.parametrize(
    ("text", "a", "reason"),
    [
        ('{"a": "x", "b": 1,}', "x", "trailing comma"),
        ("{'a': 'x', 'b': 1}", "x", "wrong quotes"),
        ("{'a': 'it's', 'b': 1}", "it's", "wrong quotes"),
        ("{'a': 'it\\'s \"so\"', 'b': 1}", 'it\'s "so"', "wrong quotes"),
        ("{“a”: “x”, “b”: 1}", "x", "wrong quotes"),
        ("{`a`: `x`, `b`: 1}", "x", "wrong quotes"),
        ('{a: "x", b: 1}', "x", "unquoted key"),
        ('{"a": "x" // so\n, "b": 1}', "x", "comment"),
        ('{"a": "x", /* so */ "b": 1}', "x", "comment"),
        ('{"a": "x", # so\n "b": 1}', "x", "comment"),
        ('{"a": "x" "b": 1}', "x", "missing comma"),
        ('{"a": "x",, "b": 1}', "x", "extra comma"),
        ('{"a": "x"; "b": 1}', "x", "wrong comma"),
        ('{"a" "x", "b": 1}', "x", "missing colon"),
        ('{"a": "x", "b": : 1}', "x", "extra colon"),
        ('{"a" = "x", "b" => 1}', "x", "wrong colon"),
        ('{"a"："x"，"b"：1}', "x", "wrong colon"),
        ('{"a": "x\ny", "b": 1}', "x\ny", "raw control character"),
        ('{"a": "x\ty", "b": 1}', "x\ty", "raw control character"),
        ('{"a": "C:\\dir", "b": 1}', "C:\\dir", "wrong escape"),
        ('{"a": "it\\\'s", "b": 1}', "it's", "escaped quote"),
        ('{"a": "a \\„ b", "b": 1}', "a „ b", "escaped quote"),
        ('{"a": "er sagte „ja" und „nein" zu „x", "b": 1}', 'er sagte „ja" und „nein" zu „x', "unescaped quote"),
        ('{"a": "das „Neue" zuerst", "b": 1}', 'das „Neue" zuerst', "unescaped quote"),
        ('{"a": "say "hi", ok", "b": 1}', 'say "hi", ok', "unescaped quote"),
        ('{"a": "a 5" pipe", "b": 1}', 'a 5" pipe', "unescaped quote"),
        ('{"a": "use {"x": "y", "z": 1} so", "b": 1}', 'use {"x": "y", "z": 1} so', "unescaped quote"),
        ('{"a": hello", "b": 1}', "hello", "missing quote"),
        ('{"a": "hello, "b": 1}', "hello", "missing quote"),
        ('{"a: "x", "b": 1}', "x", "missing quote"),
        ('{"a": "x", "b": +1}', "x", "odd number"),
        ('{"a": "x", "b": 0x1}', "x", "odd number"),
        ('{"a": "x", "b": 1}}', "x", "extra bracket"),
        ('{"a": "x"}, "b": 1}', "x", "extra bracket"),
        ('{"a": "x", "b": 1, "t": [1, 2}', "x", "missing bracket"),
        ('{"a": "x", "b": 1, "t": ["Dear {name}", "see [1]"}', "x", "missing bracket"),
        ('{"a": "x", "t": [1, 2, "b": 1}', "x", "missing bracket"),
        ('{"a": "x", "b": 1]', "x", "wrong bracket"),
        ('{"a": "x",\u00a0"b": 1}', "x", "unusual white space"),
        ('"a": "x", "b": 1}', "x", "missing bracket"),
        ('{""a"": ""x"", ""b"": 1}', "x", "doubled quotes"),
        ("{&quot;a&quot;: &quot;x&quot;, &quot;b&quot;: 1}", "x", "HTML entities"),
        ('> {"a": "x",\n> "b": 1}', "x", "quote marks"),
        ('{{"a": "x", "b": 1}}', "x", "extra bracket"),
    ],
)
def test_a_slip_with_one_plausible_reading_is_mended_and_listed(text: str, a: str, reason: str) -> None:
    verdict = enforce(text, A_B)
    assert verdict.value is not None, (verdict.error, verdict.message)
    assert isinstance(verdict.value, dict)
    assert (verdict.value["a"], verdict.value["b"]) == (a, 1)
    assert verdict.rung == "repair"
    assert reason in {edit.reason for edit in verdict.edits}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': True, 'b': None, 'c': (1, 2)}", {"a": True, "b": None, "c": [1, 2]}),
        ('{"a": TRUE, "b": Null}', {"a": True, "b": None}),
        ('{"b": .5, "c": +1, "d": 007}', {"b": 0.5, "c": 1, "d": 7}),
        ('["a" "b"\n"c"]', ["a", "b", "c"]),
        ('{"a": """x "y" z"""}', {"a": 'x "y" z'}),
        ('{"a": "see https://example.com//x", }', {"a": "see https://example.com//x"}),
        ('[{"a": 1, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ("('a', \"b\", (1, None))", ["a", "b", [1, None]]),
        ("The pair:\n```python\n(1, 2)\n```", [1, 2]),
        ("('a',)", ["a"]),
    ],
)
def test_other_languages_are_read_as_what_they_mean(text: str, value: Any) -> None:
    assert enforce(text, ANY).value == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"a": "x", "b": 12', "truncated"),
        ('```json\n{"a": "x", "b": 12\n```', "truncated"),
        ('{"a": "hel', "truncated"),
        ('{"a": "x", "b": 1, "t": [1, 2', "truncated"),
        ('{"a": "x", "b": 1', "truncated"),
        ('{"a": "x", "b":', "truncated"),
        ('{"a": "x", "b": 1} {"a": "y", "b":', "truncated"),
        ('{"a": , "b": 1}', "value_missing"),
        ('{"a": "x", "b": 1, "t": [1, ...]}', "value_missing"),
        ('{"a": "x", "b": 1, "t": [1, // ... and so on\n]}', "value_missing"),
        ('{"a": "x", "b": 1} or {"a": "y", "b": 1}', "ambiguous"),
        ('{"a": "x", "b": 1, "a": "y"}', "duplicate_keys"),
        ("{'a': 'x', 'b': 1, 'a': 'y'}", "duplicate_keys"),
        ('{"a": "x", "b": NaN}', "not_finite"),
        ("{'a': 'x', 'b': -Infinity}", "not_finite"),
        ('{"a": "x", "b": 1e999}', "not_finite"),
        ('{"a": "\\ud83d", "b": 1}', "lone_surrogate"),
        ("{'a': '\\ud83d', 'b': 1}", "lone_surrogate"),
        ('{"a": "x", "b": ' + "9" * 5000 + "}", "huge_number"),
        ('{"a": "v"alue", "b": 1}', "ambiguous"),
        ('{"a": ""x", "b": 1}', "ambiguous"),
        ('{"a": "19"", "b": 1}', "ambiguous"),
        ('{"a": "x\\{y", "b": 1}', "ambiguous"),
        ('{"a": "say \\hi\\"", "b": 1}', "ambiguous"),
        ('{"a": "https"://x.y", "b": 1}', "ambiguous"),
        ('{"b": 1, "a": "x"]//"}', "not_json"),
        ('["a":"b"]', "violates"),
        ('{"a": hello there, "b": 1}', "not_json"),
        ('{"a": "x", "b": 1_000}', "not_json"),
        ("{a, b}", "not_json"),
        ('{"a": "x", COMMENT "b": 1}', "not_json"),
        ("(1) First, (2) second", "not_json"),
        ("(555) 123-4567", "violates"),
        ('("x")', "violates"),
        ('{"b": 1, "a": "Dear name}"', "truncated"),
    ],
)
def test_what_cannot_be_known_is_refused_with_a_class_of_its_own(text: str, error: str) -> None:
    verdict = enforce(text, A_B)
    assert (verdict.ok, verdict.error, verdict.value) == (False, error, None)


def test_quotes_with_two_fitting_readings_are_ambiguous() -> None:
    schema = {"type": "object", "properties": {"t": {"type": "array", "items": {"type": "string"}}}}
    verdict = enforce('{"t": ["a 5" x", "a 6" y"]}', schema)
    assert verdict.value in (None, {"t": ['a 5" x', 'a 6" y']})
    assert enforce('{"t": ["he wrote "a", "b" and "c"", "d"]}', schema).value in (
        None,
        {"t": ['he wrote "a", "b" and "c"', "d"]},
    )


def test_the_schema_decides_where_a_lost_bracket_belongs() -> None:
    schema = {
        "type": "object",
        "properties": {
            "user": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
            "age": {"type": "integer"},
        },
        "required": ["user", "age"],
    }
    verdict = enforce('{"user": {"name": "Anna", "age": 7}', schema)
    assert verdict.value == {"user": {"name": "Anna"}, "age": 7}
    assert enforce('{"user": "name": "Anna"}, "age": 7}', schema).value == {"user": {"name": "Anna"}, "age": 7}


def test_missing_closing_brackets_are_added_only_when_nothing_the_schema_knows_can_be_lost() -> None:
    document: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    closed = compile_schema({**document, "additionalProperties": False})
    assert enforce('{"a": "x"', closed).value == {"a": "x"}
    assert enforce('{"a": "x"', document).error == "truncated"
    assert enforce('{\n  "a": "x"\n', document).value == {"a": "x"}
    assert enforce('{"a": "x"', A_B).error == "truncated"
    assert enforce('{"a": "x"', {"type": "object"}).error == "truncated"


def test_an_invented_value_stands_only_when_asked_for_and_is_marked() -> None:
    text = '{"a": "x", "b": 1, "t": ["y", "hel'
    assert enforce(text, A_B).error == "truncated"
    optional = enforce(text, A_B, options=EnforceOptions(invented="optional"))
    assert optional.value == {"a": "x", "b": 1, "t": ["y", "hel"]}
    assert "/t/1" in {edit.pointer for edit in optional.edits if edit.invented}
    assert enforce('["y", "hel', ANY, options=EnforceOptions(invented="optional")).error == "truncated"
    always = enforce('{"b": 1, "a": "hel', A_B, options=EnforceOptions(invented="always"))
    assert always.value == {"b": 1, "a": "hel"}
    assert any(edit.invented and edit.pointer == "/a" for edit in always.edits)
    assert enforce('{"b": 1, "a": "hel', A_B, options=EnforceOptions(invented="optional")).error == "truncated"


def test_edits_name_place_before_and_after() -> None:
    verdict = enforce('{"a": "x", "b": 1, "t": [{"k/~": True}]}', A_B)
    (edit,) = verdict.edits
    assert (edit.pointer, edit.before, edit.after, edit.reason) == ("/t/0/k~1~0", "True", True, "foreign literal")


def test_more_edits_than_allowed_are_refused_and_shown() -> None:
    text = "```json\n{'a': 'x', 'b': 1,}\n```"
    assert enforce(text, A_B, options=EnforceOptions(max_edits=4)).ok
    refused = enforce(text, A_B, options=EnforceOptions(max_edits=3))
    assert (refused.error, refused.value) == ("too_many_edits", None)
    assert len(refused.edits) > 3
    fenced = enforce('```json\n{"a": "x", "b": 1}\n```', A_B, options=EnforceOptions(max_edits=0))
    assert fenced.rung == "extract"  # a fence is around the JSON, not in it


def test_without_repair_json_is_found_but_not_mended() -> None:
    options = EnforceOptions(repair=False)
    assert enforce('Here: {"a": "x", "b": 1}!', A_B, options=options).rung == "extract"
    assert enforce('{"a": "x", "b": 1,}', A_B, options=options).error == "not_json"


def test_repeated_keys_and_nan_pass_when_asked_for_and_are_listed() -> None:
    last = enforce('{"a": "x", "b": 1, "a": "y"}', A_B, options=EnforceOptions(duplicates="last"))
    first = enforce('{"a": "x", "b": 1, "a": "y"}', A_B, options=EnforceOptions(duplicates="first"))
    assert (last.value, first.value) == ({"a": "y", "b": 1}, {"a": "x", "b": 1})
    assert [edit.reason for edit in last.edits] == ["repeated key"]
    null = enforce('{"a": NaN}', {"type": "object"}, options=EnforceOptions(not_finite="null"))
    assert null.value == {"a": None}
    assert [edit.reason for edit in null.edits] == ["not finite"]


def test_items_in_a_row_are_a_list_only_where_the_schema_wants_one() -> None:
    rows = {"type": "array", "items": {"type": "object", "required": ["b"]}}
    for text in ('{"b": 1}\n{"b": 2}', '{"b": 1}, {"b": 2}', '```json\n{"b": 1}\n{"b": 2}\n```'):
        verdict = enforce(text, rows)
        assert (verdict.value, verdict.rung) == ([{"b": 1}, {"b": 2}], "repair")
        assert "items in a row" in [edit.reason for edit in verdict.edits]
        assert not enforce(text, {"type": "object", "required": ["b"]}).ok
    for text in (
        '{"b": 1}\n{"c": 2}',
        '{"b": 1}\nor\n{"b": 2}',
        '{"b": 1}\n{"b": 2',
        '{"b": 1}',
        '{"b": 1},\n{"b": 2},',
    ):
        assert not enforce(text, rows).ok
