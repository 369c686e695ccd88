"""Splitting a text into the tokens of strict JSON, in one linear pass."""

from __future__ import annotations

import re
from dataclasses import dataclass

from difyops.validation.reading.grammar import CODES, SCALAR, TEXT

_TOKEN = re.compile(r'[ \t\r\n]*(?:("(?:[^"\\]|\\.)*")|([{}\[\]:,])|((?:[^\s{}\[\]:,"\\]+|\\.)+|["\\]))', re.DOTALL)
_WHITE = " \t\r\n"
UNKNOWN = 8
"""The code of what is no token of JSON."""
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")


@dataclass(slots=True)
class Tokens:
    """Codes, and where each token starts and ends."""

    codes: list[int]
    starts: list[int]
    ends: list[int]


def split(text: str, at: int = 0) -> Tokens:
    """Return the tokens from ``at`` on; what is no token gets the code ``UNKNOWN``."""
    codes: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    for found in _TOKEN.finditer(text, at, len(text.rstrip(_WHITE))):
        kind = found.lastindex
        if kind == 1:
            codes.append(TEXT)
        elif kind == 2:
            codes.append(CODES[found[2]])
        else:
            codes.append(SCALAR if _SCALAR.fullmatch(found[3]) else UNKNOWN)
        start, end = found.span(kind or 0)
        starts.append(start)
        ends.append(end)
    return Tokens(codes, starts, ends)
