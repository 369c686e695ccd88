"""Schemas: every draft, formats, references, and errors that say where. jsonschema is asked for a second opinion."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.errors import ConfigError
from difyops.validation import compile_schema, enforce, read_schema
from tests.validation.corpus import answers
from tests.validation.scoring import compiled_once

DRAFTS = {  # the names of the other library's classes; it is slow to import, and not needed to collect the tests
    "http://json-schema.org/draft-04/schema#": "Draft4Validator",
    "http://json-schema.org/draft-06/schema#": "Draft6Validator",
    "http://json-schema.org/draft-07/schema#": "Draft7Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
}
KEYWORDS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"type": "integer", "minimum": 2}, [1, 2, 2.0, 2.5, "2", True, None]),
    ({"type": ["string", "null"], "minLength": 2}, ["", "ab", None, 1]),
    ({"enum": ["a", 1, None]}, ["a", "A", 1, 1.0, True, None]),
    ({"items": {"type": "integer"}, "minItems": 1, "uniqueItems": True}, [[], [1], [1, 1], [1, True], ["x"]]),
    ({"required": ["a"], "additionalProperties": False, "properties": {"a": {}}}, [{}, {"a": 1}, {"a": 1, "b": 2}]),
    ({"patternProperties": {"^x-": {"type": "string"}}}, [{"x-a": "1"}, {"x-a": 1}, {"y": 1}]),
    ({"anyOf": [{"type": "string"}, {"type": "object", "required": ["k"]}]}, ["s", {"k": 1}, {}, 3]),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, [1, 1.5, "x"]),
    ({"not": {"type": "null"}}, [None, 0]),
    ({"type": "number", "multipleOf": 0.5}, [1.5, 1.4]),
    (
        {"definitions": {"d": {"type": "boolean"}}, "properties": {"b": {"$ref": "#/definitions/d"}}},
        [{"b": True}, {"b": 0}],
    ),
    ({"pattern": "^(?=.*[0-9])(?!x)[a-z0-9]+$"}, ["a1", "a", "x1", "A1"]),
]  # fmt: skip


@pytest.mark.parametrize("draft", DRAFTS)
def test_both_validators_agree_on_every_draft(draft: str) -> None:
    import jsonschema

    second: Any = getattr(jsonschema, DRAFTS[draft])
    for keywords, values in KEYWORDS:
        schema = {"$schema": draft, **keywords}
        judge, other = compile_schema(schema), second(schema)
        for value in values:
            assert judge.accepts(value) is other.is_valid(value), (schema, value)
            assert bool(judge.violations(value)) is not other.is_valid(value)


def test_both_validators_agree_on_what_the_ladder_lets_through() -> None:
    import jsonschema

    passed = 0
    others: dict[int, Any] = {}
    for answer in answers(seed=5, count=120):
        verdict = enforce(answer.text, compiled_once(answer.schema))
        if verdict.ok:
            known = others.setdefault(id(answer.schema), jsonschema.Draft202012Validator(answer.schema))
            known.validate(verdict.value)
            passed += 1
    assert passed > 60


def test_formats_are_asserted() -> None:
    for name, good, bad in (
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-01-31T10:00:00Z", "yesterday"),
        ("email", "a@example.com", "a at example"),
        ("uri", "https://example.com", "not a uri"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("ipv4", "127.0.0.1", "300.0.0.1"),
    ):
        schema = {"type": "string", "format": name}
        assert enforce(f'"{good}"', schema).ok
        assert enforce(f'"{bad}"', schema).error == "violates"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{\n "type": "object",\n "properties": {\n  "a": {"type": "strin"}\n }\n}', "s.json:4"),
        ("type: object\nproperties:\n  a:\n    type: strin\n", "s.json:4"),
        ('{"type": "object",\n "a" 1}', "s.json:2"),
        ("a: [1", "s.json"),
        ("type: object\ntype: array\n", "s.json"),
        ('{"type": "object", "type": "array"}', "twice"),
        ("", "empty"),
        ("[]", "object"),
        ("just a sentence", "object"),
        ('{"pattern": "("}', "pattern"),
        ('{"$ref": "#/$defs/nowhere"}', "nowhere"),
        ('{"$schema": "http://example.com/mine"}', "meta-schema"),
    ],
)
def test_a_schema_error_is_told_with_its_place(content: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_schema(content, what="s.json")
    assert told in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("reference", ["https://example.com/x.json", "file:///etc/hostname", "other.json#/a"])
def test_a_reference_that_leaves_the_document_is_refused_with_a_hint(reference: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_schema(f'{{"properties":\n{{"a":\n{{"$ref": "{reference}"}}}}}}', what="s.json")
    assert caught.value.message.startswith("s.json:3: The schema refers to something outside itself at")
    assert "/properties/a/$ref" in caught.value.message
    assert caught.value.hint is not None
    assert "$defs" in caught.value.hint


def test_yaml_and_json_give_the_same_schema() -> None:
    yaml = read_schema("type: object\nproperties:\n  a: {type: integer, enum: [1, 2]}\nrequired: [a]\n")
    other = read_schema(
        b'\xef\xbb\xbf{"type":"object","properties":{"a":{"type":"integer","enum":[1,2]}},"required":["a"]}'
    )
    assert yaml.document == other.document
    with pytest.raises(ConfigError, match="UTF-8"):
        read_schema(b"\xff\xfe")


def test_a_hostile_pattern_size_is_a_schema_error() -> None:
    with pytest.raises(ConfigError):
        compile_schema({"pattern": "((a{1000}){1000}){1000}"})
