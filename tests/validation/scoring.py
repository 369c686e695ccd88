"""Scores a way of reading answers against the corpus: right, wrong but valid, refused though recoverable."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from difyops.validation import Schema, compile_schema, enforce
from tests.validation.corpus import Answer

Reading = tuple[bool, Any]
"""Whether there is a value, and the value."""
Way = Callable[[str, dict[str, Any]], Reading]

_compiled: dict[int, Schema] = {}
_validators: dict[int, Any] = {}


@dataclass(slots=True)
class Score:
    """Counts of outcomes, in all and by kind of damage."""

    total: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def share(self, outcome: str) -> float:
        return self.total[outcome] / max(1, self.total.total())


def score(answers: Iterable[Answer], way: Way) -> Score:
    result = Score()
    for answer in answers:
        found, value = way(answer.text, answer.schema)
        outcome = "refused" if answer.gone is False else "right"
        if found:
            outcome = "right" if is_same(value, answer.truth) else "wrong"
        result.total[outcome] += 1
        result.kinds[answer.kind][outcome] += 1
    return result


def is_same(one: Any, other: Any) -> bool:
    """Compare JSON values: 1 and 1.0 are one number, true is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def compiled_once(schema: dict[str, Any]) -> Schema:
    """Return the compiled schema, the same for the same document."""
    if id(schema) not in _compiled:
        _compiled[id(schema)] = compile_schema(schema)
    return _compiled[id(schema)]


def ours(text: str, schema: dict[str, Any]) -> Reading:
    verdict = enforce(text, compiled_once(schema))
    return verdict.ok, verdict.value


_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


def recipe(text: str, schema: dict[str, Any]) -> Reading:
    """Read as the usual snippet does: take the fence away, parse what stands between the outer brackets."""
    fenced = _FENCE.search(text)
    body = fenced[1] if fenced else text
    bare = re.search(r"[{\[].*[}\]]", body, re.DOTALL)
    try:
        return True, json.loads(bare[0] if bare else body)
    except (ValueError, RecursionError):
        return False, None


def json_repair_checked(text: str, schema: dict[str, Any]) -> Reading:
    """Read with json-repair, and keep what satisfies the schema."""
    import json_repair

    try:
        value = json_repair.loads(text)
    except (ValueError, RecursionError):
        return False, None
    if id(schema) not in _validators:
        _validators[id(schema)] = jsonschema_rs.validator_for(schema)
    validator = _validators[id(schema)]
    try:
        return validator.is_valid(value), value
    except (ValueError, TypeError):
        return False, None
