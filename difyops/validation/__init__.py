"""Structured output: a value that is valid against the schema, or a clear failure; every change is listed.

``enforce`` judges a text, ``enforce_with`` asks until an answer stands, ``judge_all`` takes a batch. What the rungs are
is told in ``ladder``, what can go wrong in ``faults``, how bad syntax is read in ``reader``. Nothing in this room talks
to a server or a file.
"""

from difyops.validation.batch import BatchSummary, BatchTally, Judged, judge_all
from difyops.validation.judge import Schema, compile_schema
from difyops.validation.ladder import enforce
from difyops.validation.reask import FallbackAsk, FallbackValue, ReaskOptions, ReaskRequest, enforce_with
from difyops.validation.schema_file import read_schema
from difyops.validation.verdict import Edit, EnforceOptions, Verdict, Violation

__all__ = [
    "BatchSummary",
    "BatchTally",
    "Edit",
    "EnforceOptions",
    "FallbackAsk",
    "FallbackValue",
    "Judged",
    "ReaskOptions",
    "ReaskRequest",
    "Schema",
    "Verdict",
    "Violation",
    "compile_schema",
    "enforce",
    "enforce_with",
    "judge_all",
    "read_schema",
]
