"""What receivers are told about a run: the body of a call back, under 20 kB, with the answer where it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

SUCCEEDED = "run.succeeded"
PARTIAL = "run.partial"
FAILED = "run.failed"
STOPPED = "run.stopped"
PAUSED = "run.paused"
UNKNOWN = "run.unknown"
TEST = "webhook.test"

_OF_STATUS = {
    "succeeded": SUCCEEDED,
    "partial-succeeded": PARTIAL,
    "failed": FAILED,
    "stopped": STOPPED,
    "paused": PAUSED,
    "unknown": UNKNOWN,
}
_LARGEST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTold:
    """One run as receivers see it; ``facts`` are added to it, and ``content`` is left out when it does not fit."""

    run: str
    app: str
    status: str
    when: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)


def type_of(status: str) -> str:
    """Return the type of the event that tells this status."""
    return _OF_STATUS.get(status, FAILED)


def body_of(told: RunTold) -> bytes:
    """Return the JSON that is signed and sent; equal input gives equal bytes.

    ``type``, ``timestamp`` and ``data`` as Standard Webhooks has them; ``event`` repeats the type for older receivers.
    """
    kind = type_of(told.status)
    data: dict[str, Any] = {"id": told.run, "app": told.app, "status": told.status}
    data |= {key: value for key, value in told.facts.items() if value is not None}
    head = {"type": kind, "event": kind, "timestamp": stamp(told.when)}
    whole = orjson.dumps({**head, "data": {**data, **told.content}}, option=orjson.OPT_NON_STR_KEYS, default=str)
    if len(whole) <= _LARGEST:
        return whole
    left_out = {**data, "content_left_out": sorted(told.content)}
    return orjson.dumps({**head, "data": left_out}, option=orjson.OPT_NON_STR_KEYS, default=str)[:_LARGEST]


def stamp(seconds: float) -> str:
    """Return a time as events carry it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
