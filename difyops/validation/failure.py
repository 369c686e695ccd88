"""The verdict of a failure: its class, its sentence and, for a wrong value, its violations with lines."""

from __future__ import annotations

import json
from dataclasses import replace

from difyops.validation.classify import is_refusal, reads_like_refusal
from difyops.validation.coerce import coerced
from difyops.validation.faults import fault
from difyops.validation.judge import JudgeRules
from difyops.validation.reading import Reading
from difyops.validation.verdict import FAILED, Verdict, Violation

_LONGEST_VALUE = 160


def failure(code: str, message: str | None = None) -> Verdict:
    """Return the verdict of a failure; its class has a sentence of its own when none is given."""
    return Verdict(ok=False, rung=FAILED, error=code, message=message or fault(code).message)


def why_not(reading: Reading, text: str, rules: JudgeRules) -> Verdict:
    """Turn a reading without a value into its verdict."""
    code = reading.code or "not_json"
    if code == "violates":
        return _violated(reading, rules)
    if code == "not_json" and reading.message is None and is_refusal(text):
        code = "refusal"
    message = reading.message
    if code in ("ambiguous", "truncated") and len(reading.rivals) > 1:
        sentence = message or fault(code).message
        message = f"{sentence} It may be {_short(reading.rivals[0])} or {_short(reading.rivals[1])}."
    return failure(code, message)._replace(edits=reading.edits)


def _violated(reading: Reading, rules: JudgeRules) -> Verdict:
    found = [(rules.schema.violations(failing.value), failing) for failing in reading.failing[:20]]
    closest, failing = min(found, key=lambda pair: len(pair[0]))
    value = failing.value
    violations: tuple[Violation, ...] = tuple(violation for _, violation in closest)
    locate = failing.locate
    if locate is not None:
        violations = tuple(replace(violation, line=locate(path)) for path, violation in closest)
    if reads_like_refusal(value):
        return failure("refusal")._replace(violations=violations)
    first = f" {violations[0].pointer or '/'}: {violations[0].message}" if violations else ""
    hint = ""
    wrong_kind = 0 < len(violations) <= 5 and all(item.expected.startswith(("type", "enum")) for item in violations)
    if wrong_kind and not rules.options.coerce and coerced(value, rules) is not None:
        hint = " With --coerce it would be read as what the schema wants."
    return failure("violates", f"The answer does not satisfy the schema.{first}{hint}")._replace(
        violations=violations, edits=failing.edits
    )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
