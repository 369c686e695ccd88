"""Judging one answer: read, made to fit where that is asked for, or told why not. ``enforce`` is the whole of it.

Pure: no input or output, no clock; the same text and schema give the same verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difyops.validation.coerce import coerced
from difyops.validation.failure import failure, why_not
from difyops.validation.judge import JudgeRules, Schema, compiled
from difyops.validation.reading import Reading, UnreadText, at_once
from difyops.validation.reading.model import OUTSIDE
from difyops.validation.verdict import COERCE, DEFAULTS, STRICT, Edit, EnforceOptions, Verdict, pointer_of, shown

_made = tuple.__new__
"""Makes a verdict in a third of the time that its constructor takes."""


def enforce(text: str, schema: Schema | Mapping[str, Any] | bool, *, options: EnforceOptions = DEFAULTS) -> Verdict:
    """Return the value of an answer that satisfies the schema, or say why there is none. Never raises for an answer.

    ``text`` is what the model wrote; ``schema`` a JSON Schema document, or one compiled by ``compile_schema`` (faster).

    Raises:
        ConfigError: the schema cannot be used.
    """
    judge = schema if type(schema) is Schema else compiled(schema)
    if type(text) is not str and not isinstance(text, str):
        return failure("not_text", f"The answer is {type(text).__name__}, not text; decode it first.")
    value = at_once(text, judge, options)
    if type(value) is not UnreadText:
        return _made(Verdict, (True, STRICT, value, (), (), None, None))
    reading = value.read()
    if reading.ok:
        return Verdict(True, reading.rung, reading.value, reading.edits)
    rules = JudgeRules(judge, options)
    if options.coerce and reading.code == "violates":
        made = _coerced(reading, rules)
        if made is not None:
            return made
    return why_not(reading, text, rules)


def _coerced(reading: Reading, rules: JudgeRules) -> Verdict | None:
    """Return the verdict where exactly one of the values that fail can be made to fit."""
    fitting = [(failing, coerced(failing.value, rules)) for failing in reading.failing[:20]]
    made = [(failing, done) for failing, done in fitting if done is not None]
    if len(made) != 1:
        return None
    failing, (value, notes) = made[0]
    changes = [Edit(pointer_of(path), shown(before), shown(after), "coerced") for path, before, after in notes]
    edits = (*failing.edits, *changes)
    most, count = rules.options.max_edits, sum(edit.reason not in OUTSIDE for edit in edits)
    if most is not None and count > most:
        message = f"It needs {count} edits; {most} are allowed."
        return failure("too_many_edits", message)._replace(edits=edits)
    return Verdict(True, COERCE, value, edits)
