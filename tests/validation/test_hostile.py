"""Texts and schemas that are made to hurt: every one ends in a verdict, soon, never in an exception of a library."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.validation import EnforceOptions, compile_schema, enforce
from difyops.validation.faults import codes
from tests.validation.fuzz import DEEP, texts

OPTIONS = (
    EnforceOptions(),
    EnforceOptions(repair=False),
    EnforceOptions(coerce=True, invented="always", duplicates="last", not_finite="null"),
    EnforceOptions(coerce=True, invented="optional", duplicates="first", pick="last", max_edits=3),
)
STRICT_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_random_and_damaged_texts_all_get_a_verdict(count: int) -> None:
    for number, (text, schema) in enumerate(texts(seed=3, count=count)):
        judge = compile_schema(schema) if number < 10 else enforce_cache(schema)
        verdict = enforce(text, judge, options=OPTIONS[number % len(OPTIONS)])
        if verdict.ok:
            assert judge.accepts(verdict.value)
        else:
            assert verdict.error in codes()
        json.dumps(verdict.as_dict(), ensure_ascii=False).encode()


_cache: dict[int, Any] = {}


def enforce_cache(schema: dict[str, Any]) -> Any:
    return _cache.setdefault(id(schema), compile_schema(schema))


@pytest.mark.exhaustive(6)
@pytest.mark.parametrize("number", range(len(DEEP)))
def test_deep_and_repetitive_texts_come_to_an_end(number: int) -> None:
    verdict = enforce(DEEP[number], STRICT_SCHEMA)
    assert not verdict.ok or verdict.value == {"a": "x"}


def test_a_hundred_thousand_nested_brackets_are_too_deep() -> None:
    for text in ("[" * 100_000 + "]" * 100_000, "[" * 100_000, "Here: " + "[" * 100_000 + "]" * 100_000):
        assert enforce(text, True).error == "too_deep"


@pytest.mark.parametrize("times", [0.1, pytest.param(1, marks=pytest.mark.long)])
def test_megabytes_are_refused_by_rule_and_read_when_allowed(times: float) -> None:
    most = int(EnforceOptions().max_chars * times)
    text = '{"a": "' + "x" * (most + 1_000_000) + '"}'
    limited, large = EnforceOptions(max_chars=most), EnforceOptions(max_chars=2 * most)
    assert enforce(text, STRICT_SCHEMA, options=limited).error == "too_large"
    assert enforce(text, STRICT_SCHEMA, options=large).rung == "strict"
    assert enforce(text[:-1] + ",}", STRICT_SCHEMA, options=large).error == "too_large"


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "(?=.*b)^(a+)+$", r"^(a+)+\1$", "^(([a-z])+.)+[A-Z]$"])
def test_no_pattern_can_hang(pattern: str) -> None:
    schema = compile_schema({"type": "object", "properties": {"a": {"pattern": pattern}}})
    verdict = enforce(json.dumps({"a": "a" * 50_000 + "!"}), schema)
    assert verdict.error == "violates"
    assert enforce(json.dumps({"a": "b" + "a" * 500 + "!"}), schema).error in ("violates", None)


def test_a_schema_that_refers_to_itself_is_fine() -> None:
    tree = compile_schema({"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False})
    assert enforce('{"child": {"child": {}}}', tree).rung == "strict"
    assert enforce('{"child": {"child": {}},}', tree).rung == "repair"
    assert enforce('{"child": {"kid": 1}}', tree).error == "violates"
    assert enforce("{}", {"$ref": "#"}).ok
    loop = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    assert enforce("{'x': 1}", loop).rung == "repair"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=12,
)


@given(JSON, st.booleans(), st.sampled_from([None, 1, 2]))
@settings(max_examples=45, deadline=None)
def test_every_valid_document_comes_back_unchanged(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    verdict = enforce(text, True)
    assert (verdict.rung, verdict.edits) == ("strict", ())
    assert json.dumps(verdict.value) == json.dumps(json.loads(text))


@given(st.lists(st.tuples(st.text(max_size=4), JSON), min_size=1, max_size=4), st.booleans())
@settings(max_examples=45, deadline=None)
def test_a_key_named_twice_is_always_found(members: list[tuple[str, Any]], ascii_only: bool) -> None:
    body = ", ".join(f"{json.dumps(key, ensure_ascii=ascii_only)}: {json.dumps(value)}" for key, value in members)
    is_repeated = len({key for key, _ in members}) < len(members)
    verdict = enforce(f"{{{body}}}", True)
    assert (verdict.error, verdict.ok) == (("duplicate_keys", False) if is_repeated else (None, True))


@given(JSON.filter(lambda value: isinstance(value, dict | list)))
@settings(max_examples=30, deadline=None)
def test_what_is_written_around_a_document_does_not_change_it(value: Any) -> None:
    text = json.dumps(value)
    for wrapped in (f"```json\n{text}\n```", f"Here it is:\n{text}\nDone.", json.dumps(text)):
        verdict = enforce(wrapped, {"type": ["object", "array"]})
        assert json.dumps(verdict.value) == text


@given(st.text(max_size=200))
@settings(max_examples=45, deadline=None)
def test_any_text_gets_a_verdict_and_a_value_is_stable(text: str) -> None:
    verdict = enforce(text, {"type": ["object", "array"]}, options=OPTIONS[2])
    if verdict.ok:
        again = enforce(json.dumps(verdict.value), {"type": ["object", "array"]})
        assert (again.value, again.rung) == (verdict.value, "strict")
