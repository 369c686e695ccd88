"""The answer is exactly this: a text (blanks around it apart), or the same JSON value."""

from __future__ import annotations

import json
from typing import Any

from difyops.evaluation.checks import CheckFound, CheckInput, failed, passed, shown


def check(given: CheckInput, *, value: Any, ignore_case: bool = False) -> CheckFound:
    """Compare the answer with ``value``. ``ignore_case``: upper and lower case are the same."""
    there = given.text if isinstance(value, str) else given.value
    if not isinstance(value, str) and isinstance(there, str):
        try:
            there = json.loads(there)
        except (ValueError, RecursionError):
            return failed(f"the answer is not JSON: {shown(there)}")
    if _same(there, value, ignore_case=ignore_case):
        return passed()
    return failed(f"the answer is {shown(there)}, not {shown(value)}")


def _same(one: Any, other: Any, *, ignore_case: bool) -> bool:
    """Say whether two values are the same; true is not 1, and 1 is 1.0."""
    if isinstance(one, str) and isinstance(other, str):
        first, second = one.strip(), other.strip()
        return first.casefold() == second.casefold() if ignore_case else first == second
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key], ignore_case=ignore_case) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(left, right, ignore_case=ignore_case) for left, right in pairs)
    return bool(one == other)
