"""Remote text made harmless: no control characters, no escape codes, no direction tricks, no secrets."""

from __future__ import annotations

import re

from difyops.secret_text import scrub

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def text(value: object) -> str:
    """Return text that is safe to show; line breaks and tabs stay, other control characters become U+FFFD."""
    return _CONTROL.sub("\ufffd", scrub(str(value).replace("\r\n", "\n")))


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
