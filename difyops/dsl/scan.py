"""Finds what looks like a secret in clear in a document that was redacted: what a policy excepts.

It only reports. A finding never holds the secret, only its first characters. What is a marker already, a variable of
type secret and the address of a webhook are not reported: they are where they belong.
"""

from __future__ import annotations

from dataclasses import dataclass

from difyops.dsl.locations import Locations, text_at
from difyops.dsl.model import JsonObject
from difyops.dsl.secret_places import found_in
from difyops.secret_text import STARS

_SHOWN = 4
_KEPT = ("secret_variable", "webhook_address")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ScanFinding:
    """One suspicious text. ``place`` is the key of its field, ``line`` 1-based inside the field."""

    place: str
    line: int
    kind: str
    preview: str
    label: str


def scan(document: JsonObject) -> list[ScanFinding]:
    """Return what looks like a secret in clear, in document order; ``kind`` is that of ``secret_places.Found``."""
    addresses = Locations(document)
    findings: list[ScanFinding] = []
    for path, hits in found_in(document).items():
        text, field = text_at(document, path), addresses.location(path)
        line, counted = 1, 0
        for hit in hits:
            if hit.kind not in _KEPT:
                line += text.count("\n", counted, hit.start)
                counted = hit.start
                preview = _preview(text[hit.start : hit.end])
                findings.append(
                    ScanFinding(place=field.key, line=line, kind=hit.kind, preview=preview, label=field.label)
                )
    return findings


def _preview(secret: str) -> str:
    shown = secret[: min(_SHOWN, len(secret) // 3)]
    return f"{shown}{STARS}" if shown.isprintable() else STARS
