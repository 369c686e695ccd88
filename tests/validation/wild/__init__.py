"""Schemas and documents that others wrote (SchemaStore), slips in them, and an exhaustive checker of what they say.

``documents()`` yields them. ``slips(seed, count)`` puts one slip into documents: a mark of JSON left out, put in, or
taken for another. ``cheapest(text, accepts)`` tries every text that is one mark away, with nothing of difyops in it.
"""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

MARKS = '{}[],:"'
_FILE = Path(__file__).parent / "schemastore.ndjson.xz"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of the wild, and the schema it satisfies; ``name`` is the schema's."""

    name: str
    schema: dict[str, Any]
    value: Any


@cache
def documents() -> tuple[Document, ...]:
    """Return all documents."""
    schemas: dict[str, dict[str, Any]] = {}
    found: list[Document] = []
    for line in lzma.decompress(_FILE.read_bytes()).decode().splitlines():
        row = json.loads(line)
        if "schema" in row:
            schemas[row["schema"]] = row["document"]
        else:
            found.append(Document(row["of"], schemas[row["of"]], row["value"]))
    return tuple(found)


def slips(seed: int, count: int, longest: int = 400) -> Iterator[tuple[Document, str]]:
    """Yield documents with one slip that makes them no JSON any more."""
    rng = random.Random(seed)
    known = [item for item in documents() if len(json.dumps(item.value)) <= longest]
    made = 0
    while made < count:
        item = rng.choice(known)
        text = json.dumps(item.value, ensure_ascii=False, indent=rng.choice([None, None, 2]))
        at = rng.choice([index for index, char in enumerate(text) if char in MARKS])
        put = rng.choice(["", rng.choice(MARKS), rng.choice(MARKS) + text[at]])
        broken = text[:at] + put + text[at + 1 :]
        try:
            json.loads(broken)
        except ValueError:
            made += 1
            yield item, broken


def cheapest(text: str, accepts: Callable[[object], bool]) -> list[Any]:
    """Return every value that satisfies the schema and is one mark away; space at ends of texts aside."""
    found: dict[str, Any] = {}
    for near in _neighbours(text):
        try:
            orjson.loads(near)  # twenty times as fast, and most of them are no JSON
            value = json.loads(near, object_pairs_hook=_members)
        except ValueError:
            continue
        key = json.dumps(_trimmed(value), sort_keys=True)
        if key not in found and accepts(value):
            found[key] = value
    return list(found.values())


def is_reading(value: object, readings: list[Any]) -> bool:
    """Return whether a value is one of the readings, space at ends of texts aside."""
    key = json.dumps(_trimmed(value), sort_keys=True)
    return any(json.dumps(_trimmed(one), sort_keys=True) == key for one in readings)


def _neighbours(text: str) -> Iterator[str]:
    for at, char in enumerate(text):
        if char in MARKS:
            yield text[:at] + text[at + 1 :]
            yield from (text[:at] + mark + text[at + 1 :] for mark in MARKS if mark != char)
    for at in range(len(text) + 1):
        yield from (text[:at] + mark + text[at:] for mark in MARKS)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name twice")
    return members


def _trimmed(value: Any) -> Any:
    match value:
        case str():
            return value.strip()
        case list():
            return [_trimmed(item) for item in value]
        case dict():
            return {name.strip(): _trimmed(item) for name, item in value.items()}
        case _:
            return value
