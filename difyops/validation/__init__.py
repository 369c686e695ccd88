"""Structured output: a value that is valid against the schema, or a clear failure; every change is listed."""

from difyops.validation.judge import Schema, compile_schema
from difyops.validation.ladder import enforce
from difyops.validation.verdict import Edit, EnforceOptions, Verdict, Violation

__all__ = ["Edit", "EnforceOptions", "Schema", "Verdict", "Violation", "compile_schema", "enforce"]
