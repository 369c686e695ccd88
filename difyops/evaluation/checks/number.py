"""The answer is this number, within a tolerance."""

from __future__ import annotations

import re

from difyops.evaluation.checks import CheckFound, CheckInput, failed, passed, shown

_NUMBER = re.compile(
    r"(?<![\w.])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,400})(?:\.\d{1,400})?(?:[eE][-+]?\d{1,4})?(?![\d])"
)


def check(given: CheckInput, *, value: float, tolerance: float = 0.0, relative: float = 0.0) -> CheckFound:
    """Compare a number with ``value``: it may be off by ``tolerance``, or by the share ``relative`` of ``value``.

    In a text there must be exactly one number; ``at`` says where it is in outputs. ``1,234.5`` is read with commas
    between thousands; a comma that could be a decimal one is refused.
    """
    there = given.value
    if isinstance(there, bool) or not isinstance(there, int | float):
        found = _NUMBER.findall(given.text[:1_000_000])
        if len(found) != 1:
            return failed(f"the answer holds {len(found) or 'no'} numbers, one is wanted: {shown(given.text)}")
        if re.search(r"\d,\d", given.text) and "," not in found[0]:
            return failed(f"the comma in {shown(given.text)} can be read two ways")
        there = float(found[0].replace(",", "").replace("\u2212", "-"))
    allowed = max(tolerance, relative * abs(value))
    if abs(there - value) <= allowed + 1e-12 * max(1.0, abs(value)):
        return passed()
    return failed(f"the answer is {there:g}, not {value:g}" + (f" ± {allowed:g}" if allowed else ""))


def wrong(parameters: dict[str, float]) -> str | None:
    """Refuse a tolerance below zero."""
    below = [name for name in ("tolerance", "relative") if parameters.get(name, 0) < 0]
    return f"number: {below[0]} is below zero." if below else None
