"""The JSON Schema Test Suite through ``enforce``: which of its tests end otherwise.

    python -m tests.bench.schema_suite DIR      a checkout of json-schema-org/JSON-Schema-Test-Suite

Nothing of it is kept here. What differs, and why, is told in ``docs/validation.md``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from difyops.errors import ConfigError
from difyops.validation import Schema, compile_schema, enforce

_DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


def main(checkout: str) -> None:
    """Print how many tests end as the suite says, and each that does not."""
    counts: Counter[str] = Counter()
    for draft in _DRAFTS:
        for path in sorted(Path(checkout, "tests", draft).rglob("*.json")):
            for group in json.loads(path.read_text(encoding="utf-8")):
                _count(group, draft, path.name, counts)
    print(dict(counts))


def _count(group: dict[str, Any], draft: str, name: str, counts: Counter[str]) -> None:
    schema = group["schema"]
    if isinstance(schema, dict):
        schema = {"$schema": _DRAFTS[draft], **schema}
    try:
        judge = compile_schema(schema)
    except ConfigError:
        counts["schema refused"] += len(group["tests"])
        return
    for test in group["tests"]:
        outcome = _outcome(test, judge)
        counts[outcome] += 1
        if outcome != "same":
            print(outcome, draft, name, group["description"], "/", test["description"])


def _outcome(test: dict[str, Any], judge: Schema) -> str:
    text = json.dumps(test["data"])
    verdict = enforce(text, judge)
    if verdict.ok is not test["valid"]:
        return "different"
    return "changed" if verdict.ok and json.dumps(verdict.value) != text else "same"


if __name__ == "__main__":
    main(sys.argv[1])
