"""JSON as other languages write it, made strict: comments, quotes, literals, numbers, names and punctuation.

What is written otherwise and has one meaning is rewritten, and noted. Nothing is judged here, no structure is known:
a bracket or comma too many stays. Words without quotes and numbers with marks are rewritten, too, but kept apart in
``coerced``: they stand only where the caller allows coercion.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from difyops.validation.reading import strings
from difyops.validation.reading.effort import Effort
from difyops.validation.reading.single import TextChange
from difyops.validation.reading.vocabulary import LEFT_OUT

_STRICT = re.compile(
    r'(?:[ \t\r\n]+|(?!""")"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
    r'(?![^\s{}\[\]:,"/#;，：=\u00a0+)])|[{}\[\]:,]'
    r"|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?=[\s,:{}\[\]\"]|\Z))+"
)
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"', re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*[^*]*+(?:\*(?!/)[^*]*+)*\*/|\#(?=[\s#!]|$)[^\n]*|<!--[^-]*+(?:-(?!->)[^-]*+)*-->")
_ENDS_LIKE_TEXT = re.compile(r'"[\s{}\[\],:]+\Z')
_ODD_WHITE = re.compile(r"[\s\u180e\ufeff\u200b\u200c\u200d\u2060]+")
_PUNCTUATION = {
    "：": ":",
    "，": ",",
    "；": ",",
    ";": ",",
    "、": ",",
    "(": "[",
    ")": "]",
    "｛": "{",
    "｝": "}",
    "［": "[",
    "］": "]",
}
_ARROW = re.compile(r"=>?")
_NAME = re.compile(r"([A-Za-z_$][\w$\-]*)(?=\s*(?:[:：](?!//)|=>?(?!=)))")
_LITERAL = re.compile(r"(?:true|false|null|none|nil|undefined)(?=[\s,，;；:}\])#]|//|/\*|\Z)", re.IGNORECASE)
_LITERALS = {"true": "true", "false": "false", "null": "null", "none": "null", "nil": "null"}
_VALUES = {"true": True, "false": False, "null": None}
_NOT_FINITE = re.compile(r"[+-]?(?:NaN|nan|Infinity|inf|Inf|∞)(?![\w])")
_AHEAD = r"(?=[\s,，;；{}\[\])#\"]|//|/\*|\Z)"
_NUMBER = re.compile(
    rf"(?P<hex>[+-]?0[xX][0-9a-fA-F]+){_AHEAD}|(?P<plain>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?){_AHEAD}"
    rf"|(?P<marked>[+-]?[0-9][0-9_]*(?:\.[0-9_]+)?){_AHEAD}"
)
_NUMERIC = frozenset("+-.0123456789")
_LONG_NUMBER = 300
_BARE = re.compile(r"""[^\s,，;{}\[\]"'`“”:#<>()\\](?:[^,，;{}\[\]"`“”:\n\\/()]|:(?=//|\d)|(?<=[:/])/|/(?![/*]))*""")
_NAME_ENDS = re.compile(r"\s*:")
_DOTS = re.compile(r"\.\.\.|…")
_JOINT = re.compile(r'\+\s*(?=")')


@dataclass(slots=True)
class Canon:
    """A text made strict.

    ``notes`` are the changes (offset in the new text, before, after, reason). ``coerced`` are those that stand only
    with coercion. ``tangled``: a quote is missing or too many, so that texts cannot be told from what is between them.
    ``code``: a rule forbids the whole, whatever else it says. ``locations`` leads from the new text to the old one.
    ``doubts`` are texts with a mark of JSON behind a backslash, each read as if that mark were a quote.
    ``doubtful``: what was left out as a comment holds half of a pair of quotes, so it may be a part of a text.
    """

    text: str = ""
    notes: list[tuple[int, str, object, str]] = field(default_factory=list)
    coerced: list[tuple[int, int, str]] = field(default_factory=list)
    tangled: bool = False
    code: str | None = None
    locations: list[tuple[int, int]] = field(default_factory=list)
    doubts: list[TextChange] = field(default_factory=list)
    doubtful: bool = False

    def doubted(self) -> list[TextChange]:
        """Return the other reading of a mark behind a backslash: there it may stand for a quote.

        Where more than one mark stands behind a backslash, it is the way that somebody writes, and means itself.
        """
        return self.doubts if len(self.doubts) == 1 else []

    def origin(self, offset: int) -> int:
        """Return the offset in the old text that belongs to one in the new text."""
        shift = 0
        for new, old in self.locations:
            if new > offset:
                break
            shift = old - new
        return offset + shift


def canonical(text: str, words: frozenset[str], effort: Effort) -> Canon:
    """Return a text made strict. ``words`` are texts that the schema lists: each may stand without its quotes."""
    return Canon(text) if is_strict(text) else _Writer(text, words, effort).write()


def is_strict(text: str) -> bool:
    """Return whether a text holds nothing but tokens as JSON writes them."""
    run = _STRICT.match(text)
    return run is not None and run.end() == len(text)


class _Writer:
    def __init__(self, text: str, words: frozenset[str], effort: Effort) -> None:
        self.effort = effort
        self.text = text
        self.words = words
        self.canon = Canon()
        self.parts: list[str] = []
        self.size = 0
        self.white = False
        self.wrapped: bool | None = None
        self.ends = [("/*", text.rfind("*/")), ("<!--", text.rfind("-->"))]

    def write(self) -> Canon:
        at, text = 0, self.text
        while at < len(text) and not self.canon.tangled:
            run = _STRICT.match(text, at)
            if run is not None:
                self._add(run[0], at)
                at = run.end()
                continue
            at = self._unquoted(at) if text[at].isalnum() else self._odd(at)
            self.effort.rewrites -= 1
            if self.effort.rewrites < 0:
                self.canon.code = "too_complex"
                break
        if self.canon.tangled:
            self._add(text[at:], at)
        self.canon.text = "".join(self.parts)
        return self.canon

    def _add(self, piece: str, origin: int) -> None:
        if self.size != origin:
            self.canon.locations.append((self.size, origin))
        self.parts.append(piece)
        self.size += len(piece)

    def _put(self, piece: str, origin: int, before: str, after: object, reason: str) -> None:
        self.canon.notes.append((self.size, before[:80], after, reason))
        self._add(piece, origin)

    def _odd(self, at: int) -> int:
        """Rewrite what is not strict at ``at``, and return the index after it."""
        text = self.text
        char = text[at]
        if char == '"':
            return self._string(at)
        if char in strings.QUOTES:
            return self._quoted(at)
        if found := _ODD_WHITE.match(text, at):
            if not self.white:
                self._put(" ", at, found[0], " ", "unusual white space")
            else:
                self._add(" ", at)
            self.white = True
            return found.end()
        if char in "/#<" and (found := self._comment(at)):
            if text[at - 1 : at] in (":", '"') and found[0].count('"') % 2:
                self.canon.tangled = True  # a link or a path in a text whose quotes are wrong
                return at
            if found[0].count('"') % 2 and self.canon.code is None:
                self.canon.doubtful = True
                self.canon.code = "not_json" if _ENDS_LIKE_TEXT.search(found[0]) else None
            if LEFT_OUT.search(found[0]):
                self.canon.code = self.canon.code or "value_missing"
            self.effort.rewrites -= 2
            self._put(" ", at, found[0], "", "comment")
            return found.end()
        if char in _PUNCTUATION:
            mark = _PUNCTUATION[char]
            reason = {",": "wrong comma", ":": "wrong colon"}.get(mark, "wrong bracket")
            if char in "()":
                reason = "tuple"
            self._put(mark, at, char, mark, reason)
            return at + 1
        if char == "+" and (joint := _JOINT.match(text, at)) is not None and text_before(text, at) == '"':
            return self._joined(at, joint.end())
        if found := _ARROW.match(text, at):
            self._put(":", at, found[0], ":", "wrong colon")
            return found.end()
        return self._unquoted(at)

    def _comment(self, at: int) -> re.Match[str] | None:
        """Return the comment at ``at``; one without an end is none."""
        for opens, end in self.ends:
            if end < at and self.text.startswith(opens, at):
                return None
        return _COMMENT.match(self.text, at)

    def _unquoted(self, at: int) -> int:
        text = self.text
        if text[at] in _NUMERIC and (found := _NUMBER.match(text, at)):
            return self._number(at, found)
        if found := _LITERAL.match(text, at):
            if found[0].lower() == "undefined":
                self.canon.code = self.canon.code or "value_missing"
            value = _LITERALS.get(found[0].lower(), "null")
            self._put(value, at, found[0], _VALUES[value], "foreign literal")
            return found.end()
        if found := _NOT_FINITE.match(text, at):
            self.canon.code = self.canon.code or "not_finite"
            self._put("null", at, found[0], None, "not finite")
            return found.end()
        if found := _NAME.match(text, at):
            self._put(_quoted(found[1]), at, found[1], found[1], "unquoted key")
            return found.end()
        if found := _DOTS.match(text, at):
            self.canon.code = self.canon.code or "value_missing"
            self._put(" ", at, found[0], None, "left out")
            return found.end()
        return self._bare(at)

    def _number(self, at: int, found: re.Match[str]) -> int:
        spelled = found[0]
        if spelled[0] == "." and len(spelled) < _LONG_NUMBER:
            piece = f"0{spelled}"
            self._put(piece, at, spelled, float(piece), "odd number")
            return found.end()
        digits = spelled.replace("_", "").lstrip("+")
        if found["hex"]:
            piece = str(int(spelled, 16))
        elif len(digits) > 4300:
            piece, self.canon.code = "0", self.canon.code or "huge_number"
        else:
            negative, digits = digits.startswith("-"), digits.lstrip("-")
            whole, dot, rest = digits.partition(".")
            if not dot:
                whole, mark, rest = _exponent(digits)
                piece = (whole.lstrip("0") or "0") + mark + rest
            else:
                piece = (whole.lstrip("0") or "0") + "." + (rest if rest[:1].isdigit() else "0" + rest)
            piece = "-" + piece if negative else piece
        if len(spelled) == 3 and spelled[0] == "0" and text_before(self.text, at).isdigit():
            self.canon.code = self.canon.code or "not_json"  # "12 000": one number in groups, or two?
        if "_" in spelled:
            self.canon.coerced.append((self.size, self.size + len(piece), spelled))
        self._put(piece, at, spelled, _number_of(piece), "odd number")
        return found.end()

    def _bare(self, at: int) -> int:
        self.effort.rewrites -= 2
        found = _BARE.match(self.text, at)
        if found is None or (at and self.text[at - 1] in "\"'`”’") or self.text[found.end() : found.end() + 1] == '"':
            self.canon.tangled = True
            return at
        words = found[0].rstrip()
        end = at + len(words)
        if LEFT_OUT.search(words) and words not in self.words:
            self.canon.code = self.canon.code or "value_missing"
        piece = json.dumps(words)
        if words not in self.words:
            self.canon.coerced.append((self.size, self.size + len(piece), words))
        self._put(piece, at, words, words, "unquoted text")
        return end

    def _string(self, at: int) -> int:
        found = _STRING.match(self.text, at)
        if found is None:
            self.canon.tangled = True
            return at
        follows = self.text[found.end() : found.end() + 1]
        if self.text.startswith('"""', at):
            close = self.text.find('"""', at + 3)
            if close > 0:
                return self._decoded(at, close + 3, self.text[at + 3 : close], '"""')
        if follows and (follows.isalnum() or follows in "_$'\\"):
            self.canon.tangled = True
            return at
        if strings.is_clean(found[0]):
            self._add(found[0], at)
            return found.end()
        return self._decoded(at, found.end(), found[0][1:-1], '"')

    def _is_hard_wrapped(self, end: int) -> bool:
        """Return whether a line break inside a text may be none of its own: a name ends at ``end``, or all are cut."""
        if self.wrapped is None:
            self.wrapped = _is_cut_into_lines(self.text.strip("\n"))
        return self.wrapped or _NAME_ENDS.match(self.text, end) is not None

    def _quoted(self, at: int) -> int:
        simple = strings.SIMPLE[self.text[at]].match(self.text, at)
        if simple is not None:
            self.canon.notes.append((self.size, simple[0][:-1][:80], simple[1][:80], "wrong quotes"))
            self._add(f'"{simple[1]}"', at)
            return simple.end()
        end = strings.closing(self.text, at)
        if end < 0:
            self.canon.tangled = True
            return at
        return self._decoded(at, end + 1, self.text[at + 1 : end], self.text[at])

    def _joined(self, at: int, opens: int) -> int:
        """Join the text that opens behind a plus to the one before it, and return the index after it."""
        while not self.parts[-1].strip():
            self.size -= len(self.parts.pop())
        number, last = len(self.parts), self.parts[-1]
        self.parts[-1] = last.rstrip()[:-1]
        self.size += len(self.parts[-1]) - len(last)
        self.canon.notes.append((self.size, self.text[at:opens][:80], "", "joined texts"))
        end = self._string(opens)
        if not self.canon.tangled:
            self.parts[number] = self.parts[number][1:]
            self.size -= 1
            self.canon.locations.append((self.size, end))
        return end

    def _decoded(self, at: int, end: int, raw: str, quote: str) -> int:
        value, slips, code = strings.decode(raw, quote)
        if code:
            self.canon.code = self.canon.code or code
        piece = json.dumps(value)
        for slip in slips:
            self.canon.notes.append((self.size, (quote + raw)[:80], value[:80], slip))
        if "raw control character" in slips and "\n" in raw and self._is_hard_wrapped(end):
            self.canon.code = self.canon.code or "not_json"  # a line break of the text, or of whoever wrapped it?
        if "wrong escape" in slips and quote == '"':
            for other in strings.with_quotes_escaped(raw):
                spelled = json.dumps(strings.decode(other, quote)[0])
                self.canon.doubts.append(TextChange(self.size, self.size + len(piece), spelled, "wrong mark"))
        self._add(piece, at)
        return end


def _is_cut_into_lines(text: str) -> bool:
    """Return whether a text is cut into lines of one length, three or more; the first and last may be shorter."""
    sizes = list(map(len, text.split("\n")))
    if len(sizes) < 3 or len(set(sizes[1:-1])) > 1:
        return False
    width = sizes[1]
    return sizes[-1] <= width and (sizes[0] == width or (sizes[0] < width and len(sizes) > 3))


def _quoted(name: str) -> str:
    return f'"{name}"' if name.isascii() else json.dumps(name)


def _number_of(piece: str) -> int | float:
    return float(piece) if "." in piece or "e" in piece or "E" in piece else int(piece)


def text_before(text: str, at: int) -> str:
    """Return the last character before a place that is no white space; looks at 40 characters."""
    return text[max(0, at - 40) : at].rstrip()[-1:]


def _exponent(digits: str) -> tuple[str, str, str]:
    for mark in "eE":
        whole, found, rest = digits.partition(mark)
        if found:
            return whole, found, rest
    return digits, "", ""
