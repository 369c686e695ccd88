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
from difyops.validation.judge import Schema
from difyops.validation.verdict import REPAIR, EnforceOptions

_REGION = re.compile(r"""(?s)\A\s*(?:(?:```|~~~)[\w-]*\s*)?[^\[{"]*(?P<body>["\[{].*[\]}])(?P<rest>.*)\Z""")
_QUIET_REST = re.compile(r"""\s*(?:(?:```|~~~)[^"{}\[\]]*)?\Z""")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\],:"]', re.DOTALL)
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


def one_edit_away(text: str, schema: Schema, options: EnforceOptions) -> list[Candidate]:
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
            value = strict.loads(changed, options)
        except (AnswerError, ValueError):
            continue
        if not schema.accepts(value) or strangers(value, schema):
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
    tokens = [(match[0], match.start()) for match in _TOKEN.finditer(body)]
    bare = [(token, at) for token, at in tokens if token == '"']
    last = _LAST_CLOSERS.search(body)
    limit = last.start() if last is not None else len(body)
    if bare:
        yield from _quotes(body, limit)
        return
    for opening, closing in ("{}", "[]"):
        surplus = sum((token == opening) - (token == closing) for token, _ in tokens)
        if surplus == 1:
            yield from ((at, "", closing) for at in _after_items(tokens, limit))
            yield from ((at, opening, "") for at in _doubled(tokens, opening))
        elif surplus == -1:
            yield from ((at, "", opening) for at in _before_items(tokens))
            yield from ((at, closing, "") for token, at in tokens if token == closing and not _joins(body, at))


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


def _doubled(tokens: list[tuple[str, int]], opening: str) -> Iterator[int]:
    """Yield where the same bracket opens twice in a row."""
    for (token, at), (following, _) in pairwise(tokens):
        if token == following == opening and (at or opening == "{"):
            yield at


def _after_items(tokens: list[tuple[str, int]], limit: int) -> Iterator[int]:
    for token, at in tokens:
        if token == "," and at < limit:
            yield at
        elif token in "}]" and at < limit:
            yield at


def _before_items(tokens: list[tuple[str, int]]) -> Iterator[int]:
    yield 0
    for token, at in tokens:
        if token in "[{,:":
            yield at + 1
