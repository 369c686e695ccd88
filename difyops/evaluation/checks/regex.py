"""The answer matches a pattern, anywhere in it. No pattern can hang: its engine is that of JSON Schemas."""

from __future__ import annotations

from difyops.errors import ConfigError
from difyops.evaluation.checks import NOT_JUDGED, CheckFound, CheckInput, failed, passed, shown
from difyops.validation import Schema, compile_schema


def check(given: CheckInput, *, pattern: str, ignore_case: bool = False) -> CheckFound:
    """Search for ``pattern``; ``^`` and ``$`` bind it to the ends. ``ignore_case``: both cases are the same.

    A pattern with look-around or back-references reads at most 20,000 characters; a longer answer is not judged.
    """
    text = given.text.encode("utf-8", "replace").decode()
    found = _compiled(pattern, ignore_case=ignore_case).violations(text)
    if not found:
        return passed()
    if any(item.expected.startswith("pattern: at most") for _, item in found):
        return CheckFound(
            word=NOT_JUDGED, why="the answer is too long for a pattern with look-around or back-references"
        )
    return failed(f"the answer does not match {shown(pattern)}: {shown(given.text)}")


def wrong(parameters: dict[str, object]) -> str | None:
    """Refuse what is no pattern."""
    try:
        _compiled(str(parameters["pattern"]), ignore_case=bool(parameters.get("ignore_case")))
    except ConfigError as error:
        return f"regex: {error.message.removeprefix('The schema is wrong at /pattern: ')}"
    return None


def _compiled(pattern: str, *, ignore_case: bool) -> Schema:
    plain = compile_schema({"type": "string", "pattern": pattern})
    return compile_schema({"type": "string", "pattern": f"(?i:{pattern})"}) if ignore_case else plain
