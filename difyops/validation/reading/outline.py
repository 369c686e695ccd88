"""The outer structure of an answer: where its values stand, and whether all that is around them is explained.

What is not a value must be prose, a fence, a citation, a stamp of a log, a tag, or reasoning. Brackets, names, entities
or half structures outside a value leave the answer unexplained: then the value reaches from the first of them to the
last, and is read as one broken text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from difyops.validation.reading import strict
from difyops.validation.reading.grammar import OPEN_ARRAY
from difyops.validation.reading.lenient import is_strict
from difyops.validation.reading.model import EnforceOptions, RefusedText
from difyops.validation.reading.reasoning import may_hold_reasoning, without_reasoning
from difyops.validation.reading.tokens import Tokens, split_known
from difyops.validation.reading.vocabulary import DECLARES, announces, says_cut

_FENCE = re.compile(r"(?<![^\s:.>])(```+|~~~+)[ \t]*+([\w.+-]*+)[^\S\n]*+(?:\n|(?=[{\[\"]))")
_BRACKET = re.compile(r"(?<!<!\[CDATA)[{\[](?!CDATA\[)")
_INNER = r"[^{}\[\]\"\n]"
_PROSE = re.compile(
    rf"\[(?:[ \d,;–\-]{{1,60}}|{_INNER}{{0,200}})\](?:\([^(){{}}\n]{{0,300}}\))?"  # citation, stamp, link, mark
    rf"|\{{\{{?[^{{}}\[\]\"\n:]{{0,80}}\}}?\}}"  # placeholder
)
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,120}>|<\|[^|<>\n]{1,60}\|>|<!\[CDATA\[|\]\]>")
_HALF = re.compile(
    r"""[{}\[\]]|"[^"\n]{1,80}"\s*:(?!//)|&(?:quot|apos|#34|#39|#x22|#x27);|\\"|\\n\s*"|'\w{1,40}'\s*:"""
)
_GOES_ON = re.compile(r"""\s*(?:[,:"'}\]”=]|=>)""")
_END_OF_CDATA = re.compile(r"\A\s*\]\]>")
_LAST_COMMA = re.compile(r"\s*,\s*\Z")
_TEXT_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*(?:(")|\\?\Z)|[{}\[\]]', re.DOTALL)
_ANY_BRACKET = re.compile(r"[{}\[\]]")
_TEXT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET_CODE = re.compile(rb"[\x00-\x03]")
_STARTS_LIKE_JSON = re.compile(
    r"""\s*(?:[{\[}\],:]|"\s*"[^"\n]{0,200}"\s*:|"[^"\n]{0,200}"\s*:|'[^'\n]{0,200}'\s*:|“[^”\n]{0,200}”\s*:|\(\s*["'(\d\-])"""
)
_SCALAR = r'(?:-?\d[\d.eE+-]{0,40}|true|false|null|"[^"\n]{0,200}")\s*'
_ITEMS = re.compile(rf"\s*(?:{_SCALAR},\s*)+\Z")
_STARTS_LIKE_ITEMS = re.compile(rf"\s*{_SCALAR}[,\]]")
_TUPLE = re.compile(r"""\s*\(\s*["'(\d-]""")
_DOTS = ("...", "…", "....", "(...)", "[...]")
_CLOSERS = re.compile(r"[}\])]")
_LAST_FENCE = re.compile(r"(?:```+|~~~+)[ \t]*[\w.+-]*\s*\Z")
_MOST_PIECES = 2_000
_MOST_TRIES = 4_000
"""So often strict JSON is looked for at a bracket."""
_MAY_BE_STRICT = re.compile(r"\{\s*[\"}]|\[\s*[\[{\"\-\dtfn\]NI]")
_MOST_FENCES = 200
_LONGEST_SOLE = 4_000


@dataclass(slots=True)
class Piece:
    """A value in an answer: read already where it is strict JSON, else a text to be mended."""

    start: int
    end: int
    value: object = None
    broken: bool = True
    code: str | None = None
    declared: bool = False
    """The words before it say that it is the one that counts."""
    tokens: Tokens | None = None
    """Those of the text, where they are known and the value begins it."""
    citation: bool = False
    """It may be a mark in prose, like ``[1]``: an answer only if the schema accepts it."""


@dataclass(slots=True)
class Outline:
    """The values of an answer in order, and what is wrong around them."""

    pieces: list[Piece] = field(default_factory=list)
    code: str | None = None
    talk: list[tuple[int, int]] = field(default_factory=list)
    only_reasoning: bool = False


def outline(text: str, options: EnforceOptions) -> Outline:
    """Return the outline of an answer."""
    begin, blocks = without_reasoning(text)
    found = Outline()
    if begin:
        found.talk.append((0, begin))
    found.talk += blocks
    edges = [begin, *(edge for block in blocks for edge in block), len(text)]
    parts = [(edges[i], edges[i + 1]) for i in range(0, len(edges), 2)]
    found.only_reasoning = bool(begin or blocks) and not any(text[a:b].strip() for a, b in parts)
    for start, end in parts:
        for region in _regions(text, start, end):
            if region[2]:
                found.talk.append((text.rfind("\n", start, region[0] - 1) + 1, region[0]))
            _Region(text, *region, options, found).read()
            if len(found.pieces) > _MOST_PIECES:
                found.code = "too_complex"
                return found
    if found.pieces and not found.pieces[-1].citation and announces(text[found.pieces[-1].end :]):
        found.code = found.code or "truncated"
    return found


def _regions(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the parts of a text in and outside of fences: start, end, and whether it is a fence's content."""
    at = start
    fences = 0
    while (opens := _next_fence(text, at, end)) is not None:
        body = opens.end()
        fences += 1
        if fences > _MOST_FENCES or _inside_value(text, at, opens.start()):
            break
        closes = re.compile(rf"(?m)^[ \t]*{opens[1]}[ \t]*$|{opens[1]}(?=\s*(?:\Z|\n))").search(text, body, end)
        stop = closes.start() if closes else end
        if closes and _open_text(text, body, stop):
            later = text.rfind(opens[1], stop + 3, end)
            if later > 0 and not _open_text(text, body, later):
                stop = later
        if text[at : opens.start()].strip():
            yield at, opens.start(), False
        yield body, stop, True
        at = min(end, stop + len(opens[1]) if closes else end)
    if text[at:end].strip():
        yield at, end, False


def _next_fence(text: str, at: int, end: int) -> re.Match[str] | None:
    """Return the next mark that opens a fence."""
    for mark in "```", "~~~":
        if text.find(mark, at, end) >= 0:
            return _FENCE.search(text, at, end)
    return None


def _open_text(text: str, start: int, stop: int) -> bool:
    return (text.count('"', start, stop) - text.count('\\"', start, stop)) % 2 == 1


def _inside_value(text: str, start: int, at: int) -> bool:
    """Return whether a fence that opens at ``at`` stands inside a value that began before it."""
    first = _BRACKET.search(text, start, at)
    return first is not None and not _PROSE.match(text, first.start()) and _open_text(text, first.start(), at)


class _Region:
    """One part of an answer that is read by itself."""

    def __init__(self, text: str, start: int, end: int, fenced: bool, options: EnforceOptions, found: Outline) -> None:
        self.text, self.start, self.end, self.fenced = text, start, end, fenced
        self.options = options
        self.found = found
        body = text[start:end]
        self.tries = 0
        self.first = start + len(body) - len(body.lstrip())
        self.last = start + len(body.rstrip())

    def read(self) -> None:
        """Add the values of the region to the outline."""
        pieces = self._pieces()
        if not self._explained(pieces):
            whole = self._whole()
            if whole is None:
                if not self.fenced or pieces:
                    self.found.code = self.found.code or "not_json"
                pieces = []
            else:
                pieces = [whole]
                if not self._explained(pieces):
                    whole.code = "not_json"
        if not pieces and _TUPLE.match(self.text, self.start):
            pieces = [piece for piece in [self._whole()] if piece is not None and self._explained([piece])]
        if not pieces and self.fenced:
            scalar = self._scalar()
            pieces = [scalar] if scalar else []
        self._talk(pieces)
        self.found.pieces += pieces

    def _pieces(self) -> list[Piece]:
        """Return the values one after the other; one that has no end is the last."""
        text, at = self.text, self.start
        pieces: list[Piece] = []
        while (bracket := _BRACKET.search(text, at, self.end)) is not None and self.tries <= _MOST_TRIES:
            start = bracket.start()
            piece = self._strict(start)
            prose = _PROSE.match(text, start, self.end)
            if piece is not None and prose is not None and not self.fenced and not self._is_all(prose):
                piece.citation = text[start] == "[" and prose.end() >= piece.end
            if piece is None:
                if prose is not None and not self._is_all(prose):
                    at = prose.end()
                    continue
                end = _balanced(text, start, self.end)
                if end < 0:
                    pieces.append(Piece(start, self._last(start)))
                    break
                piece = Piece(start, end)
            pieces.append(piece)
            at = piece.end
            if len(pieces) > _MOST_PIECES:
                break
        if self.tries > _MOST_TRIES:
            self.found.code = "too_complex"
        return pieces

    def _is_all(self, prose: re.Match[str]) -> bool:
        """Return whether a bracket of prose is all there is in the region."""
        return prose.start() == self.first and prose.end() == self.last

    def _strict(self, start: int) -> Piece | None:
        if _MAY_BE_STRICT.match(self.text, start) is None:
            return None
        self.tries += 1
        try:
            value, end = strict.scan_inside(self.text, start, self.options)
        except RefusedText as error:
            if error.code in ("duplicate_keys", "not_finite", "lone_surrogate", "huge_number"):
                return None
            return Piece(start, self.end, code=error.code)
        except ValueError:
            return None
        return Piece(start, end, value, broken=False) if end <= self.end else None

    def _scalar(self) -> Piece | None:
        body = self.text[self.start : self.end]
        start = self.start + len(body) - len(body.lstrip())
        try:
            value = strict.loads(body, self.options)
        except (RefusedText, ValueError):
            return None
        return Piece(start, self.start + len(body.rstrip()), value, broken=False)

    def _whole(self) -> Piece | None:
        """Return all that looks like JSON as one broken value."""
        text = self.text
        body = text[self.start : self.end]
        if _STARTS_LIKE_JSON.match(body) or _STARTS_LIKE_ITEMS.match(body):
            start = self.start + len(body) - len(body.lstrip())
        else:
            start = -1
            at = self.start
            while (bracket := _BRACKET.search(text, at, self.end)) is not None:
                prose = _PROSE.match(text, bracket.start(), self.end)
                if prose is None:
                    start = bracket.start()
                    break
                at = prose.end()
            if start < 0:
                return None
        return Piece(start, self._last(start))

    def _last(self, start: int) -> int:
        """Return where a broken value ends: behind its last bracket, or where the region ends if it is cut."""
        last = max(self.text.rfind(mark, start, self.end) for mark in "}])")
        tail = self.text[last + 1 : self.end].strip(" \t\r\n")
        if last >= start and tail and not _is_open_behind(self.text, last + 1, self.end):
            return last + 1
        return self.end

    def _explained(self, pieces: list[Piece]) -> bool:
        at, first = self.start, True
        for piece in pieces:
            gap = self.text[at : piece.start]
            if not (_LAST_COMMA.fullmatch(gap) and not first) and not _is_prose(gap, first=first):
                return False
            at, first = piece.end, piece.citation
        tail = self.text[at : self.end]
        if pieces and _LAST_COMMA.fullmatch(tail):
            return True
        return _is_prose(tail, first=first)

    def _talk(self, pieces: list[Piece]) -> None:
        at = self.start
        for piece in [*pieces, Piece(self.end, self.end)]:
            gap = self.text[at : piece.start]
            if gap.strip():
                self.found.talk.append((at, piece.start))
                if (self.found.pieces or (pieces and at != self.start)) and may_be_cut(gap):
                    self.found.code = self.found.code or "truncated"
            before = gap if gap.strip() else self._before(at) if at == self.start else gap
            piece.declared = DECLARES.search(_LAST_FENCE.sub("", before[-200:])[-150:]) is not None
            at = piece.end

    def _before(self, at: int) -> str:
        return self.text[max(0, at - 200) : at] if self.fenced else ""


def may_be_cut(gap: str) -> bool:
    """Return whether words behind a value say that a part of it is not there."""
    return gap.strip() in _DOTS or says_cut(gap[:2_000])


def _is_open_behind(text: str, start: int, end: int) -> bool:
    """Return whether what follows the last bracket still looks like JSON: a cut value, not prose."""
    return _HALF.search(text, start, end) is not None or _GOES_ON.match(text[start:end]) is not None


def _is_prose(gap: str, *, first: bool) -> bool:
    """Return whether a text between values is explained; ``first``: no value stands before it."""
    if not gap.strip():
        return True
    if not first and _GOES_ON.match(_END_OF_CDATA.sub("", gap)):
        return False
    if first and gap.rstrip()[-1:] == "," and (gap.lstrip()[0] == '"' or _ITEMS.match(gap)):
        return False  # the beginning of a list whose bracket is lost
    return _HALF.search(_PROSE.sub(" ", _TAG.sub(" ", gap))) is None


def _balanced(text: str, start: int, end: int) -> int:
    """Return where the brackets that open at ``start`` are all closed, -1 when they are not."""
    level = 0
    for found in _TEXT_OR_BRACKET.finditer(text, start, end):
        mark = found[0]
        if mark in "{[":
            level += 1
        elif mark in "}]":
            level -= 1
            if level <= 0:
                return found.end()
        elif found[1] is None:  # a quote without another: no text ends behind it, so it is passed over
            return _balanced_behind(text, found.start() + 1, end, level)
    return -1


def _balanced_behind(text: str, start: int, end: int, level: int) -> int:
    for found in _ANY_BRACKET.finditer(text, start, end):
        level += 1 if found[0] in "{[" else -1
        if level <= 0:
            return found.end()
    return -1


def sole_piece(text: str, options: EnforceOptions) -> Piece | None:
    """Return the broken value that a text is from its first bracket to its last, where nothing else can be in it."""
    start = len(text) - len(text.lstrip())
    if text[start : start + 1] not in ("{", "[") or len(text) > _LONGEST_SOLE or may_hold_reasoning(text):
        return None
    if "```" in text or "~~~" in text or text.count("[") + text.count("{") > options.max_depth:
        return None
    end = len(text.rstrip())
    tokens = split_known(text) if is_strict(text) else None
    if tokens is None:
        closed = end if _closes_at_end(text) else _balanced(text, start, end)
    else:
        number = _closing(tokens.codes)
        closed = -1 if number < 0 else tokens.ends[number]
        tokens = None if start else tokens
    if closed == end:
        return Piece(start, end, tokens=tokens)
    if text[end - 1] in "}]" and (closed < 0 or not text[closed:].strip("}] \t\r\n")):
        return Piece(start, len(text), tokens=tokens)
    return None


def _closes_at_end(text: str) -> bool:
    """Return whether the first bracket of a text is closed by the last, as far as its quotes tell; "yes" is certain."""
    bare = _TEXT.sub("", text)
    if '"' in bare or bare.rstrip()[-1:] not in ("}", "]"):
        return False
    brackets = _ANY_BRACKET.findall(bare)
    level = 0
    for bracket in brackets[:-1]:
        level += 1 if bracket in "{[" else -1
        if level <= 0:
            return False
    return level == 1


def _closing(codes: bytes) -> int:
    """Return the number of the token that closes all that was opened, -1 when none does."""
    level = 0
    for found in _BRACKET_CODE.finditer(codes):
        level += 1 if codes[found.start()] <= OPEN_ARRAY else -1
        if level <= 0:
            return found.start()
    return -1
