"""Texts in quotes, also where the quotes inside were not escaped.

The question is which quote ends the text. One fits when what follows it could follow a value: a closing bracket, or a
comma and then the next item. The nearest fitting quote is taken; the other manners are there to be compared with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from difyops.validation import strict
from difyops.validation.cursor import ELEMENT, KEY, MEMBER, QUOTES, Cursor, Place

_PLAIN = re.compile(r'"([^"\\\x00-\x1f]*)"')
_SPECIAL = re.compile(r'[\\"\x00-\x1f]')
_RAW_CONTROL = re.compile(r"[\x00-\x1f]")
_SPACE = r"[\s\ufeff\u200b]*"
_QUOTED_NAME = (
    r"""(?:"(?P<a>[^"\\\n]{0,200})"|'(?P<b>[^'\\\n]{0,200})'|[“”„](?P<c>[^“”"\n]{0,200})[“”"]|`(?P<d>[^`\n]{0,200})`)"""
)
_COLON = r"(?:[:：]|=>?)"
_COMMENT = r"//|/\*|\#[ ]"
_END = r"\Z|```|~~~"
PATH = re.compile(r"[A-Za-z]:\\[bfnrtu]|\\\w+\\[bfnrt]\w")
_WINDOWS = re.compile(r"(?:[A-Za-z]:|\\\\[\w.$-]+)(?:\\(?!\\)[\w .$~()-]+)+\\?")
"""A whole path of Windows as it is written outside of JSON: each backslash stands for itself."""
_SEEKERS = {quote: re.compile(f"[\\\\{closers}]") for quote, closers in QUOTES.items()}
_SCAN: Callable[[str, int, bool], tuple[str, int]] = json.decoder.scanstring  # type: ignore[attr-defined]


def _member_end(*, root: bool, bare: bool) -> re.Pattern[str]:
    text_goes_on = r"(?!\s*\"\s*[^\s`'\"\]}),;])"
    after_brace = text_goes_on if root else rf"(?={_SPACE}(?:[,}}\]'/\#;]|{_END}|\"[^\"\n]*\"\s*:))"
    name = _QUOTED_NAME + (r"|(?P<e>[A-Za-z_$][\w$\-]{0,80})" if bare else "")
    again = re.sub(r"\(\?P<(.)>", r"(?P<\1\1>", _QUOTED_NAME)
    return re.compile(
        rf"{_SPACE}(?:\}}{after_brace}|(?:[,，;]{_SPACE})+(?:\}}|(?:{name}){_SPACE}{_COLON}|{_COMMENT}|{_END}|\.\.\.)"
        rf"|\](?={_SPACE}(?:[,}}\]]|{_END}))|(?:{again}){_SPACE}(?:[:：]|=>)|{_COMMENT}|{_END})"
    )


_MEMBER_ENDS = {(root, bare): _member_end(root=root, bare=bare) for root in (False, True) for bare in (False, True)}
_ELEMENT_END = re.compile(
    rf"{_SPACE}(?:\](?={_SPACE}(?:[,}}\]\"'/\#;]|{_END}|[^\w\s]|\w))"
    rf"|\}}(?={_SPACE}(?:[,}}\]]|{_END}))|(?:[,，;、]{_SPACE})+(?:[\"'“„`{{\[\d\-\]]|(?:true|false|null|True|False|None)\b|{_COMMENT}|{_END}|\.\.\.)"
    rf"|[ \t\r]*\n{_SPACE}[\"'“`]|{_COMMENT}|{_END})"
)
_KEY_END = re.compile(rf"{_SPACE}(?:[:：]|=>?)")
_USUAL = frozenset(",}]:")
_PLUS = re.compile(r"\s*\+\s*(?=[\"'`])")
_NEXT_LINE = re.compile(r"[ \t\r]*\n\s*(?=\"(?:[^\"\\\n]|\\.)*\"\s*[,}])")
_WEAK = re.compile(rf"{_SPACE}(?:[,，:：}}\]]|{_END})|[ \t]*\n|{_SPACE}[\"'“{{\[]")


def read(cursor: Cursor, at: int, place: Place) -> tuple[str, int]:
    """Return the text that opens with a quote at ``at``, and the index after it; every deviation is noted."""
    first, end = _one(cursor, at, place)
    if cursor.text[end : end + 1] in _USUAL:
        return first, end
    parts = [first]
    while place is not KEY and not cursor.stopped and (joint := _joint(cursor.text, end, place)) is not None:
        more, end = _one(cursor, joint.end(), place)
        parts.append(more)
    if len(parts) == 1:
        return first, end
    value = "".join(parts)
    cursor.note(cursor.text[at:end][:80], value[:80], "joined texts")
    return value, end


def _joint(text: str, at: int, place: Place) -> re.Match[str] | None:
    """Return what joins the text that ends at ``at`` to a further one: a plus, or (for members) a new line."""
    return _PLUS.match(text, at) or (_NEXT_LINE.match(text, at) if place is MEMBER else None)


def _one(cursor: Cursor, at: int, place: Place) -> tuple[str, int]:
    text = cursor.text
    plain = _PLAIN.match(text, at)
    if plain is not None and (cursor.manner.closing == "first" or _fits(cursor, place, plain.end())):
        return plain[1], plain.end()
    if text.startswith('"""', at) and (close := text.find('"""', at + 3)) > 0:
        return _triple(cursor, at, close)
    quote = text[at]
    close = _closing_quote(cursor, at, place)
    if close < 0:
        value, _ = _decode(text[at + 1 :], quote, literal=False)
        cursor.cut_off(text[at:][:80], value[:80])
        return value, len(text)
    value = _content(cursor, text[at + 1 : close], quote)
    return value, close + 1


def _triple(cursor: Cursor, at: int, close: int) -> tuple[str, int]:
    value = _content(cursor, cursor.text[at + 3 : close], '"""')
    return value, close + 3


def _content(cursor: Cursor, raw: str, quote: str) -> str:
    """Decode what stands between the quotes, and note what was wrong with it."""
    if not _SPECIAL.search(raw):
        if quote != '"':
            cursor.note(f"{quote}{raw}"[:80], raw[:80], "wrong quotes")
        return raw
    if quote == '"' and "\\" in raw and not _RAW_CONTROL.search(raw):
        try:
            value, end = _SCAN(f'{raw}"', 0, True)
            if end == len(raw) + 1 and not (cursor.manner.literal and PATH.search(raw)):
                cursor.path_escapes = cursor.path_escapes or PATH.search(raw) is not None
                return value
        except ValueError:
            pass
    literal = cursor.manner.literal or _WINDOWS.fullmatch(raw) is not None
    value, slips = _decode(raw, quote, literal=literal)
    if literal and strict.has_escaped_half(raw):
        cursor.refuse("lone_surrogate")
    if quote != '"':
        slips.insert(0, "wrong quotes")
    cursor.path_escapes = cursor.path_escapes or "escape" in slips
    if "wrong escape" in slips:
        cursor.wrong_escapes = True
    for slip in slips:
        if slip != "escape":
            cursor.note(f"{quote}{raw}"[:80], value[:80], slip)
    return value


def _fits(cursor: Cursor, place: Place, after: int) -> bool:
    """Return whether a text may end before ``after``, judged by what follows."""
    if place is KEY:
        return _KEY_END.match(cursor.text, after) is not None
    if place is ELEMENT:
        return (_ELEMENT_END.match(cursor.text, after) or _joint(cursor.text, after, place)) is not None
    ahead = _MEMBER_ENDS[len(cursor.stack) <= 1, cursor.bare_keys].match(cursor.text, after)
    if ahead is None:
        return _joint(cursor.text, after, place) is not None
    if not cursor.manner.known or ahead.lastgroup is None:
        return True
    return ahead[ahead.lastgroup] in cursor.manner.known


def _closing_quote(cursor: Cursor, at: int, place: Place) -> int:
    """Return the index of the quote that ends the text, -1 when none does."""
    text, manner = cursor.text, cursor.manner
    seek = _SEEKERS[text[at]]
    inside: list[int] = []
    weak, absorbed, where = -1, 0, at + 1
    while (found := seek.search(text, where)) is not None:
        mark = found.start()
        cursor.budget.spend(mark - where + 20)
        where = mark + 1
        if text[mark] == "\\":
            if not (manner.literal and text[where : where + 1] == '"' and _fits(cursor, place, where + 1)):
                where += 1
            continue
        if manner.closing == "first":
            return mark
        if _fits(cursor, place, where) and not (manner.closing == "even" and len(inside) % 2):
            _absorb(cursor, at, inside, mark)
            return mark
        if weak < 0 and _WEAK.match(text, where):
            weak, absorbed = mark, len(inside)
        if not _is_apostrophe(text, mark):
            inside.append(mark)
    cursor.forks.add("closing")
    _absorb(cursor, at, inside[:absorbed], weak)
    return weak


def _absorb(cursor: Cursor, start: int, inside: list[int], end: int) -> None:
    """Record the quotes that became part of a text, and whether they make sense there."""
    if inside:
        cursor.forks.add("closing")
        cursor.absorbed += len(inside)
        if cursor.text[start] in "'`‘’":
            doubled = inside[0] == start + 1 and cursor.text[start] == cursor.text[start + 1]
            if doubled or _SEAM.search(cursor.text, start + 1, end):
                cursor.swallowed = True
        elif not (
            _are_pairs(cursor.text, inside)
            or _are_inches(cursor.text, inside)
            or _end_quotations(cursor.text, start, inside)
        ):
            cursor.swallowed = True


def _is_apostrophe(text: str, mark: int) -> bool:
    return text[mark] in "'’" and text[mark - 1].isalpha() and text[mark + 1 : mark + 2].isalpha()


def _are_pairs(text: str, marks: list[int]) -> bool:
    """Return whether quotes can be read as opening and closing in turn; ``", "`` between two texts cannot."""
    return len(marks) % 2 == 0 and not any(
        _closes(text, mark) if number % 2 == 0 else _opens(text, mark) for number, mark in enumerate(marks)
    )


def _are_inches(text: str, marks: list[int]) -> bool:
    return all(_INCHES.search(text[max(0, mark - 8) : mark + 2]) for mark in marks)


def _end_quotations(text: str, start: int, marks: list[int]) -> bool:
    """Return whether each quote ends a quotation that a curly one began: ``„so"``."""
    return all(_QUOTATION.search(text, before + 1, mark) for before, mark in zip([start, *marks], marks, strict=False))


def _opens(text: str, mark: int) -> bool:
    """Return whether a quote cannot be a closing one: a word follows at once, or it stands apart before one."""
    before, after = text[mark - 1], text[mark + 1 : mark + 2]
    if after.isascii() and after.isalnum():
        return True
    return (before.isspace() and not after.isspace() and after not in ",.;:!?)]}") or (
        before in "([{:,=" and after.isalnum()
    )


def _closes(text: str, mark: int) -> bool:
    """Return whether a quote cannot be an opening one: a word stands right before it, or no word after it."""
    before, after = text[mark - 1], text[mark + 1 : mark + 2]
    if after.isspace() or (before.isascii() and before.isalnum()):
        return True
    return not (before.isspace() or before in '([{:,="“') and not after.isalnum()


_INCHES = re.compile(r"""(?:[\s("x×/'’]|\A)[\d./]+["”][ .,;:x×)"]\Z""")
_QUOTATION = re.compile(r'[„“][^„“”"\n]+\Z')
_SEAM = re.compile(r"""['`’]\s*[,:+]\s*['"`‘{\[\d]""")
_SPOT = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.|\Z)|[\"\x00-\x1f]", re.DOTALL)
_PLAIN_QUOTES = ('"', '"""')
_SMART = "“”„‘’‚«»＂"


def _decode(raw: str, quote: str, *, literal: bool) -> tuple[str, list[str]]:
    """Return what ``raw`` stands for, and the names of its slips; ``escape`` marks a right escape of a letter."""
    slips: dict[str, None] = {}

    def as_json(found: re.Match[str]) -> str:
        spot = found[0]
        if spot[0] != "\\":
            slips["raw control character" if spot != '"' else "unescaped quote"] = None
            return '\\"' if spot == '"' else f"\\u{ord(spot):04x}"
        follows = spot[1:2]
        if follows and (follows == "'" or follows in _SMART):
            slips["escaped quote"] = None
            return '\\"' if follows in _SMART and quote in _SMART else follows
        if follows and follows in '"\\/' and not (literal and follows == "\\"):
            return spot
        if not literal and ((follows and follows in "bfnrt") or len(spot) == 6):
            slips["escape"] = None
            return spot
        slips["wrong escape"] = None
        if len(spot) == 4 and not literal:
            return f"\\u00{spot[2:]}"
        return "\\\\" + _SPOT.sub(as_json, spot[1:])

    content = _SPOT.sub(as_json, raw)
    if quote not in _PLAIN_QUOTES:
        slips.pop("unescaped quote", None)  # between other quotes a plain one needs no escape
    return _SCAN(f'{content}"', 0, True)[0], list(slips)
