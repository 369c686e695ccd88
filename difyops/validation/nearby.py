"""The last resort of repair: the one document that is a single bracket or quote away from the text.

Tried only when the text is otherwise strict JSON. Every place where a bracket or quote can be missing, or a bracket
can be too many, is tried; the result stands only if exactly one value that satisfies the schema comes out. Nothing is
added behind the last bracket: what is missing there may have been cut off, which is not for this module to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from difyops.validation import strict
from difyops.validation.candidate import Candidate
from difyops.validation.choice import strangers
from difyops.validation.cursor import Note
from difyops.validation.extract import without_thinking
from difyops.validation.faults import AnswerError
from difyops.validation.judge import Rules
from difyops.validation.verdict import REPAIR

_REGION = re.compile(r"""(?s)\A\s*(?:(?:```|~~~)[\w-]*\s*)?[^\[{"]*(?P<body>["\[{].*[\]}])(?P<rest>.*)\Z""")
_QUIET_REST = re.compile(r"""\s*(?:(?:```|~~~)[^"{}\[\]]*)?\Z""")
_MARK = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\],:"]', re.DOTALL)
_LAST_CLOSERS = re.compile(r"[\s}\]]*\Z")
_WORD_START = re.compile(r"(?<=[\[{,:\s])[^\s\[\]{},:\"]")
_WORD_END = re.compile(r"[^\s\[\]{},:\"](?=\s*[,:}\]\n])")
_OTHER_QUOTE = re.compile(r"['’”“`´]")
_DOUBLED_QUOTE = re.compile(r'(?<!\d)""')
_LONGEST = 8_000
_MOST_TRIES = 1_500

_REASONS = {
    **{(quote, True): "wrong quotes" for quote in "'’”“`´"},
    **{(bracket, True): "missing bracket" for bracket in "{}[]"},
    **{(bracket, False): "extra bracket" for bracket in "{}[]"},
    ('"', True): "missing quote",
    ('"', False): "extra quote",
}

Change = tuple[int, str, str]  # index, what stands there, what should


def one_edit_away(text: str, rules: Rules) -> list[Candidate]:
    """Return the candidates, with different values, that one bracket or quote makes valid."""
    text = without_thinking(text)
    region = _REGION.match(text) if len(text) <= 4 * _LONGEST else None
    if region is None or len(region["body"]) > _LONGEST or not _QUIET_REST.match(region["rest"]):
        return []
    body = region["body"]
    found: dict[str, Candidate] = {}
    for tries, (index, before, after) in enumerate(_changes(body)):
        if tries >= _MOST_TRIES:
            break
        changed = body[:index] + after + body[index + len(before) :]
        try:
            value = strict.loads(changed, rules.options)
        except (AnswerError, ValueError):
            continue
        if not rules.schema.accepts(value) or strangers(value, rules.schema):
            continue
        if _slipped_in(body, index, after):
            return []
        reason = _REASONS[before or after, bool(after)]
        note = Note((), before or _around(body, index), after or _around(changed, index), reason)
        candidate = Candidate(value=value, notes=(note,), rung=REPAIR, inner=True)
        found.setdefault(candidate.same_value(), candidate)
    return list(found.values())


def _around(text: str, index: int) -> str:
    return text[max(0, index - 15) : index + 15]


def _changes(body: str) -> Iterator[Change]:
    """Yield the changes that can balance what is out of balance: one kind of bracket, or the quotes."""
    marks = [(match[0], match.start()) for match in _MARK.finditer(body)]
    bare = [(mark, at) for mark, at in marks if mark == '"']
    last = _LAST_CLOSERS.search(body)
    limit = last.start() if last is not None else len(body)
    if bare:
        yield from _quotes(body, limit)
        return
    for opening, closing in ("{}", "[]"):
        surplus = sum((mark == opening) - (mark == closing) for mark, _ in marks)
        if surplus == 1:
            yield from ((at, "", closing) for at in _after_items(marks, limit))
            yield from ((at, opening, "") for at in _doubled(marks, opening))
        elif surplus == -1:
            yield from ((at, "", opening) for at in _before_items(marks))
            yield from ((at, closing, "") for mark, at in marks if mark == closing and not _joins(body, at))


def _joins(body: str, at: int) -> bool:
    """Return whether taking a bracket away runs two words or numbers together."""
    if body[:at].rstrip().endswith(":"):
        return True  # it stands where a value begins: more likely it took the place of something
    return body[at - 1 : at].isalnum() and body[at + 1 : at + 2] not in ("", *" \t\r\n,]}")


def _quotes(body: str, limit: int) -> Iterator[Change]:
    last_quote = body.rfind('"')
    spots = {match.start() for match in _WORD_START.finditer(body)}
    spots |= {match.end() for match in _WORD_END.finditer(body)}
    yield from ((found.start(), '"', "") for found in _DOUBLED_QUOTE.finditer(body))
    yield from ((at, "", '"') for at in sorted(spots) if at <= min(limit, last_quote))
    yield from ((found.start(), found[0], '"') for found in _OTHER_QUOTE.finditer(body) if body.count(found[0]) == 1)


def _slipped_in(body: str, at: int, added: str) -> bool:
    """Return whether the bracket to add stands inside the text beside it: then that text is in doubt, too."""
    if added in ("}", "]"):
        return body[:at].rstrip().endswith((added + '"',))
    return added in ("{", "[") and body[at:].lstrip().startswith('"' + added)


def _doubled(marks: list[tuple[str, int]], opening: str) -> Iterator[int]:
    """Yield where the same bracket opens twice in a row."""
    for (mark, at), (following, _) in pairwise(marks):
        if mark == following == opening and (at or opening == "{"):
            yield at


def _after_items(marks: list[tuple[str, int]], limit: int) -> Iterator[int]:
    for mark, at in marks:
        if at < limit and mark in ",}]":
            yield at


def _before_items(marks: list[tuple[str, int]]) -> Iterator[int]:
    yield 0
    for mark, at in marks:
        if mark in "[{,:":
            yield at + 1
