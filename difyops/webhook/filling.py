"""The inputs of an app, filled from an event: ``$body``, ``$body.issue.title``, ``$body.items[0].id``. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from difyops.errors import UsageError
from difyops.webhook.inbox import InboxEvent

_PATH = re.compile(r"\$body((?:\.[\w-]+|\[\d+\])*)")
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]")


def filled(values: Mapping[str, Any], event: InboxEvent) -> dict[str, Any]:
    """Return the inputs of one event; what the event does not have is left out.

    Raises:
        UsageError: the body is no JSON, although something of it is wanted.
    """
    found = {name: _value(value, event) for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None}


def text_at(template: str, event: InboxEvent) -> str:
    """Return one value as text."""
    value = _value(template, event)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(value: Any, event: InboxEvent) -> Any:
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    match value:
        case "$kind":
            return event.kind
        case "$id":
            return event.id
        case "$source":
            return event.source
        case "$body":
            return event.body.decode("utf-8", "replace")
    path = _PATH.fullmatch(value)
    if path is None:
        return value
    try:
        found = json.loads(event.body)
    except (ValueError, RecursionError):
        raise UsageError(f"{value}: the body of event {event.id} is not JSON.") from None
    for name, number in _STEP.findall(path[1]):
        if name:
            found = found.get(name) if isinstance(found, dict) else None
        else:
            found = found[int(number)] if isinstance(found, list) and int(number) < len(found) else None
    return json.dumps(found, ensure_ascii=False) if isinstance(found, (dict, list)) else found
