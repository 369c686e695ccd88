"""Secrets that cannot be printed by accident, and the filter that keeps known ones out of any text.

``SecretText`` shows itself as stars in ``str``, ``repr``, format strings, logs and tracebacks; only ``reveal()``
gives the text. Every secret made is remembered in this process, and ``scrub`` removes it from remote messages before
they are shown.
"""

from __future__ import annotations

import bisect
import re
import secrets as _random

STARS = "********"
_MIN_SCRUBBED = 6  # shorter values would turn ordinary words into stars

_known: set[str] = set()
_longest_first: list[str] = []

_SHAPES = re.compile(
    r"(?i:\bbearer\s+)(?=\S*\d)[\w\-.~+/=]{8,}"
    r"|\b(?:app|dataset)-[A-Za-z0-9]{24}\b"
    r"|\bsk-(?=[\w\-]*\d)[\w\-]{16,}"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|hf_|dfo[ae]_|xox[abprs]-)[\w\-]{16,}"
    r"|\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]{4,}"
)


class SecretText:
    """A secret string. Equal to another one with the same text; hashable; never shows its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        remember(text)

    def reveal(self) -> str:
        """Return the secret itself. Call it only where the text leaves for its one destination."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __len__(self) -> int:
        return len(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return _random.compare_digest(_bytes(self._text), _bytes(other._text))

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return STARS

    def __repr__(self) -> str:
        return "SecretText(********)"

    def __format__(self, spec: str) -> str:
        return STARS

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is never pickled")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def remember(text: str) -> None:
    """Add ``text`` to the values that ``scrub`` removes. Short and blank values are not kept."""
    if len(text.strip()) >= _MIN_SCRUBBED and set(text) != {"*"} and text not in _known:
        _known.add(text)
        bisect.insort(_longest_first, text, key=lambda known: -len(known))


def is_known(text: str) -> bool:
    """Say whether ``text`` is one of the remembered secrets."""
    return text in _known


def forget_all() -> None:
    """Forget all remembered values; for a process that starts anew, as tests do."""
    _known.clear()
    _longest_first.clear()


def scrub(text: str) -> str:
    """Return ``text`` without any remembered secret, bearer token, key of a known shape, or JWT."""
    for value in _longest_first:
        if value in text:
            text = text.replace(value, STARS)
    return _SHAPES.sub(STARS, text)
