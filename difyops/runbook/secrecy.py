"""Secrets that somebody wrote into a runbook: found by name and by shape, reported without repeating them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from difyops.credentials import KINDS
from difyops.dsl.suspicion import credentials, is_literal, is_secret_name
from difyops.runbook.templates import whole_name

Place = tuple[str | int, ...]


def find_secrets(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield the place of every text that looks like a secret, and a sentence that does not repeat it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_secrets(item, (*place, str(key)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from find_secrets(item, (*place, number))
    elif isinstance(value, str):
        yield from _in_text(value, place)


def _in_text(text: str, place: Place) -> Iterator[tuple[Place, str]]:
    found = credentials(text)
    if found:
        yield place, f"this looks like a secret ({found[0][2]}); name a reference instead, such as env:NAME"
    elif _is_named_secret(place) and is_literal(text) and not _is_reference(text):
        yield place, f"{place[-1]!r} holds a secret by its name; name a reference instead, such as env:NAME"


def _is_named_secret(place: Place) -> bool:
    inside = len(place) > 2 and place[0] == "steps" and place[2] == "with"
    name = place[-1] if place else ""
    return inside and isinstance(name, str) and is_secret_name(name)


def _is_reference(text: str) -> bool:
    kind, _, rest = text.partition(":")
    return (kind in KINDS and bool(rest)) or whole_name(text) is not None or "env:" in text
