"""Coercion: only when asked for, only without loss, every change listed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from difyops.validation import EnforceOptions, enforce

COERCE = EnforceOptions(coerce=True)


@pytest.mark.parametrize(
    ("schema", "before", "after"),
    [
        ({"type": "integer"}, "7", 7),
        ({"type": "integer"}, " -7 ", -7),
        ({"type": "number"}, "7.5", 7.5),
        ({"type": "boolean"}, "yes", True),
        ({"type": "boolean"}, "FALSE", False),
        ({"type": "boolean"}, 1, True),
        ({"type": "string"}, 7, "7"),
        ({"type": "string"}, True, "true"),
        ({"type": ["integer", "null"]}, "", None),
        ({"enum": ["low", "high"]}, "HIGH", "high"),
        ({"enum": ["in progress"]}, "In_Progress", "in progress"),
        ({"type": "array", "items": {"type": "integer"}}, 5, [5]),
        ({"type": "array", "items": {"type": "integer"}}, "5", [5]),
        ({"type": "object", "required": ["x"]}, '{"x": 1}', {"x": 1}),
        ({"type": "array", "items": {"type": "object"}}, {"x": 1}, [{"x": 1}]),
    ],
)
def test_a_value_becomes_what_the_schema_wants_and_is_listed(schema: Any, before: Any, after: Any) -> None:
    whole = {"type": "object", "properties": {"v": schema}, "required": ["v"]}
    text = json.dumps({"v": before})
    assert enforce(text, whole).error == "violates"
    verdict = enforce(text, whole, options=COERCE)
    assert (verdict.value, verdict.rung) == ({"v": after}, "coerce")
    assert verdict.edits[0].pointer.startswith("/v")
    assert {edit.reason for edit in verdict.edits} == {"coerced"}


@pytest.mark.parametrize(
    ("schema", "before"),
    [
        ({"type": "integer"}, "seven"),
        ({"type": "integer"}, "7.5"),
        ({"type": "integer"}, 7.5),
        ({"type": "integer"}, "1,000"),
        ({"type": "boolean"}, "maybe"),
        ({"type": "boolean"}, 2),
        ({"type": "string"}, {"x": 1}),
        ({"type": "integer", "maximum": 5}, "7"),
        ({"enum": ["Red", "RED"]}, "red"),
    ],
)
def test_what_would_lose_or_guess_stays_a_violation(schema: Any, before: Any) -> None:
    whole = {"type": "object", "properties": {"v": schema}, "required": ["v"]}
    verdict = enforce(json.dumps({"v": before}), whole, options=COERCE)
    assert (verdict.error, verdict.value) == ("violates", None)


def test_coercion_comes_after_repair_and_both_are_listed() -> None:
    whole = {"type": "object", "properties": {"v": {"type": "integer"}}, "required": ["v"]}
    verdict = enforce("{'v': '7',}", whole, options=COERCE)
    assert (verdict.value, verdict.rung) == ({"v": 7}, "coerce")
    assert {edit.reason for edit in verdict.edits} == {"wrong quotes", "trailing comma", "coerced"}


def test_a_valid_value_is_never_coerced() -> None:
    assert enforce('{"v": "7"}', {"type": "object"}, options=COERCE).rung == "strict"


def test_an_echo_and_a_cut_answer_are_not_coerced_into_data() -> None:
    schema = {"type": "object", "properties": {"v": {"type": "string"}}, "required": ["v"]}
    assert enforce(json.dumps(schema["properties"]), schema, options=COERCE).error == "schema_echo"
    assert enforce('{"v": 12', schema, options=COERCE).error == "truncated"
