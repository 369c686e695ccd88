"""What a schema says about the answer of an app: the judge that ``difyops.asking`` is given."""

from __future__ import annotations

import json
from typing import Any

from difyops.api.run_answer import Answer


def judge_answer(schema: Any, answer: Answer) -> str | None:
    """Return the first thing in an answer (its outputs, else its text) that the schema does not allow, or ``None``."""
    from difyops.validation import compile_schema, enforce

    body = json.dumps(dict(answer.outputs)) if answer.outputs else answer.text
    verdict = enforce(body, compile_schema(schema))
    if verdict.ok:
        return None
    first = f": {verdict.violations[0].message}" if verdict.violations else ""
    return f"its answer does not fit the schema{first}"
