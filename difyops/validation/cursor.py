"""The place in a text that is being read, and what was found out about it: what ``reader`` and its helpers share.

Holds the working state of one reading (never used twice), the notes of every deviation, and what lies between values:
white space and comments. It knows no structure and no schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from difyops.validation.verdict import Path

Place = str
"""What is being read: ``KEY``, ``MEMBER`` (a value in an object) or ``ELEMENT`` (a value in an array)."""
KEY, MEMBER, ELEMENT = "key", "member", "element"

QUOTES = {
    '"': '"', "'": "'", "`": "`'´", "´": "´", "“": "”“\"", "”": "”“\"", "„": "“”\"", "＂": "＂",
    "‘": "’‘'", "’": "’‘'", "‚": "‘’'", "«": "»",
}  # fmt: skip
"""Each quote that may open a text, with those that may close it."""

WHITE = re.compile(r"[ \t\r\n]*")
_GAP = re.compile(r"[ \t\r\n]*([/#<]|[^\x00-\x7f])?")
_ODD_WHITE = re.compile(r"[\s\u180e\ufeff\u200b\u200c\u200d\u2060]+")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)|#(?=[\s#!]|$)[^\n]*|<!--.*?(?:-->|\Z)", re.DOTALL)

_MOST_NOTES = 100_000

KEY_AHEAD = re.compile(
    r"""(?:"[^"\\\n]{0,200}"|'[^'\\\n]{0,200}'|[“”„][^“”\n]{0,200}[“”"]|`[^`\n]{0,200}`)\s*(?:[:：]|=>)"""
    r"""|[A-Za-z_$][\w$]{0,80}\s*:(?!//)"""
)
"""A member's name and colon: what must follow where a comma is missing."""


class Unreadable(Exception):
    """The text at this place has no reading that is not a guess."""


class Budget:
    """How many characters of one answer may be looked at, all readings together, so that no text takes for ever."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = 12 * size + 100_000

    def spend(self, amount: int) -> None:
        """Count characters that were looked at.

        Raises:
            Unreadable: the answer needs more than its share.
        """
        self.left -= amount
        if self.left < 0:
            raise Unreadable


class Note(NamedTuple):
    """An edit before anybody needs it: cheap to make, turned into an ``Edit`` for the verdict only."""

    path: Path
    before: object
    after: object
    reason: str
    invented: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to read what can be read in two ways.

    ``closing``: a string ends at the ``near``est quote that fits what follows, at the ``first`` quote of all, or at
    the nearest fitting one that leaves ``even`` quotes inside. ``known``: when not empty, a quote before a further
    member fits only if that member has one of these names. ``swap``: a bracket of the wrong kind is a typing slip
    (otherwise one was left out). ``literal``: backslashes in a string with a wrong escape are plain characters.
    ``words``: a number that JSON does not know (``007``) is a text without quotes.
    """

    closing: str = "near"
    known: frozenset[str] = frozenset()
    swap: bool = False
    literal: bool = False
    words: bool = False


NEAR = Manner()


class Cursor:
    """Working state of one reading, and its findings.

    notes           the deviations
    unclosed        the containers whose end is missing
    stopped         the structure did not close; what was read so far stands
    cut             the text ends inside a value, a name, or where one must follow
    forks           the choices met ("closing", "bracket", "number"), where another manner may read something else
    absorbed        how many quotes that nobody escaped were taken into texts
    swallowed       a text looks more like the ends of two, or holds the very mark that is missing behind it
    wrong_escapes   a backslash was met that escapes nothing
    path_escapes    a backslash was met that escapes a letter, but may stand for itself
    bare_keys       names without quotes were met
    odd_white       unusual white space was met, and noted
    alone           nothing stands before the value
    refused         the code of a rule that forbids the value (a repeated key, NaN)
    furthest        where the reading is
    places          filled, when given, with the index at which each value starts
    """

    __slots__ = (
        "absorbed",
        "alone",
        "bare_keys",
        "budget",
        "cut",
        "forks",
        "furthest",
        "manner",
        "notes",
        "odd_white",
        "path",
        "path_escapes",
        "places",
        "refused",
        "stack",
        "stopped",
        "swallowed",
        "text",
        "unclosed",
        "wrong_escapes",
    )  # fmt: skip

    def __init__(
        self, text: str, manner: Manner = NEAR, *, budget: Budget | None = None, places: dict[Path, int] | None = None
    ) -> None:
        self.text = text
        self.budget = budget or Budget(len(text))
        self.furthest = 0
        self.manner = manner
        self.places = places
        self.notes: list[Note] = []
        self.path: list[str | int] = []
        self.stack: list[str] = []
        self.unclosed: list[Path] = []
        self.stopped = self.cut = self.swallowed = False
        self.odd_white = self.bare_keys = self.wrong_escapes = self.path_escapes = False
        self.alone = True
        self.absorbed = 0
        self.forks: set[str] = set()
        self.refused: str | None = None

    def note(self, before: object, after: object, reason: str, *, invented: bool = False) -> None:
        """Record one deviation at the current place.

        Raises:
            Unreadable: there are so many that nobody could look at them.
        """
        if len(self.notes) >= _MOST_NOTES:
            raise Unreadable
        self.notes.append(Note(tuple(self.path), before, after, reason, invented))

    def refuse(self, code: str) -> None:
        """Record that a rule forbids the value; the first one stays."""
        self.refused = self.refused or code

    def not_finite(self, spelled: str) -> None:
        """Record NaN, Infinity, or a number that overflows. The value read for it is ``None``."""
        self.refuse("not_finite")
        self.note(spelled, None, "not finite")

    def stop(self, *, cut: bool) -> None:
        """Record that the structure does not close; ``cut`` when something was about to follow."""
        self.stopped = True
        self.cut = self.cut or cut

    def cut_off(self, before: object, after: object) -> None:
        """Record that the text ends inside the value being read."""
        self.note(before, after, "cut off", invented=True)
        self.stop(cut=True)

    def ends(self, at: int) -> bool:
        """Return whether the text, or the fence around it, ends here."""
        return at >= len(self.text) or self.text.startswith(("```", "~~~"), at)

    def skip(self, at: int) -> int:
        """Return the index of the next character that is neither white space nor comment."""
        if "!" <= self.text[at : at + 1] <= "~" and self.text[at] not in "/#<":
            self.furthest = at
            return at
        gap = _GAP.match(self.text, at)
        assert gap is not None  # noqa: S101  # it matches everywhere, also nothing
        self.furthest = at = gap.end()
        if gap.lastindex is None:
            return at
        return self._skip_odd(at - 1)

    def _skip_odd(self, at: int) -> int:
        """Step over unusual white space and comments, and note them."""
        text = self.text
        while at < len(text):
            if white := _ODD_WHITE.match(text, at):
                if white[0].strip(" \t\r\n") and not self.odd_white:  # once is enough: it changes nothing
                    self.odd_white = True
                    self.note(white[0][:80], " ", "unusual white space")
                at = white.end()
            elif comment := _COMMENT.match(text, at):
                left_out = "..." in comment[0] or "…" in comment[0]
                self.note(comment[0][:80], "", "left out" if left_out else "comment", invented=left_out)
                at = comment.end()
            else:
                break
        self.furthest = at
        return at
