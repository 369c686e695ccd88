"""Finds what looks like a secret in clear where ``redact`` does not cut: prompts, code, templates, descriptions.

It only reports. A finding never holds the secret, only its first characters. Give it a redacted document: what is a
marker already is not reported again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from difyops.dsl.model import JsonObject, as_dict, as_list, text_of
from difyops.dsl.secret_places import is_secret_variable
from difyops.dsl.spots import ADDRESSES, MARKER, Addresses, Path, Spot, strings
from difyops.dsl.suspicion import LITERALS, credentials, entropy, is_clear, is_literal, is_secret_name
from difyops.secret_text import STARS

_SHOWN = 4
_SHORTEST = 12  # no credential format, and no assignment, fits into less
_ASSIGNED = re.compile(r"""[=:]>?\s{0,20}["']([^"'\s{}]{8,200})["']""")
_SECRET_BEFORE = re.compile(
    r"(?i)(?:passw(?:or)?d|passphrase|secret|token|(?:api|access|secret|private|auth)[_-]?key)\w{0,20}[\"']?\s{0,20}:?$"
)
_PLACEHOLDER = re.compile(
    r"(?i)your|example|changeme|change_me|placeholder|xxxx|<[^<\n]*>|\.\.\.|dummy|sample|\$\(|%\("
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One suspicious text. ``place`` is the key of its field, ``line`` 1-based inside the field."""

    place: str
    line: int
    kind: str
    preview: str
    label: str


def scan(document: JsonObject) -> list[Finding]:
    """Return what looks like a secret in clear, in document order.

    ``kind`` is a credential format (``openai_key``, ``jwt``, ``private_key``, ``password_in_url``, ...),
    ``assigned_secret`` for code like ``password = "..."``, or ``plain_variable`` for an environment variable with a
    secret's name that is not of type secret.
    """
    texts = [(path, text) for path, text in strings(document) if len(text) >= _SHORTEST]
    whole = "\0".join(text for _, text in texts)
    literals = [literal for literal in LITERALS if literal in whole]
    addresses = Addresses(document)
    findings = _plain_variables(document, addresses)
    for path, text in texts:
        hits = _assignments(text)
        if any(literal in text for literal in literals):
            hits += credentials(text)
        if hits and not _is_kept_elsewhere(document, path):
            findings += _findings(addresses.spot(path), text, hits)
    return findings


def _findings(field: Spot, text: str, hits: list[tuple[int, int, str]]) -> Iterator[Finding]:
    """Yield one finding for each place; where two rules hit the same characters the first one counts."""
    line, counted, last = 1, 0, 0
    for start, end, kind in sorted(hits):
        if start >= last and MARKER not in text[start:end]:
            line += text.count("\n", counted, start)
            counted, last = start, end
            yield Finding(place=field.key, line=line, kind=kind, preview=_preview(text[start:end]), label=field.label)


def _assignments(text: str) -> list[tuple[int, int, str]]:
    return [
        (*found.span(1), "assigned_secret")
        for found in _ASSIGNED.finditer(text)
        if _SECRET_BEFORE.search(text[max(0, found.start() - 60) : found.start()]) and _is_password(found.group(1))
    ]


def _is_password(value: str) -> bool:
    """Return whether a quoted value after ``password =`` is a real one: mixed characters, no placeholder."""
    has_mark = any(not char.isalpha() and char not in "_-. " for char in value)
    return has_mark and entropy(value) >= 2.5 and is_literal(value) and not _PLACEHOLDER.search(value)


def _plain_variables(document: JsonObject, addresses: Addresses) -> list[Finding]:
    findings = []
    for index, item in enumerate(as_list(document.get("environment_variables"))):
        name, value = text_of(as_dict(item).get("name")), text_of(as_dict(item).get("value"))
        is_plain = not is_secret_variable(item) and is_secret_name(name) and is_clear(value) and is_literal(value)
        if is_plain and value != MARKER:
            spot = addresses.spot(("environment_variables", index, "value"))
            preview = _preview(value)
            findings.append(Finding(place=spot.key, line=1, kind="plain_variable", preview=preview, label=spot.label))
    return findings


def _is_kept_elsewhere(document: JsonObject, path: Path) -> bool:
    """Return whether the text is where a secret belongs: a variable of type secret, or the address of a webhook."""
    if path[-1] in ADDRESSES:
        return True
    return path[0] == "environment_variables" and is_secret_variable(document[path[0]][path[1]])


def _preview(secret: str) -> str:
    shown = secret[: min(_SHOWN, len(secret) // 3)]
    return f"{shown}{STARS}" if shown.isprintable() else STARS
