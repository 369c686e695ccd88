"""One slip in a small document, for every kind of text that is hard to carry: what is read is what an exhaustive
checker reads, and nothing is read where it finds two values."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from difyops.validation import compile_schema, enforce
from tests.bench.public import schema_of
from tests.validation.scoring import is_same
from tests.validation.wild import MARKS, cheapest, is_reading

TEXTS = st.sampled_from([
    "", "a", "x y", "1", '5" x', 'say "hi"', "a, b", "{", "}", "k: v", "[1]", "\\d", "null", "it's", '19"', "//", "#a",
    "http://a.b/c", "x\n", "a\\", "1,000", 'ab"',
])  # fmt: skip
VALUES = st.recursive(
    TEXTS | st.sampled_from([1, 20, -3.5, True, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c d"]), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: isinstance(value, dict | list))
SCHEMAS = st.sampled_from(["free", "open", "closed"])
SLIPS = st.sampled_from(["", *MARKS]) | st.sampled_from([*MARKS]).map(lambda mark: mark + "\0")


def _closed(schema: Any) -> Any:
    match schema:
        case {"properties": properties}:
            return {**schema, "properties": {k: _closed(v) for k, v in properties.items()}, "required": [],
                    "additionalProperties": False}  # fmt: skip
        case {"items": {"anyOf": kinds}}:
            return {**schema, "items": {"anyOf": [_closed(kind) for kind in kinds]}}
    return schema


def _broken(value: Any, at: int, put: str, indent: int | None) -> str | None:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    marks = [index for index, char in enumerate(text) if char in MARKS]
    location = marks[at % len(marks)]
    broken = text[:location] + put.replace("\0", text[location]) + text[location + 1 :]
    try:
        json.loads(broken)
    except ValueError:
        return broken
    return None


@pytest.mark.parametrize("examples", [90, pytest.param(8_000, marks=pytest.mark.long)])
def test_what_is_read_is_the_only_cheapest_reading(examples: int) -> None:
    counts: Counter[str] = Counter()

    @given(VALUES, st.integers(0, 200), SLIPS, st.sampled_from([None, None, 2]), SCHEMAS)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(value: Any, at: int, put: str, indent: int | None, kind: str) -> None:
        text = _broken(value, at, put, indent)
        if text is None or len(text) > 120:
            return
        document = {"type": ["object", "array"]} if kind == "free" else schema_of(value)
        judge = compile_schema(_closed(document) if kind == "closed" else document)
        verdict = enforce(text, judge)
        readings = cheapest(text, judge.accepts)
        if verdict.ok:
            assert is_reading(verdict.value, readings), (text, verdict.value, readings)
            assert len(readings) == 1, (text, verdict.value, readings)
        is_cut = json.dumps(value, ensure_ascii=False, indent=indent).startswith(text.rstrip().rstrip(","))
        if len(readings) == 1 and not is_cut:
            counts["right" if verdict.ok and is_same(verdict.value, value) else "refused"] += 1

    check()
    assert counts["right"] >= 0.9 * counts.total()
