"""Finding the JSON in an answer: between prose, in fences, after a thinking block.

Every place where an object or array opens outside another one is tried; what was tried is returned with what speaks
against it. Nothing is chosen here: that is the ladder's task, with the schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from difyops.validation import strict
from difyops.validation.candidate import Candidate, Groups
from difyops.validation.cursor import Budget, Note
from difyops.validation.faults import AnswerError
from difyops.validation.judge import Rules
from difyops.validation.repair import readings_at
from difyops.validation.verdict import EXTRACT, REPAIR, EnforceOptions

_MARK = re.compile(
    r"<!\[CDATA\[|[{\[]|[<◁](/?)(?:think|thinking|thought|reasoning)[>▷]"
    r"|<\|channel\|>(?:analysis|commentary)<\|message\|>|(<\|channel\|>final)<\|message\|>",
    re.IGNORECASE,
)
"""Where JSON may begin, and what marks thinking: group 1 or 2 is set where it ends."""
_MOST_PLACES = 2_000
_LOOKS_LIKE_JSON = re.compile(r"""\{\s*["'“][^"'“”\n]*["'”]\s*:|\[\s*[{\["]|\{\s*\\+"|\[\s*\{""")
_FENCE_OPENS = re.compile(r"\s*(```|~~~)[\w-]*")
_TUPLE = re.compile(r"""(?:\A\s*|(?:```|~~~)[\w-]*\s*)(\()\s*["'(\d-]""")
_TUPLE_ENDS = re.compile(r"\s*(?:\Z|```|~~~)")
_EXTRA_CLOSERS = re.compile(r"\s*([}\]][}\]\s]*)(?=\Z|```|~~~|\n|[A-Za-z(])")
_GOES_ON = re.compile(r"""\s*(?:,\s*(?:["'“]|[\w$]+\s*:|\Z)|:)""")
_LAST_COMMA = re.compile(r"\s*,\s*(?:(?:```|~~~)\s*)?\Z")
_IS_A_MEMBER = re.compile(r"""["'”]\s*[:：]\s*\Z""")
_FINAL = re.compile(r"<\|channel\|>final<\|message\|>")
_STRAY_QUOTE = re.compile(r"""[ \t]*"[ \t]*[^\s"'`)}\],;.]""")
_STANDS_APART = re.compile(r"\s*(?:\Z|```|~~~)|[ \t]*\r?\n")
_BEFORE_WORDS = re.compile(r"[^\w\"]*")
_BRACKETS = re.compile(r"[{}\[\]]")
_INK = re.compile(r"\S")
_LONGEST_TALK = 80


def candidates(text: str, rules: Rules) -> Groups:
    """Return the readings of everything in ``text`` that looks like JSON; one group for each place."""
    groups = _groups(text, rules)
    if not groups:
        groups = [group for group in (_fenced_scalar(text, rules.options) or _tuple(text, rules),) if group]
    starts = [group[0].start for group in groups]
    befores = [0, *(max(c.end for c in group) for group in groups)]
    result: Groups = []
    goes_on = False
    for number, group in enumerate(groups):
        following = starts[number + 1] if number + 1 < len(starts) else len(text)
        head = text[befores[number] : group[0].start]
        judged = [_in_context(c, head, text[c.end : max(following, c.end)], text) for c in group]
        result.append([c.doubted("not_json") for c in judged] if goes_on else judged)
        goes_on = goes_on or all(c.doubt == "not_json" for c in judged)
    return result


def _groups(text: str, rules: Rules) -> Groups:
    groups: Groups = []
    damaged = False
    at = 0
    budget = Budget(len(text))
    while (mark := _MARK.search(text, at)) is not None and budget.left > 0:
        at = mark.end()
        if mark[0] not in "{[":
            if mark[1] or mark[2]:
                groups, damaged = [], False
            elif mark[0][:2] != "<!":
                at = _end_of_thinking(text, mark)
            continue
        start = mark.start()
        group = readings_at(text, start, rules, budget)
        if not group:
            damaged = damaged or _LOOKS_LIKE_JSON.match(text, start) is not None
            continue
        groups.append([c.doubted("not_json") for c in group] if damaged else group)
        at = max(candidate.end for candidate in group)
        if len(groups) > _MOST_PLACES:
            budget.left = 0
    if budget.left <= 0:  # what was not read might hold another answer
        return [[candidate.doubted("too_large") for candidate in group] for group in groups]
    return groups


def _end_of_thinking(text: str, mark: re.Match[str]) -> int:
    """Return where the thinking ends; the end of the text when it never does."""
    ends = _FINAL if mark[0].startswith("<|") else re.compile(mark[0][0] + "/" + mark[0][1:], re.IGNORECASE)
    close = ends.search(text, mark.end())
    return len(text) if close is None else close.end()


def without_thinking(text: str) -> str:
    """Return the text after a thinking block that opens it; empty when the thinking never ends."""
    mark = _MARK.match(text.lstrip())
    if mark is None or mark[0] in "{[" or mark[0][:2] == "<!" or mark[1] or mark[2]:
        return text
    stripped = text.lstrip()
    return stripped[_end_of_thinking(stripped, mark) :]


def _fenced_scalar(text: str, options: EnforceOptions) -> list[Candidate]:
    """Read a number, text or literal that stands alone in a fence."""
    opening, whole = _FENCE_OPENS.match(text), text.rstrip()
    if opening is None or not whole.endswith(opening[1]) or opening.end() > len(whole) - 3:
        return []
    start, end = opening.end(), len(whole) - 3
    try:
        value = strict.loads(text[start:end], options)
    except (AnswerError, ValueError):
        return []
    return [Candidate(value=value, start=start, end=end, rung=EXTRACT)]


def _tuple(text: str, rules: Rules) -> list[Candidate]:
    """Read a list in round brackets that is the whole answer, or the whole of a fence."""
    opening = _TUPLE.search(text) if "(" in text else None
    if opening is None:
        return []
    found = readings_at(text, opening.start(1), rules, Budget(len(text)))
    return [candidate for candidate in found if _TUPLE_ENDS.match(text, candidate.end)]


def _in_context(candidate: Candidate, head: str, tail: str, text: str) -> Candidate:
    """Judge a candidate by what stands around it, and note the text that is left out."""
    if candidate.absorbed and _is_open(candidate):
        candidate = candidate.doubted("truncated")  # the quote that seems to end it may be one of those inside
    if not head and not tail:
        return candidate
    notes = list(_talk(candidate, text))
    daring = _is_daring(candidate)
    rung = candidate.rung
    if not daring and (extra := _EXTRA_CLOSERS.match(tail)) is not None:
        notes.append(Note((), extra[1].strip(), "", "extra bracket"))
        rung, tail = REPAIR, tail[extra.end() :]
    tail = tail.removeprefix("]]>")  # the end of CDATA
    goes_on = _GOES_ON.match(tail) and (daring or _is_bent(candidate) or not _LAST_COMMA.match(text, candidate.end))
    is_inside = _IS_A_MEMBER.search(head[-40:]) or _STRAY_QUOTE.match(tail) or (tail.strip() == '"' not in head)
    closers = tail if daring or candidate.notes else _BEFORE_WORDS.match(tail)[0]  # type: ignore[index]  # matches all
    fits = not (is_inside or goes_on or _closes_unopened(closers))
    if fits and daring:
        fits = '"' not in tail and (not _is_open(candidate) or _stands_apart(text, candidate.end))
    if fits and not notes:
        return candidate
    doubt = candidate.doubt or (None if fits else "not_json")
    return candidate._replace(notes=(*candidate.notes, *notes), rung=rung, doubt=doubt)


def _is_daring(candidate: Candidate) -> bool:
    return candidate.absorbed > 0 or any(note.reason == "missing bracket" for note in candidate.notes)


def _is_open(candidate: Candidate) -> bool:
    """Return whether the last bracket is missing; what follows on its line may well belong to the value."""
    return any(note.reason == "missing bracket" and not note.path for note in candidate.notes)


def _stands_apart(text: str, end: int) -> bool:
    """Return whether what follows on the line of a value that was not closed is nothing, or the end of a fence."""
    while end > 0 and text[end - 1].isspace():
        end -= 1
    return _STANDS_APART.match(text, end) is not None


def _is_bent(candidate: Candidate) -> bool:
    return any(note.reason == "wrong bracket" for note in candidate.notes)


def _talk(candidate: Candidate, text: str) -> Iterator[Note]:
    for start, end in ((0, candidate.start), (candidate.end, len(text))):
        if (first := _INK.search(text, start, end)) is not None:
            yield Note((), text[first.start() : min(end, first.start() + _LONGEST_TALK)].strip(), "", "text left out")


def _closes_unopened(tail: str) -> bool:
    level = 0
    for bracket in _BRACKETS.findall(tail):
        level += 1 if bracket in "{[" else -1
        if level < 0:
            return True
    return False
