"""Secrets that cannot be printed by accident, and the filter that keeps known ones out of any text.

``SecretText`` shows itself as stars in ``str``, ``repr``, format strings, logs and tracebacks; only ``reveal()``
gives the text. Every secret made is remembered in this process, and ``scrub`` removes it from remote messages before
they are shown.
"""

from __future__ import annotations

import re
import secrets as _random
import threading

STARS = "********"
_MIN_SCRUBBED = 6  # shorter values would turn ordinary words into stars

# what is quicker: to look for each value in the text, or at each place of the text for a value. Measured, in the time
# that one character takes when one value is looked for in a long text
_FEW, _PER_VALUE, _PER_PLACE = 4, 300, 600

_known: set[str] = set()
_by_beginning: dict[str, tuple[str, ...]] = {}
_one_writes = threading.Lock()

_SHAPES = re.compile(
    r"(?i:\bbearer\s+)(?=\S*\d)[\w\-.~+/=]{8,}"
    r"|\b(?:app|dataset)-[A-Za-z0-9]{24}\b"
    r"|\bsk-(?=[\w\-]*\d)[\w\-]{16,}"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|hf_|dfo[ae]_|xox[abprs]-)[\w\-]{16,}"
    r"|\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]{4,}"
)
_MARKS = (
    "app-", "dataset-", "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_", "dfo", "xox"
)  # fmt: skip


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
        beginning = text[:_MIN_SCRUBBED]
        with _one_writes:
            _by_beginning[beginning] = (*_by_beginning.get(beginning, ()), text)
            _known.add(text)


def is_known(text: str) -> bool:
    """Say whether ``text`` is one of the remembered secrets."""
    return text in _known


def forget_all() -> None:
    """Forget all remembered values; for a process that starts anew, as tests do."""
    _known.clear()
    _by_beginning.clear()


def scrub(text: str) -> str:
    """Return ``text`` without any remembered secret, bearer token, key of a known shape, or JWT."""
    for value in sorted(_inside(text), key=len, reverse=True):
        text = text.replace(value, STARS)
    return _SHAPES.sub(STARS, text) if _may_hold_shape(text) else text


def _may_hold_shape(text: str) -> bool:
    """Say whether a closer look is worth its time: it takes ten times as long as all of this."""
    if ("-" in text or "_" in text) and any(mark in text for mark in _MARKS):
        return True
    return "eyJ" in text or "bearer" in text.lower()


def _inside(text: str) -> list[str]:
    """Return the remembered values that stand in ``text``.

    A run over a thousand apps knows thousands of values. Then not each is looked for in each text, but what stands at
    each place of the text is looked up among their beginnings, whatever their number.
    """
    places = len(text) - _MIN_SCRUBBED + 1
    if places < 1:
        return []
    if len(_known) <= _FEW or len(_known) * (_PER_VALUE + places) < _PER_PLACE * places:
        return [value for value in tuple(_known) if value in text]
    size, known = _MIN_SCRUBBED, _by_beginning
    met = {part for place in range(places) if (part := text[place : place + size]) in known}
    return [value for part in met for value in known[part] if value in text]
