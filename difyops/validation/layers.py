"""All readings of a text, also of the texts inside it: JSON encoded twice, the arguments of a tool call, an envelope.

A wrapping is opened only when the value as it stands does not satisfy the schema and what it holds does.
"""

from __future__ import annotations

from collections.abc import Iterator

from difyops.validation import disguise, strict
from difyops.validation.candidate import Candidate, Groups
from difyops.validation.choice import stands
from difyops.validation.cursor import Note
from difyops.validation.extract import candidates
from difyops.validation.faults import AnswerError
from difyops.validation.judge import Rules
from difyops.validation.verdict import EXTRACT, REPAIR, STRICT

_MOST_LAYERS = 6


def all_readings(text: str, rules: Rules, layers: int = _MOST_LAYERS) -> Groups:
    """Return the candidates of a text; one that fails is replaced by what a known wrapping in it holds."""
    return [
        [inner for candidate in group for inner in opened(candidate, rules, layers)]
        for group in candidates(text, rules)
    ]


def opened(candidate: Candidate, rules: Rules, layers: int = _MOST_LAYERS) -> list[Candidate]:
    """Return the values inside a candidate that satisfy the schema when it does not itself; else the candidate."""
    if candidate.doubt or layers == 0 or rules.schema.accepts(candidate.value):
        return [candidate]
    found = [inner for inner in _inside(candidate, rules, layers) if stands(inner, rules)]
    return found or [candidate]


def other_texts(text: str, rules: Rules) -> Groups:
    """Return the candidates of the texts that this one may stand for: escaped once too often, HTML, a CSV cell."""
    found = []
    for other, reason in disguise.undisguised(text):
        note = Note((), text[:80], other[:80], reason)
        changed = reason != disguise.ENCODED_TWICE
        for candidate in _readings_of(other, rules, 1):
            rung = REPAIR if changed or candidate.rung == REPAIR else EXTRACT
            found.append([candidate._replace(notes=(note, *candidate.notes), rung=rung, inner=True)])
    return found


def _inside(candidate: Candidate, rules: Rules, layers: int) -> Iterator[Candidate]:
    outer = candidate._replace(rung=EXTRACT) if candidate.rung == STRICT else candidate
    if isinstance(outer.value, str):
        yield from _in_text(outer.value, outer, Note((), outer.value[:80], "", disguise.ENCODED_TWICE), (rules, layers))
        return
    for path, value in disguise.inside(outer.value):
        note = Note(path, outer.value, value, "unwrapped")
        if isinstance(value, str):
            yield from _in_text(value, outer, note, (rules, layers))
        else:
            inner = outer._replace(value=value, notes=(*outer.notes, note), inner=True)
            yield from opened(inner, rules, layers - 1)


def _in_text(text: str, outer: Candidate, note: Note, how: tuple[Rules, int]) -> Iterator[Candidate]:
    """Read a text that was a value in the answer."""
    rules, layers = how
    for inner in _readings_of(text, rules, layers - 1):
        rung = REPAIR if REPAIR in (inner.rung, outer.rung) else EXTRACT
        notes = (*outer.notes, note, *inner.notes)
        yield inner._replace(notes=notes, rung=rung, inner=True, start=outer.start, end=outer.end)


def _readings_of(text: str, rules: Rules, layers: int) -> list[Candidate]:
    try:
        value = strict.loads(text, rules.options)
    except AnswerError as error:
        return [Candidate(value=None, doubt=error.code)]
    except ValueError:
        return [candidate for group in all_readings(text, rules, layers) for candidate in group]
    return opened(Candidate(value=value, end=len(text)), rules, layers)
