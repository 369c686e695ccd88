"""Secrets that somebody wrote into a runbook: found by name and by shape, reported without repeating them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from difyops.credentials import KINDS
from difyops.dsl.suspicion import credentials, is_literal, is_secret_name
from difyops.runbook.templates import whole_name

Place = tuple[str | int, ...]
_OPTION = re.compile(r"-{0,2}(?P<name>[A-Za-z][\w-]*)=(?P<value>.+)|--(?P<option>[A-Za-z][\w-]*)", re.DOTALL)


def find_secrets(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield the place of every text that looks like a secret, and a sentence that does not repeat it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_secrets(item, (*place, str(key)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from find_secrets(item, (*place, number))
            if place[-1:] == ("argv",):
                yield from _in_option(value, number, (*place, number))
    elif isinstance(value, str):
        yield from _in_text(value, place)


def _in_text(text: str, place: Place) -> Iterator[tuple[Place, str]]:
    found = credentials(text)
    if found:
        yield place, f"this looks like a secret ({found[0][2]}); name a reference instead, such as env:NAME"
    elif _is_secret(name := _name_of(place)) and is_literal(text) and not _is_reference(text):
        yield place, f"{name!r} holds a secret by its name; name a reference instead, such as env:NAME"


def _in_option(items: list[Any], number: int, place: Place) -> Iterator[tuple[Place, str]]:
    """Look at ``--password=x``, ``PASSWORD=x`` and ``--password``, ``x``: every user of the machine sees them run."""
    match = _OPTION.fullmatch(str(items[number]))
    name = (match["name"] or match["option"]) if match else None
    if match is None or not _is_secret(name):
        return
    given = match["value"] if match["name"] else next(iter(items[number + 1 :]), None)
    if isinstance(given, str) and is_literal(given) and not _is_reference(given) and not given.startswith("-"):
        yield place, f"{name!r} gives a secret to a program; let it read it from its environment or a file"


def _name_of(place: Place) -> str | None:
    """Return the name by which a text is held: that of a parameter, or of an input (given, or its default)."""
    match place:
        case ("inputs", str(name)) | ("inputs", str(name), "default") | ("steps", _, "with", *_, str(name)):
            return name
    return None


def _is_secret(name: str | None) -> bool:
    """Say whether a name is that of a secret; the name of a stored credential is none."""
    return name is not None and is_secret_name(name) and not name.endswith("credential")


def _is_reference(text: str) -> bool:
    kind, _, rest = text.partition(":")
    return (kind in KINDS and bool(rest)) or whole_name(text) is not None or "env:" in text
