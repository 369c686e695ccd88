"""Where the secrets are inside the texts of an HTTP request node: header lines, addresses, JSON bodies.

Each function returns ``(start, end)`` of the secret itself: the name of a header, the word Bearer and template
references stay readable. Which texts to look at is for ``secrets``.
"""

from __future__ import annotations

import re

from difyops.dsl.suspicion import is_literal, is_secret_name, is_suspicious

Span = tuple[int, int]

_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|apikey|bot)[ \t]+")
_USERINFO = re.compile(r"://([^\s/?#@{}:]*)(?::([^\s/?#@{}]+))?@")
_QUERY = re.compile(r"[?&]([^=&?#\s]{1,100})=((?:\{\{[^{}]*\}\}|[^&#\s])+)")
_JSON_PAIR = re.compile(r'"([^"\\]{1,100})"\s*:\s*"((?:[^"\\]|\\.)*)"')


def bare(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Return the span of a value without the blanks around it and without the word Bearer, Basic or Token."""
    value = text[start:end]
    if not is_literal(value):
        return []
    first = start + len(value) - len(value.lstrip())
    last = start + len(value.rstrip())
    scheme = _SCHEME.match(text, first, last)
    return [(scheme.end() if scheme else first, last)]


def in_lines(text: str) -> list[Span]:
    """Return the secrets of a text with one ``Name:value`` on each line (headers, parameters, older form bodies)."""
    spans: list[Span] = []
    start = 0
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        end = start + len(line)
        if colon and is_suspicious(name.strip(), value.strip()):
            spans += bare(text, end - len(value), end)
        start = end + 1
    return spans


def in_address(text: str) -> list[Span]:
    """Return the password of an address, or its user when that stands alone, and its secret query parameters."""
    spans: list[Span] = []
    for match in _USERINFO.finditer(text):
        spans += [match.span(2) if match.group(2) else match.span(1)] if match.group(1) or match.group(2) else []
    for match in _QUERY.finditer(text):
        if is_suspicious(match.group(1), match.group(2)):
            spans += bare(text, *match.span(2))
    return spans


def in_json(text: str) -> list[Span]:
    """Return the values of secret names in a JSON text, which need not be valid: it may hold template references."""
    spans: list[Span] = []
    for match in _JSON_PAIR.finditer(text):
        if is_secret_name(match.group(1)):
            spans += bare(text, *match.span(2))
    return spans
