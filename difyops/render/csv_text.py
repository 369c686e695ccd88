"""``-o csv`` of commands whose rows are figures: the rows of ``-o ndjson``, nested fields under dotted names.

Amounts stand by their currency (``said.USD``). Text that a spreadsheet would run as a formula begins with an
apostrophe: names of apps and nodes are other people's.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from difyops.outcome import Outcome
from difyops.render.machine import plain
from difyops.render.safe import one_line

_FORMULA = ("=", "+", "-", "@")


def as_csv(outcome: Outcome) -> str:
    """Return the records, or the data, as comma-separated rows under one header; nothing where there is no row."""
    found = plain(outcome.records if outcome.records is not None else outcome.data)
    rows = [dict(_flat("", row)) for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(name: str, value: Any) -> Iterator[tuple[str, object]]:
    """Yield the columns of a value and what stands in them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and value and all(isinstance(item, dict) and "currency" in item for item in value):
        for item in value:
            yield from _flat(f"{name}.{item['currency']}", item.get("amount"))
            yield from ((f"{name}.{item['currency']}.{end}", item[end]) for end in ("low", "high") if item.get(end))
    elif isinstance(value, list):
        if value:
            yield name, _safe(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, bool):
        yield name, str(value).lower()
    else:
        yield name, _safe(value) if isinstance(value, str) else value


def _safe(text: str) -> str:
    shown = one_line(text)
    return f"'{shown}" if shown.startswith(_FORMULA) and not _is_number(shown) else shown


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
