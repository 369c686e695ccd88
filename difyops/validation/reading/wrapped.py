"""The commonest wrappings, known at a glance: one value, in a fence or not, between words that hold nothing odd.

Nothing is decided here that the outline would decide otherwise; what is not certain is left to it. A value that is
strict JSON holds whatever it likes in its texts: fences, tags, marks of reasoning.
"""

from __future__ import annotations

import re

from difyops.validation.reading.outline import may_be_cut
from difyops.validation.reading.vocabulary import announces

_WORDS = re.compile(r"[^{}\[\]\"&\\<>`~◁]*")
_WORDS_AND_PLACES = re.compile(rf"{_WORDS.pattern}(?:\{{\{{?[A-Za-z_ ]{{1,40}}\}}?\}}{_WORDS.pattern})*")
"""Words, and placeholders among them: before a fence."""
_OPENS = re.compile(r"(?<![^\s:.>])(```+|~~~+)[ \t]*(?:[jJ][sS][oO][nN][5cC]?)?[ \t]*\n")
_ENDS_LINE = re.compile(r"[ \t]*(?:\n|\Z)")
_ODD_BEGIN = (",", ":", "'", "}", "”", "=", "(")
_NAME = re.compile(r"'\w{1,40}'\s*:")


def plainly_wrapped(text: str) -> tuple[str, list[str]] | None:
    """Return the only value of a text, not parsed yet, and what is left out around it."""
    first = _first_bracket(text)
    if first < 0:
        return None
    lead, mark, body, tail = _in_fence(text, first) or _bare(text, first)
    lead, tail = lead.strip(), tail.strip()
    if not (lead or mark or tail) or body[:1] not in ("{", "[") or body[-1] not in "}]" or lead[-1:] == ",":
        return None
    words = _WORDS_AND_PLACES if mark else _WORDS
    if any(part and (_is_odd(part) or not words.fullmatch(part)) for part in (lead, tail)):
        return None
    if tail and (may_be_cut(tail) or announces(tail)):
        return None
    return body, [part for part in (lead, mark, tail) if part]


def _first_bracket(text: str) -> int:
    curly, square = text.find("{"), text.find("[")
    return max(curly, square) if curly < 0 or square < 0 else min(curly, square)


def _bare(text: str, first: int) -> tuple[str, str, str, str]:
    last = max(text.rfind("}"), text.rfind("]")) + 1
    return text[:first], "", text[first:last], text[last:]


def _in_fence(text: str, first: int) -> tuple[str, str, str, str] | None:
    """Return what stands before the first fence, its mark, what it holds, and what stands behind it."""
    at = text.find("```")
    if at < 0:
        at = text.find("~~~")
    if at < 0 or (at > first and not _WORDS_AND_PLACES.fullmatch(text, 0, at)):
        return None
    opens = _OPENS.match(text, at)
    if opens is None:
        return None
    closes = text.rfind(opens[1])
    if closes < opens.end():
        return text[:at], opens[0].strip(), text[opens.end() :].strip(), ""
    ends = _ENDS_LINE.match(text, closes + len(opens[1]))
    if ends is None:
        return None
    return text[:at], opens[0].strip(), text[opens.end() : closes].strip(), text[ends.end() :]


def _is_odd(words: str) -> bool:
    """Return whether words may be something else than prose."""
    return words.startswith(_ODD_BEGIN) or ("'" in words and _NAME.search(words) is not None)
