"""Texts in quotes of every kind: where they end, and what they stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

QUOTES = {
    "'": "'", "`": "`'´", "´": "´", "“": "”“\"", "”": "”“\"", "„": "“”\"", "＂": "＂", "‘": "’‘'", "’": "’‘'",
    "‚": "‘’'", "«": "»",
}  # fmt: skip
"""Each quote but the right one that may open a text, with those that may close it."""
_SMART = "“”„‘’‚«»＂"
_CLOSERS = {quote: re.compile(rf"\\.|[{closers}]", re.DOTALL) for quote, closers in QUOTES.items()}
SIMPLE = {
    quote: re.compile(rf"{quote}([^{closers}\"\\\x00-\x1f\x7f-\U0010ffff]*)[{closers}](?=\s*[,:}}\]])")
    for quote, closers in QUOTES.items()
}
"""For each of these quotes a text of plain characters, none of them a quote that may end it or a backslash."""
_FITS = re.compile(r"\s*(?:[,，;；:：}\])=#]|//|/\*|\Z)")
_LOCATION = re.compile(r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.|\Z)|[\"\x00-\x1f]", re.DOTALL)
_DIRTY = re.compile(r'[\x00-\x1f]|\\(?:u(?![0-9a-fA-F]{4})|[^"\\/bfnrtu])')
_WINDOWS = re.compile(r"(?:[A-Za-z]:|\\\\[\w.$-]+)(?:\\(?!\\)[\w .$~()-]+)+\\?")
"""A whole path of Windows as it is written outside of JSON: each backslash stands for itself."""
_SCAN: Callable[[str, int, bool], tuple[str, int]] = json.decoder.scanstring  # type: ignore[attr-defined]
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_HALF = re.compile(r"[\ud800-\udfff]")


def is_clean(text: str) -> bool:
    """Return whether a text in double quotes is strict JSON."""
    return _DIRTY.search(text.replace("\\\\", "")) is None


def closing(text: str, at: int) -> int:
    """Return where the quote stands that ends the text which opens at ``at``; -1 when none does.

    An apostrophe does not end a text: what follows the end can follow a value or a name.
    """
    for found in _CLOSERS[text[at]].finditer(text, at + 1):
        if found[0][0] != "\\" and _FITS.match(text, found.end()):
            return found.start()
    return -1


def decode(raw: str, quote: str) -> tuple[str, list[str], str | None]:
    """Return what stands between quotes, the names of what was wrong with it, and the code of what forbids it."""
    slips: dict[str, None] = {}
    literal = _WINDOWS.fullmatch(raw) is not None

    def as_json(found: re.Match[str]) -> str:
        location = found[0]
        if location[0] != "\\":
            slips["raw control character" if location != '"' else "unescaped quote"] = None
            return '\\"' if location == '"' else f"\\u{ord(location):04x}"
        follows = location[1:2]
        if follows and (follows == "'" or follows in _SMART or (follows == "`" and quote == "`")):
            slips["escaped quote"] = None
            return follows
        if follows and follows in '"\\/' and not (literal and follows == "\\"):
            return location
        if not literal and ((follows and follows in "bfnrt") or (len(location) == 6)):
            return location
        slips["wrong escape"] = None
        if len(location) == 4 and not literal:
            return f"\\u00{location[2:]}"
        return "\\\\" + _LOCATION.sub(as_json, location[1:])

    content = _LOCATION.sub(as_json, raw)
    if quote not in ('"', '"""'):
        slips.pop("unescaped quote", None)  # between other quotes a plain one needs no escape
        slips = {"wrong quotes": None, **slips}
    value = _SCAN(f'{content}"', 0, True)[0]
    return value, list(slips), "lone_surrogate" if _HALF.search(value) else None


def with_quotes_escaped(raw: str) -> list[str]:
    """Return for each wrong escape that may have been that of a quote the text with the quote.

    A mark of JSON behind a backslash may stand for one; a quote was lost where an escaped one has no partner.
    """
    escapes = [(found.end(), found[1]) for found in _ESCAPE.finditer(raw)]
    alone = sum(mark == '"' for _, mark in escapes) % 2 == 1
    wrong = [(end, mark) for end, mark in escapes if mark not in '"\\/bfnrtu']
    marks = [raw[: end - 1] + '"' + raw[end:] for end, mark in wrong if mark in "{}[],:"]
    lost = [
        raw[: end - 1] + '"' + raw[end - 1 :]
        for end, mark in wrong
        if mark.isspace() or (mark not in "{}[],:'" and alone)
    ]
    return marks + lost


# -- quotes inside texts that nobody escaped --------------------------------------------------------------------


_NAME = r'"[^"\n]{0,200}"\s*:'
_MEMBER_END = re.compile(rf"\s*(?:\Z|\}}\s*(?:[,}}\]]|\Z)|,\s*(?:{_NAME}|\}}))")
_ELEMENT_END = re.compile(r'\s*(?:\Z|\]\s*(?:[,}\]]|\Z)|,\s*["{\[\d\-tfn\]])')
_KEY_END = re.compile(r"\s*:")
_QUOTE = re.compile(r'\\.|(")', re.DOTALL)
_INCHES = re.compile(r"""(?:[\s("x×/'’]|\A)[\d./]+["”][ .,;:x×)"]\Z""")
_QUOTATION = re.compile(r'[„“][^„“”"\n]+\Z')
_MOST_INSIDE = 40


def end_of_quoting(text: str, at: int, place: str) -> tuple[int, list[int]] | None:
    """Return where a text ends that opens at ``at`` and holds quotes nobody escaped, and those quotes.

    The nearest quote that fits what may follow, if the quotes before it make sense inside a text: pairs, inches, or
    the ends of quotations. ``place`` is "key", "member" or "element".
    """
    ends = {"key": _KEY_END, "member": _MEMBER_END, "element": _ELEMENT_END}[place]
    inside: list[int] = []
    for found in _QUOTE.finditer(text, at + 1):
        if not found[1]:
            continue
        mark = found.start()
        if ends.match(text, mark + 1) and _make_sense(text, at, inside):
            return mark, inside
        inside.append(mark)
        if len(inside) > _MOST_INSIDE:
            return None
    return None


def _make_sense(text: str, start: int, marks: list[int]) -> bool:
    if not marks:
        return True
    if len(marks) % 2 == 0 and not any(
        _closes(text, mark) if number % 2 == 0 else _opens(text, mark) for number, mark in enumerate(marks)
    ):
        return True
    if all(_INCHES.search(text[max(0, mark - 8) : mark + 2]) for mark in marks):
        return True
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
