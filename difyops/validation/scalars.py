"""Numbers, literals and bare words: the values without quotes.

A token is a number only if it is one as a whole; ``2024-01-01`` is a bare word. A number that touches the end of the
text may have lost digits and counts as cut.
"""

from __future__ import annotations

import re

from difyops.validation.cursor import ELEMENT, KEY_AHEAD, QUOTES, WHITE, Cursor, Place, Unreadable

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?(?=[\s,，;:}\])#]|//|/\*|\Z)")
_THOUSANDS = r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?=\s*(?:[}\n]|,\s*[\"'}\n]))"
_GROUPED = re.compile(_THOUSANDS)
_ODD_NUMBER = re.compile(
    rf"(?P<hex>[+-]?0[xX][0-9a-fA-F]+)|(?P<grouped>{_THOUSANDS})"
    r"|(?P<plain>[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)"
)
_DELIMITER = re.compile(r"[\s,，;}\])#]|//|/\*|\Z")
_CLOSES_NUMBER = frozenset(",}]")
_WORD = re.compile(r"[A-Za-z]+")
_LITERALS: dict[str, object] = {"true": True, "false": False, "null": None}
_FOREIGN: dict[str, object] = {"none": None, "nil": None, "true": True, "false": False, "null": None}
_NOT_FINITE = re.compile(r"[+-]?(?:NaN|nan|Infinity|-?inf|Inf)\b|[+-]?∞")
_BARE = re.compile(r"""[^\s,，;{}\[\]"'`“”:#<>()\\](?:[^,，;{}\[\]"`“”:\n\\/()]|:(?=//|\d)|(?<=[:/])/|/(?![/*]))*""")
_BROKEN_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*[eE][+-]?|\.?)")
_CLIPPED = frozenset(word[:size] for word in ("true", "false", "null", "none") for size in range(2, len(word)))
_ENTITY = re.compile(r"&(?:quot|apos|#x?[0-9a-f]+)\b")
_ELLIPSIS = re.compile(r"\.\.\.|…")
_MOST_DIGITS = 4300


def read(cursor: Cursor, at: int, place: Place) -> tuple[object, int]:
    """Return the value without quotes at ``at`` and the index after it.

    Raises:
        Unreadable: nothing that stands for a value.
    """
    number = _NUMBER.match(cursor.text, at)
    if number is not None and (place is ELEMENT or not _GROUPED.match(cursor.text, at)):
        return _number(cursor, number)
    word = _WORD.match(cursor.text, at)
    if word is not None and _DELIMITER.match(cursor.text, word.end()):
        if word[0] in _LITERALS:
            return _LITERALS[word[0]], word.end()
        if word[0].lower() in _FOREIGN:
            value = _FOREIGN[word[0].lower()]
            cursor.note(word[0], value, "foreign literal")
            return value, word.end()
    if (endless := _NOT_FINITE.match(cursor.text, at)) is not None:
        cursor.not_finite(endless[0])
        return None, endless.end()
    odd = None if cursor.manner.words else _odd_number(cursor, at)
    return odd or _bare_word(cursor, at, place)


def _number(cursor: Cursor, number: re.Match[str]) -> tuple[object, int]:
    end = number.end()
    digits = number[0]
    value = _value_of(cursor, digits, is_integer=number[1] is None and number[2] is None)
    if cursor.text[end : end + 1] not in _CLOSES_NUMBER and _may_lack_digits(cursor, end):
        cursor.cut_off(digits[:80], value)
    return value, end


def _may_lack_digits(cursor: Cursor, end: int) -> bool:
    """Return whether a number that ends here may go on where the text was cut: at its end, or before a fence."""
    after = WHITE.match(cursor.text, end).end()  # type: ignore[union-attr]  # matches everywhere
    return end == len(cursor.text) or (after < len(cursor.text) and cursor.ends(after))


def _value_of(cursor: Cursor, digits: str, *, is_integer: bool) -> object:
    if is_integer:
        if len(digits) > _MOST_DIGITS:
            cursor.refuse("huge_number")
            return 0
        return int(digits)
    value = float(digits)
    if value - value != 0.0:
        cursor.not_finite(digits[:80])
        return None
    return value


def _odd_number(cursor: Cursor, at: int) -> tuple[object, int] | None:
    """Read ``+1``, ``.5``, ``5.``, ``007``, ``1_000``, ``1,000`` and ``0x1F``."""
    found = _ODD_NUMBER.match(cursor.text, at)
    if found is None or not _DELIMITER.match(cursor.text, found.end()):
        return None
    spelled, end = found[0], found.end()
    value: object
    if found["hex"]:
        value = int(spelled, 16)
    else:
        digits = spelled.replace("_", "").replace(",", "")
        value = _value_of(cursor, digits, is_integer=digits.lstrip("+-").isdigit())
    if re.match(r"[+-]?0\d", spelled):
        cursor.forks.add("number")
    cursor.note(spelled[:80], value, "odd number")
    if _may_lack_digits(cursor, end):
        cursor.cut_off(spelled[:80], value)
    return value, end


def _bare_word(cursor: Cursor, at: int, place: Place) -> tuple[object, int]:
    """Read words that lack their quotes. Not at the top of an array, where prose in brackets would pass for data."""
    text = cursor.text
    if _ELLIPSIS.match(text, at):
        cursor.note("...", None, "left out", invented=True)
        return None, at + (1 if text[at] == "…" else 3)
    found = _BARE.match(text, at)
    if found is None or (place is ELEMENT and len(cursor.stack) == 1 and not cursor.alone):
        raise Unreadable
    if text[at - 1 : at] in QUOTES:
        raise Unreadable  # a text ended right here: its quote is the one that is wrong
    words = found[0].rstrip()
    if words == "undefined" or _ENTITY.search(words) or words.lower() in _CLIPPED or _BROKEN_NUMBER.fullmatch(words):
        raise Unreadable
    end = at + len(words)
    after = cursor.skip(end)
    if text[end : end + 1] == '"':
        cursor.note(words + '"', words, "missing quote")
        return words, end + 1
    if cursor.ends(after):
        cursor.cut_off(words[:80], words[:80])
        return words, after
    if text[after] not in ",，;}])" and "\n" not in text[end:after] and not KEY_AHEAD.match(text, after):
        raise Unreadable
    cursor.note(words[:80], words[:80], "unquoted text")
    return words, end
