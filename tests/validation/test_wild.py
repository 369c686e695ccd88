"""Documents and schemas that others wrote: valid ones pass, one slip is read as an exhaustive checker reads it."""

from __future__ import annotations

import json
from collections import Counter

from difyops.validation import Schema, compile_schema, enforce
from tests.validation.scoring import is_same
from tests.validation.wild import cheapest, documents, slips

_compiled: dict[str, Schema] = {}


def _schema(name: str, document: dict[str, object]) -> Schema:
    if name not in _compiled:
        _compiled[name] = compile_schema(document)
    return _compiled[name]


def test_the_corpus_is_large_enough() -> None:
    assert len(documents()) >= 1_500
    assert len({item.name for item in documents()}) >= 300


def test_valid_documents_are_taken_as_they_are() -> None:
    for item in documents()[::17]:
        verdict = enforce(json.dumps(item.value), _schema(item.name, item.schema))
        assert (verdict.rung, verdict.edits) == ("strict", ()), item.name


def test_a_beginning_of_a_document_is_never_another_document() -> None:
    for item in documents()[::150]:
        text = json.dumps(item.value, indent=2)
        for end in range(1, len(text), max(1, len(text) // 12)):
            verdict = enforce(text[:end], _schema(item.name, item.schema))
            assert not verdict.ok or is_same(verdict.value, item.value), (item.name, text[:end])


def test_one_slip_is_read_right_where_it_has_one_reading() -> None:
    counts: Counter[tuple[bool, str]] = Counter()
    for item, text in slips(seed=7, count=36, longest=200):
        schema = _schema(item.name, item.schema)
        readings = cheapest(text, schema.accepts)
        verdict = enforce(text, schema)
        outcome = "refused" if not verdict.ok else "right" if is_same(verdict.value, item.value) else "wrong"
        counts[len(readings) == 1, outcome] += 1
    unique = sum(count for (is_unique, _), count in counts.items() if is_unique)
    assert counts[True, "right"] >= 0.9 * unique
    assert counts[True, "wrong"] + counts[False, "wrong"] <= 1
