"""What stands between the items of an object or array: commas, closing brackets, and what is missing of them."""

from __future__ import annotations

import re

from difyops.validation.cursor import KEY_AHEAD, QUOTES, Cursor, Unreadable

CLOSER = {"{": "}", "[": "]", "(": ")"}
_OPENER = {"}": "{", "]": "["}
_COMMAS = ",，;、"
_SLIPPED_IN = re.compile(r"""([}\],，])["'”`][\s}\]]*\Z""")
_NEXT = {
    "{": re.compile(r'[ \t\r\n]*,[ \t\r\n]*(?=")'),
    "[": (_element := re.compile(r'[ \t\r\n]*,[ \t\r\n]*(?=["{\[\d\-])')),
    "(": _element,
}
"""The usual: a comma and the start of the next item."""
_IN_GROUPS = re.compile(r"\d[ \t\u00a0\u202f]+\d{3}\b")
_ELLIPSIS = re.compile(r"\.\.\.+|…")
ELEMENT_AHEAD = re.compile(r"""["'“„`{\[\d\-]|(?:true|false|null|True|False|None)\b""")


class Separators(Cursor):
    """A cursor that steps from item to item."""

    __slots__ = ()

    def before_item(self, kind: str, at: int) -> tuple[int, bool]:
        """Step over what may stand before an item. Return the item's index, or the end of the container and False."""
        comma = False
        while True:
            head = self.text[at : at + 1]
            if head == CLOSER[kind]:
                return at + 1, False
            if self.ends(at):
                self.stop(cut=comma)
                return at, False
            if head in "}]":
                if kind == "{":
                    raise Unreadable  # an object was begun and nothing of it is there
                return self._foreign_closer(kind, at)
            if head in _COMMAS:
                self.note(head, "", "extra comma")
                at, comma = self.skip(at + 1), True
            elif (dots := _ELLIPSIS.match(self.text, at)) is not None:
                self.note(dots[0], "", "left out", invented=True)
                at = self.skip(dots.end())
            else:
                return at, True

    def after_item(self, kind: str, end: int) -> tuple[int, bool]:
        """Step over what follows an item. Return the next item's index, or the end of the container and False."""
        if self.stopped:
            return end, False
        if (plain := _NEXT[kind].match(self.text, end)) is not None:
            return plain.end(), True
        at = self.skip(end)
        head = self.text[at : at + 1]
        if head == CLOSER[kind]:
            return at + 1, False
        if head and head in _COMMAS:
            if head != ",":
                self.note(head, ",", "wrong comma")
            return self._after_comma(kind, at)
        if head and head in "}])":
            self.doubt_if_swallowed(end, CLOSER[kind])
            return self._foreign_closer(kind, at)
        if self._is_next_item(kind, end, at):
            self.doubt_if_swallowed(end, ",，")
            if self.text[end] in "/#":
                self.swallowed = True  # a comment right after a text, and no comma: it was part of the text
            if _IN_GROUPS.match(self.text, end - 1):
                raise Unreadable  # "12 000": one number in groups, or two?
            self.note("", ",", "missing comma")
            return at, True
        self.doubt_if_swallowed(end, "}]")
        self.stop(cut=False)
        return at, False

    def _is_next_item(self, kind: str, end: int, at: int) -> bool:
        """Return whether an item starts here without a comma before it; a bare name only on a line of its own."""
        if kind != "{":
            return ELEMENT_AHEAD.match(self.text, at) is not None
        ahead = KEY_AHEAD.match(self.text, at)
        return ahead is not None and (ahead[0][0] in QUOTES or "\n" in self.text[end:at])

    def doubt_if_swallowed(self, end: int, marks: str) -> None:
        """Doubt a text that ends with the very mark that is missing behind it: it may have slipped inside."""
        tail = _SLIPPED_IN.search(self.text, max(0, end - 60), end)
        if tail is not None and tail[1] in marks and not self._is_paired(tail.start(1)):
            self.swallowed = True

    def _is_paired(self, closer: int) -> bool:
        """Return whether the bracket at ``closer`` has its partner in the same text: then it belongs there."""
        text = self.text
        opening = _OPENER.get(text[closer])
        start = max(0, text.rfind('"', 0, closer))
        return opening is not None and text.count(opening, start, closer) > text.count(text[closer], start, closer)

    def _after_comma(self, kind: str, comma: int) -> tuple[int, bool]:
        at = self.skip(comma + 1)
        head = self.text[at : at + 1]
        if head == CLOSER[kind]:
            self.note(",", "", "trailing comma")
            return at + 1, False
        if self.ends(at):
            self.stop(cut=True)
            return at, False
        if kind == "{" and head == "{" and "[" in self.stack:
            self.note("", "}", "missing bracket")
            return comma, False
        if head in _COMMAS or head in "}].…":
            return self.before_item(kind, at)
        return at, True

    def _foreign_closer(self, kind: str, at: int) -> tuple[int, bool]:
        """Meet ``}`` in an array or ``]`` in an object: a bracket left out before it, or the wrong one typed."""
        wanted = "[" if kind == "{" else "{"
        if wanted in self.stack:
            self.forks.add("bracket")
            if not self.manner.swap:
                self.note("", CLOSER[kind], "missing bracket")
                return at, False
        self.note(self.text[at], CLOSER[kind], "wrong bracket")
        return at + 1, False
