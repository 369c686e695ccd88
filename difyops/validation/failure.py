"""Why nothing in an answer stands: the class of the failure and, for a wrong value, its violations with lines."""

from __future__ import annotations

from collections.abc import Sequence

from difyops.validation.candidate import Candidate, Groups, settle_inventions
from difyops.validation.classify import is_echo, is_echo_of_members, is_refusal
from difyops.validation.extract import without_thinking
from difyops.validation.faults import fault
from difyops.validation.judge import Rules
from difyops.validation.places import with_lines
from difyops.validation.verdict import FAILED, Verdict, Violation

_GRAVEST_FIRST = (
    "too_deep", "too_large", "huge_number", "duplicate_keys", "not_finite", "lone_surrogate", "truncated",
    "value_missing",
)  # fmt: skip


def failure(code: str, message: str | None = None) -> Verdict:
    """Return the verdict of a failure; its class has a sentence of its own when none is given."""
    return Verdict(ok=False, rung=FAILED, error=code, message=message or fault(code).message)


def why_not(found: Groups, text: str, rules: Rules) -> Verdict:
    """Name the failure by the candidate that came closest."""
    everything = [settle_inventions(candidate, rules) for group in found for candidate in group]
    if not everything:
        return failure("refusal" if is_refusal(without_thinking(text)) else "not_json")
    document = rules.schema.document
    if any(is_echo(c.value, document) or is_echo_of_members(c.value, document) for c in everything):
        return failure("schema_echo")
    doubts = {candidate.doubt for candidate in everything if candidate.doubt}
    whole = [candidate for candidate in everything if not candidate.doubt]
    if not whole:
        return failure(next((code for code in _GRAVEST_FIRST if code in doubts), doubts.pop()))
    if "truncated" in doubts:
        return failure("truncated")
    return _violated(whole, text, rules)


def _violated(whole: Sequence[Candidate], text: str, rules: Rules) -> Verdict:
    found = [(rules.schema.violations(candidate.value), candidate) for candidate in whole]
    closest, candidate = min(found, key=lambda pair: (len(pair[0]), -pair[1].end))
    if candidate.inner:
        violations = tuple(violation for _, violation in closest)
    else:
        violations = with_lines(closest, text, candidate.start, rules.options)
    if _reads_like_refusal(candidate.value):
        return failure("refusal")._replace(violations=violations)
    message = f"The answer does not satisfy the schema.{_first(violations)}"
    return failure("violates", message)._replace(violations=violations, edits=candidate.edits())


def _first(violations: Sequence[Violation]) -> str:
    return f" {violations[0].pointer or '/'}: {violations[0].message}" if violations else ""


def _reads_like_refusal(value: object) -> bool:
    """Return whether a value that fails is a sentence of refusal, alone or under one name."""
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    return isinstance(value, str) and is_refusal(value)
