"""What models are asked for in the corpus: four schemas, and values for them with texts that are hard to carry."""

from __future__ import annotations

import random
from typing import Any

PHRASES = (
    "The customer cannot log in.", "ok", "", "Paris", "a, b and c", 'She said "yes" and left', "it's fine", "x,}",
    "{,}",
    "see https://example.com/a//b?c=d#e", "// not a comment", "/* neither */ is this", "# nor this",
    "```json\n{}\n```", "use ``` to fence", "C:\\new\\table", "\\d+\\s*", "line one\nline two", "tab\there", "50% off",
    "Größe: 5 µm", "你好，世界", "emoji 🎉 done", 'he wrote "a", "b" and "c"', "[1] see {note}", "key: value",
    'the "id": 5 field', "trailing comma,", "a}", "]", "null", "true", "12", "1,000", "None", "'quoted'", "dogs' toys",
    'a "quoted", word', "x" * 60, "semi; colon", "a = b", "<b>bold</b>", "tom & jerry", "$5.00", "2024-01-31", "-",
)  # fmt: skip
PLAIN = (
    "alpha",
    "beta gamma",
    "Ready to ship",
    "north",
    "v2",
    "Anna Berg",
    "urgent mail",
    "open",
    "one two three",
    "Oslo",
)

TICKET: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "title": {"type": "string"},
        "priority": {"enum": ["low", "medium", "high"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "resolved": {"type": "boolean"},
        "score": {"type": "number"},
        "owner": {"type": ["string", "null"]},
    },
    "required": ["id", "title", "priority", "tags", "resolved"],
    "additionalProperties": False,
}
PEOPLE: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
        "required": ["name", "age"],
    },
}
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customer": {"$ref": "#/$defs/customer"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "total": {"type": "number"},
        "note": {"type": "string"},
    },
    "required": ["customer", "lines", "total"],
    "$defs": {
        "customer": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "email": {"type": "string"}},
            "required": ["name"],
        },
        "line": {
            "type": "object",
            "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer"}, "price": {"type": "number"}},
            "required": ["sku", "quantity"],
        },
    },
}
REVIEW: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "sentiment": {"type": "string"},
        "quotes": {"type": "array", "items": {"type": "string"}},
        "details": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["summary", "sentiment"],
}


def _phrase(rng: random.Random) -> str:
    return rng.choice(PHRASES if rng.random() < 0.6 else PLAIN)


def _ticket(rng: random.Random) -> Any:
    value: dict[str, Any] = {
        "id": rng.randrange(1, 100_000),
        "title": _phrase(rng),
        "priority": rng.choice(["low", "medium", "high"]),
        "tags": [_phrase(rng) for _ in range(rng.randrange(4))],
        "resolved": rng.random() < 0.5,
    }
    if rng.random() < 0.6:
        value["score"] = rng.choice([0.5, 12.25, -3, 1e-7, 100])
    if rng.random() < 0.6:
        value["owner"] = rng.choice([None, _phrase(rng)])
    return value


def _people(rng: random.Random) -> Any:
    people = []
    for _ in range(rng.randrange(1, 4)):
        person: dict[str, Any] = {"name": _phrase(rng), "age": rng.randrange(1, 99)}
        if rng.random() < 0.5:
            person["city"] = _phrase(rng)
        people.append(person)
    return people


def _order(rng: random.Random) -> Any:
    lines = [
        {"sku": f"SKU-{rng.randrange(100, 999)}", "quantity": rng.randrange(1, 9), "price": rng.randrange(1, 900) / 4}
        for _ in range(rng.randrange(1, 4))
    ]
    value: dict[str, Any] = {
        "customer": {"name": _phrase(rng), "email": "anna@example.com"},
        "lines": lines,
        "total": rng.randrange(1, 9000) / 4,
    }
    if rng.random() < 0.5:
        value["note"] = _phrase(rng)
    return value


def _review(rng: random.Random) -> Any:
    value: dict[str, Any] = {"summary": _phrase(rng), "sentiment": rng.choice(["positive", "negative", "mixed"])}
    if rng.random() < 0.7:
        value["quotes"] = [_phrase(rng) for _ in range(rng.randrange(1, 4))]
    if rng.random() < 0.5:
        value["details"] = {rng.choice(["tone", "length", "topic"]): _phrase(rng)}
    return value


MAKERS = ((TICKET, _ticket), (PEOPLE, _people), (ORDER, _order), (REVIEW, _review))


def another(rng: random.Random, schema: dict[str, Any], value: Any) -> Any:
    """Make a different value for the same schema."""
    maker = next(make for known, make in MAKERS if known is schema)
    while (other := maker(rng)) == value:
        pass
    return other
