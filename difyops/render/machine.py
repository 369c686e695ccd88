"""Formats for programs: one envelope for success and failure, whose keys are a promise."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Hashable, Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from difyops.clock import iso
from difyops.outcome import Outcome
from difyops.render.safe import escaped, is_harmless, one_line
from difyops.secret_text import STARS, SecretText, scrub

SCHEMA = "difyops/v1"


def envelope(outcome: Outcome) -> dict[str, Any]:
    """Return the envelope: schema, kind, ok, data, warnings, error."""
    return {
        "schema": SCHEMA,
        "kind": outcome.kind,
        "ok": outcome.error is None,
        "data": plain(outcome.data),
        "warnings": [scrub(warning) for warning in outcome.warnings],
        "error": plain(outcome.error.as_dict()) if outcome.error else None,
    }


def as_json(outcome: Outcome) -> str:
    """Return the envelope as indented JSON."""
    return escaped(json.dumps(envelope(outcome), indent=2, ensure_ascii=False))


def as_yaml(outcome: Outcome) -> str:
    """Return the envelope as YAML; as its subset JSON where a text holds what YAML would show a terminal raw."""
    from difyops.dsl.load import dump_yaml
    from difyops.dsl.model import DslError

    try:
        text = dump_yaml(envelope(outcome))
    except DslError:  # half a surrogate pair
        return as_json(outcome)
    return text if is_harmless(text) else as_json(outcome)


def as_ndjson(outcome: Outcome) -> str:
    """Return one JSON object a line: the records, or the rows of the data, or the error."""
    records = plain(outcome.records if outcome.records is not None else outcome.data)
    rows = records if isinstance(records, list) else [] if records is None else [records]
    if not rows and outcome.error is not None:
        rows = [{"error": plain(outcome.error.as_dict())}]
    return "".join(escaped(json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def as_names(outcome: Outcome) -> str:
    """Return one name a line."""
    names = outcome.names
    if names is None:
        rows = plain(outcome.data)
        found = rows if isinstance(rows, list) else [rows]
        names = [str(row.get("name") or row.get("id")) for row in found if isinstance(row, dict)]
    return "".join(one_line(name) + "\n" for name in names)


def plain(value: Any) -> Any:
    """Turn results into JSON types: dataclasses to objects, times to ISO text, secrets to stars."""
    kind: Any = type(value)
    if kind is str:
        return scrub(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is float:
        return value if math.isfinite(value) else None  # JSON has no NaN
    if kind is dict:
        return {str(key): plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [plain(item) for item in value]
    if names := _shown(kind):
        return {name: plain(getattr(value, name)) for name in names}
    return _rarer(value)


@functools.cache
def _shown(kind: Hashable) -> tuple[str, ...]:
    """Return the fields of a dataclass that are for everybody; none for what is no dataclass."""
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        return ()
    return tuple(item.name for item in dataclasses.fields(kind) if item.repr)


def _rarer(value: Any) -> Any:
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, SecretText):
        return STARS
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, (Path, Enum)):
        return str(value.value if isinstance(value, Enum) else value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [plain(item) for item in items]
    return str(value)
