"""Splitting a text into the tokens of strict JSON, in one linear pass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import add, sub

from difyops.validation.reading.grammar import CODES, SCALAR, TEXT

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_TOKEN = re.compile(rf'[ \t\r\n]*(?:({_STRING})|([{{}}\[\]:,])|((?:[^\s{{}}\[\]:,"\\]+|\\.)+|["\\]))', re.DOTALL)
_NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_JSON = rf"{_STRING}|[{{}}\[\]:,]|(?:{_NUMBER}|true|false|null)(?![^\s{{}}\[\]:,\"])"
_ODD = r"(?:[^\s{}\[\]:,\"\\]+|\\.)+|[\"\\]"
_KNOWN = re.compile(rf"({_JSON})|{_ODD}", re.DOTALL)
_ANY = re.compile(rf"({_JSON})|({_ODD})", re.DOTALL)
_WHITE = " \t\r\n"
UNKNOWN = 8
"""The code of what is no token of JSON."""
_SCALAR = re.compile(rf"{_NUMBER}|true|false|null")
_BY_FIRST = {**CODES, '"': TEXT, **dict.fromkeys("-0123456789tfn", SCALAR)}


@dataclass(slots=True)
class Tokens:
    """Codes, and where each token starts and ends."""

    codes: bytes
    starts: list[int]
    ends: list[int]


def split(text: str, at: int = 0) -> Tokens:
    """Return the tokens from ``at`` on; what is no token gets the code ``UNKNOWN``."""
    return split_known(text, at) or _split_odd(text, at)


def split_known(text: str, at: int = 0) -> Tokens | None:
    """Return the tokens from ``at`` on, ``None`` when something is no token."""
    parts = _KNOWN.split(text[at:] if at else text)
    known = parts[1::2]
    if None in known or "".join(parts[::2]).strip(_WHITE):
        return None
    ends = list(accumulate(map(len, parts), initial=at))
    return Tokens(bytes([_BY_FIRST[token[0]] for token in known]), ends[1:-1:2], ends[2::2])


def _split_odd(text: str, at: int) -> Tokens:
    """Return the tokens of a text that holds something else, too; other white space is passed over."""
    parts = _ANY.split(text[at:].rstrip(_WHITE))
    known, odd = parts[1::3], parts[2::3]
    tokens = [one or other for one, other in zip(known, odd, strict=True)]
    codes = bytes([_BY_FIRST[one[0]] if one else _code_of(other) for one, other in zip(known, odd, strict=True)])
    sizes = list(map(len, tokens))
    ends = list(accumulate(map(add, map(len, parts[::3]), sizes), initial=at))[1:]
    return Tokens(codes, list(map(sub, ends, sizes)), ends)


def token_at(text: str, at: int) -> tuple[int, int] | None:
    """Return the code of the token that starts at ``at``, or behind white space there, and the index after it."""
    found = _TOKEN.match(text, at)
    return None if found is None else (_code(found), found.end())


def _code(found: re.Match[str]) -> int:
    kind = found.lastindex
    if kind == 1:
        return TEXT
    if kind == 2:
        return CODES[found[2]]
    return _code_of(found[3])


@lru_cache(maxsize=1024)
def _code_of(odd: str) -> int:
    return SCALAR if _SCALAR.fullmatch(odd) else UNKNOWN
