"""The answer is valid against a JSON Schema, as ``difyops validate`` judges it."""

from __future__ import annotations

from typing import Any

from difyops.counting import counted
from difyops.errors import ConfigError
from difyops.evaluation.checks import CheckFound, CheckInput, as_text, failed, passed
from difyops.validation import compile_schema, enforce


def check(given: CheckInput, *, schema: dict[str, Any], strict: bool = False) -> CheckFound:
    """Judge the answer, or a workflow's outputs. ``strict``: an answer that had to be repaired is none."""
    body = as_text(given.value)
    verdict = enforce(body, compile_schema(schema))
    if not verdict.ok:
        said = verdict.violations[0].message if verdict.violations else verdict.message
        return failed(f"the answer does not fit the schema: {said or 'it is not JSON'}")
    if verdict.edits and strict:
        return failed(f"the answer fits the schema only after {counted(len(verdict.edits), 'repair')}")
    return passed(f"after {counted(len(verdict.edits), 'repair')}" if verdict.edits else "")


def wrong(parameters: dict[str, Any]) -> str | None:
    """Refuse what is no schema."""
    try:
        compile_schema(parameters["schema"])
    except ConfigError as error:
        return error.message
    return None
