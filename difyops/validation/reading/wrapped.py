"""The commonest wrappings, known at a glance: one value, in a fence or not, between words that hold nothing odd.

Nothing is decided here that the outline would decide otherwise; what is not certain is left to it.
"""

from __future__ import annotations

import re

from difyops.validation.reading.outline import may_be_cut

_WORDS = r"[^{}\[\]\"&\\<>`~◁]"
_PROSE = rf"({_WORDS}*(?:\{{\{{?[A-Za-z_ ]{{1,40}}\}}?\}}{_WORDS}*)*)"
"""Words, and placeholders among them."""
_VALUE = r"([{\[].*[}\]])"
_FENCE = r"(?<![^\s:.>])(```(?:json|JSON)?)[ \t]*\n\s*"
_FENCED = re.compile(rf"{_PROSE}{_FENCE}{_VALUE}(?:\s*\n[ \t]*```[ \t]*(?:\n{_PROSE})?|\s*)", re.DOTALL)
_BARE = re.compile(rf"({_WORDS}*)(){_VALUE}({_WORDS}*)", re.DOTALL)
_ODD_INSIDE = ("<", "◁", "```", "~~~")
_ODD_BEGIN = (",", ":", "'", "}", "”", "=", "(")


def plainly_wrapped(text: str) -> tuple[str, list[str]] | None:
    """Return the only value of a text, not parsed yet, and what is left out around it."""
    found = (_FENCED if "```" in text else _BARE).fullmatch(text)
    if found is None or any(mark in found[3] for mark in _ODD_INSIDE):
        return None
    lead, tail = found[1].strip(), (found[4] or "").strip()
    if _is_odd(lead) or _is_odd(tail) or lead[-1:] == "," or (tail and may_be_cut(tail)):
        return None
    return found[3], [part for part in (lead, found[2], tail) if part]


def _is_odd(words: str) -> bool:
    """Return whether words may be something else than prose."""
    return words.startswith(_ODD_BEGIN) or ("'" in words and ":" in words)
