"""Remote text made harmless: no control characters, no escape codes, no direction tricks, no secrets.

The joiners U+200C and U+200D stay: Persian, Hindi and many emoji are written with them, and they move nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from difyops.secret_text import scrub

_HARMFUL = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, escape codes in seven and eight bits
    r"\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # direction, nothing to see
    r"\u2028\u2029\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f"  # line ends, halves, annotations, tags
)
_CONTROL = re.compile(f"[{_HARMFUL}]")


def text(value: object) -> str:
    """Return text that is safe to show; line breaks and tabs stay, other control characters become U+FFFD."""
    shown = scrub(str(value).replace("\r\n", "\n"))
    if shown.isascii() and shown.isprintable():  # nearly all, and it costs a tenth
        return shown
    return _CONTROL.sub("\ufffd", shown)


def one_line(value: object) -> str:
    """Return safe text on one line."""
    return " ".join(text(value).split())


def cell(value: object) -> str:
    """Return one table cell: a dash for nothing, yes and no for booleans, everything else safe and on one line."""
    if value is None or value == "":
        return "-"
    if value is True or value is False:
        return "yes" if value else "no"
    return one_line(value)


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one table: words that come again and again are made safe once."""

    known: dict[str, str] = field(default_factory=dict)

    def of(self, value: object) -> str:
        """Return one table cell, as ``cell`` does."""
        if type(value) is not str:
            return cell(value)
        shown = self.known.get(value)
        if shown is None:
            shown = self.known[value] = cell(value)
        return shown


def escaped(json_text: str) -> str:
    """Return JSON text with harmful characters written as ``\\uXXXX``: the same values, and nothing for a terminal."""
    return _CONTROL.sub(_as_escape, json_text)


def is_harmless(shown: str) -> bool:
    """Say whether nothing in ``shown`` would have to be replaced."""
    return _CONTROL.search(shown) is None


def _as_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
