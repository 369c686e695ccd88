"""What stands where a secret was: a sealed mark that tells equal values apart from changed ones, or an unknown one.

    <difyops:sealed:KEY:PRINT>    a value whose fingerprint is known: 8 hex digits name the store key, 32 hex digits are
                                  the keyed fingerprint of the value
    <difyops:secret>              a value of which nothing is known (blank, masked by the server, or an old snapshot)

A text of an app that looks like a mark is escaped (``<difyops:literal:secret>``), so that no value ever returns to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

MARKER = "<difyops:secret>"
SEALED = "<sealed>"  # what people are shown of a sealed mark
Mark = Callable[[str], str]

_BODY = r"(?:secret|sealed:[0-9a-f]{8}:[0-9a-f]{32})>"
MARK = re.compile(rf"<difyops:{_BODY}")
_START = "<difyops:"
_LOOKS_LIKE_ONE = re.compile(rf"<difyops:(?=(?:literal:)*{_BODY})")
_ESCAPED = re.compile(rf"<difyops:literal:(?=(?:literal:)*{_BODY})")
_WHOLE = len("<difyops:sealed:12345678:") + 33


def unknown(_: str) -> str:
    """Return the mark that says nothing of the value it stands for."""
    return MARKER


def sealed_mark(key_id: str, fingerprint: str) -> str:
    """Return the mark of a value by its keyed fingerprint; both in lower-case hex, of 8 and 32 digits."""
    return f"<difyops:sealed:{key_id}:{fingerprint}>"


def is_sealed(text: str) -> bool:
    """Return whether ``text`` is a mark with a fingerprint and nothing else."""
    return len(text) == _WHOLE and MARK.fullmatch(text) is not None


def key_of(mark: str) -> str | None:
    """Return which store key a mark was made with, ``None`` for the unknown one."""
    return mark[16:24] if mark.startswith("<difyops:sealed:") else None


def marks(text: str) -> Iterator[re.Match[str]]:
    """Yield every mark in ``text``."""
    return MARK.finditer(text) if _START in text else iter(())


def overlaps_mark(text: str, start: int, end: int) -> bool:
    """Return whether a mark reaches into ``text[start:end]``."""
    return any(found.start() < end and found.end() > start for found in marks(text))


def escaped(text: str) -> str:
    """Return a text from an app in which nothing is a mark any more."""
    return _LOOKS_LIKE_ONE.sub("<difyops:literal:", text) if _START in text else text


def unescaped(text: str) -> str:
    """Return what ``escaped`` was given."""
    return _ESCAPED.sub(_START, text) if _START in text else text


def shown(text: str) -> str:
    """Return ``text`` for people: sealed marks without their digits."""
    return MARK.sub(lambda found: MARKER if found.group() == MARKER else SEALED, text) if _START in text else text


def agree(one: object, other: object) -> bool:
    """Return whether two stored values may be the same, as far as their marks let one tell.

    Marks of one store key are the same value or they are not. An unknown mark, and one of another store key, may stand
    for anything, also for a text that is in clear on the other side.
    """
    if one == other:
        return True
    if one == MARKER or other == MARKER:
        return True
    if not isinstance(one, str) or not isinstance(other, str) or (_START not in one and _START not in other):
        return False
    keys = [{key_of(found.group()) for found in marks(text)} for text in (one, other)]
    return _fits(one, other, keys[1]) or _fits(other, one, keys[0])


def _fits(pattern: str, text: str, keys: set[str | None]) -> bool:
    """Return whether ``text`` is ``pattern`` with something in place of each mark that ``text`` cannot be asked for."""
    pieces, last = [], 0
    for found in marks(pattern):
        if key_of(found.group()) is None or (keys and key_of(found.group()) not in keys):
            pieces.append(pattern[last : found.start()])
            last = found.end()
    if not pieces:
        return False
    first, *middle, tail = [*pieces, pattern[last:]]
    if not text.startswith(first) or not text.endswith(tail) or len(text) < len(first) + len(tail):
        return False
    at, end = len(first), len(text) - len(tail)
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
