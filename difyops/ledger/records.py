"""Events and audit entries, and how they look as text: JSON without secrets, fixed-width times, the chain's hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from difyops.secret_text import STARS, SecretText, scrub

JsonObject: TypeAlias = Mapping[str, object]

GENESIS = "0" * 64  # the hash before the first audit line

_DEEPEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: ``kind`` (``rotation.finished``), the thing it happened to, when, in which context.

    ``data`` is anything JSON can say. ``id`` is its number in the ledger, ``None`` before it is appended.
    """

    kind: str
    subject: str
    when: datetime
    context: str
    data: JsonObject = field(default_factory=dict)
    id: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change to an instance: who did what to what, when and where, and how it ended (``done``, ``failed``...)."""

    actor: str
    action: str
    subject: str
    when: datetime
    context: str
    outcome: str
    data: JsonObject = field(default_factory=dict)
    id: int | None = field(default=None, compare=False)
    hash: str = field(default="", compare=False)


def link(number: int, row: Iterable[object], before: str) -> str:
    """Return the hash of an audit line: its number, its columns as stored and the hash before it, as compact JSON."""
    text = json.dumps([number, *row, before], ensure_ascii=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def as_json(data: JsonObject) -> str:
    """Return ``data`` as compact JSON without secrets; what JSON cannot say becomes text."""
    return json.dumps(_clean(data, 0), ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def _clean(value: object, depth: int) -> object:
    """Return ``value`` as plain JSON without secrets; what JSON cannot say becomes text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, SecretText):
        return STARS
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no NaN and no infinity
    if depth >= _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {plain(str(key)): _clean(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(each, depth + 1) for each in value]
    if isinstance(value, datetime):
        return stamp(value)
    return plain(value if isinstance(value, str) else str(value))


def plain(text: str) -> str:
    """Return ``text`` without secrets, as something UTF-8 can hold."""
    return scrub(text).encode(errors="backslashreplace").decode()


def column(text: str) -> str:
    """Return ``text`` as a column of its own holds it: without secrets and NUL, which PostgreSQL cannot hold."""
    return plain(text).replace("\0", "\\x00")


def stamp(when: datetime) -> str:
    """Return UTC with microseconds, always the same width: it sorts as text."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Return what ``stamp`` was given, in UTC."""
    return datetime.fromisoformat(text)
