"""The ladder: strict parse, find, repair, coerce, and the choice among what was found. ``enforce`` is the whole of it.

One rule decides: a value stands if it satisfies the schema, nothing speaks against how it was read, and no other
reading gives a different value that stands as well. Everything else is a failure with a class of its own.
Pure: no input or output, no clock; the same text and schema give the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from difyops.validation import disguise, strict
from difyops.validation.candidate import Candidate, settle_inventions
from difyops.validation.choice import standing, stands
from difyops.validation.classify import is_echo, is_echo_of_members, is_refusal
from difyops.validation.coerce import coerced
from difyops.validation.cursor import Note
from difyops.validation.extract import candidates, without_thinking
from difyops.validation.faults import AnswerError, fault
from difyops.validation.judge import Schema, compiled
from difyops.validation.nearby import one_edit_away
from difyops.validation.places import with_lines
from difyops.validation.verdict import (
    COERCE,
    DEFAULTS,
    EXTRACT,
    FAILED,
    REPAIR,
    STRICT,
    EnforceOptions,
    Verdict,
)

_MOST_LAYERS = 3
_REPAIRABLE = ("duplicate_keys", "not_finite")


def enforce(
    text: str, schema: Schema | Mapping[str, Any] | bool, *, options: EnforceOptions = DEFAULTS
) -> Verdict:
    """Return the value of an answer that satisfies the schema, or say why there is none. Never raises for an answer.

    ``text`` is what the model wrote; ``schema`` a JSON Schema document, or one compiled by ``compile_schema`` (faster).

    Raises:
        ConfigError: the schema cannot be used.
    """
    judge = schema if isinstance(schema, Schema) else compiled(schema)
    try:
        value = strict.loads(text, options)
    except AnswerError as error:
        if error.code not in _REPAIRABLE or not options.repair:
            return _failure(error.code, error.message)
        return _climb(text, judge, options, error)
    except ValueError:
        return _climb(text, judge, options, None)
    if judge.accepts(value) and not is_echo(value, judge.document):
        return Verdict(ok=True, rung=STRICT, value=value)
    whole = Candidate(value=value, end=len(text), rung=STRICT)
    return _decide([[whole]], text, judge, options)


def _climb(text: str, schema: Schema, options: EnforceOptions, strict_fault: AnswerError | None) -> Verdict:
    """Judge a text that is not JSON as it stands."""
    if not text.strip("\ufeff \t\r\n\u200b") or not without_thinking(text).strip():
        return _failure("empty")
    found = _all_readings(text, schema, options, _MOST_LAYERS)
    if options.repair and strict_fault is None and len(text) <= options.max_repair_chars:
        found = _with_last_resorts(found, text, schema, options)
    return _decide(found, text, schema, options)


def _with_last_resorts(
    found: list[list[Candidate]], text: str, schema: Schema, options: EnforceOptions
) -> list[list[Candidate]]:
    """Add what can be had by other means, where nothing stands or only readings that swallowed quotes do."""
    kept = [candidate for group in found for candidate in standing(group, schema, options)]
    if any(not candidate.absorbed for candidate in kept):
        return found
    if not kept:
        more = _other_texts(text, schema, options)
        if any(standing(group, schema, options) for group in more):
            return more
    near = one_edit_away(text, schema, options)
    if not near:
        return found
    return [[*kept, *near]]


def _all_readings(text: str, schema: Schema, options: EnforceOptions, layers: int) -> list[list[Candidate]]:
    """Return the candidates of a text; a candidate that fails is replaced by what a known wrapping in it holds."""
    return [
        [inner for candidate in group for inner in _opened(candidate, schema, options, layers)]
        for group in candidates(text, schema, options)
    ]


def _opened(candidate: Candidate, schema: Schema, options: EnforceOptions, layers: int) -> list[Candidate]:
    """Return the candidate, or the values inside it that satisfy the schema when it does not itself."""
    if candidate.doubt or schema.accepts(candidate.value) or layers == 0:
        return [candidate]
    found = [
        inner for layer in _layers(candidate, schema, options, layers) if stands(inner := layer, schema, options)
    ]
    return found or [candidate]


def _layers(candidate: Candidate, schema: Schema, options: EnforceOptions, layers: int) -> Iterator[Candidate]:
    rung = EXTRACT if candidate.rung == STRICT else candidate.rung
    if isinstance(candidate.value, str):
        note = Note((), candidate.value[:80], "", "encoded twice")
        yield from _inside_text(candidate.value, replace(candidate, rung=rung), note, schema, options, layers)
        return
    for path, value in disguise.inside(candidate.value):
        note = Note(path, candidate.value, value, "unwrapped")
        if isinstance(value, str):
            yield from _inside_text(value, replace(candidate, rung=rung), note, schema, options, layers)
        else:
            inner = replace(candidate, value=value, notes=(*candidate.notes, note), rung=rung, inner=True)
            yield from _opened(inner, schema, options, layers - 1)


def _inside_text(
    text: str, outer: Candidate, note: Note, schema: Schema, options: EnforceOptions, layers: int
) -> Iterator[Candidate]:
    """Read a text that was a value in the answer; what it holds inherits what speaks against the outer candidate."""
    for inner in _read_whole(text, schema, options, layers - 1):
        rung = REPAIR if REPAIR in (inner.rung, outer.rung) else EXTRACT
        notes = (*outer.notes, note, *inner.notes)
        yield replace(inner, notes=notes, rung=rung, inner=True, start=outer.start, end=outer.end)


def _read_whole(text: str, schema: Schema, options: EnforceOptions, layers: int) -> list[Candidate]:
    try:
        value = strict.loads(text, options)
    except AnswerError as error:
        return [Candidate(value=None, doubt=error.code)]
    except ValueError:
        return [candidate for group in _all_readings(text, schema, options, layers) for candidate in group]
    return _opened(Candidate(value=value, end=len(text)), schema, options, layers)


def _other_texts(text: str, schema: Schema, options: EnforceOptions) -> list[list[Candidate]]:
    """Return the candidates of the texts that this one may stand for."""
    found = []
    for other, reason in disguise.undisguised(text):
        note = Note((), text[:80], other[:80], reason)
        rung = EXTRACT if reason == "encoded twice" else REPAIR
        for candidate in _read_whole(other, schema, options, 1):
            best = REPAIR if REPAIR in (rung, candidate.rung) else EXTRACT
            found.append([replace(candidate, notes=(note, *candidate.notes), rung=best, inner=True)])
    return found


# -- the choice ---------------------------------------------------------------------------------------------------


def _decide(found: list[list[Candidate]], text: str, schema: Schema, options: EnforceOptions) -> Verdict:
    """Choose the one value that stands, or say what is wrong."""
    found = [[inner for c in group for inner in _opened(c, schema, options, _MOST_LAYERS)] for group in found]
    groups = [kept for group in found if (kept := standing(group, schema, options))]
    if not groups and options.coerce:
        changed = [[_coerce(candidate, schema, options) for candidate in group] for group in found]
        groups = [kept for group in changed if (kept := standing(group, schema, options))]
    if not groups:
        return _why_not(found, text, schema, options)
    if options.pick is not None:
        groups = [groups[0] if options.pick == "first" else groups[-1]]
    values = {candidate.same_value(): candidate for group in groups for candidate in group}
    if len(values) > 1:
        return _failure("ambiguous", f"The answer holds {len(values)} different values that satisfy the schema.")
    chosen = next(iter(values.values()))
    if options.pick is None and _has_rival(found, chosen, options):
        return _failure("truncated", "The answer holds a valid value, and another one that is cut off.")
    if options.max_edits is not None and chosen.repairs > options.max_edits:
        return replace(
            _failure("too_many_edits", f"The answer needs {chosen.repairs} edits; {options.max_edits} are allowed."),
            edits=chosen.edits(),
        )
    return Verdict(ok=True, rung=chosen.rung, value=chosen.value, edits=chosen.edits())


def _has_rival(found: list[list[Candidate]], chosen: Candidate, options: EnforceOptions) -> bool:
    """Return whether a cut-off value stands beside the chosen one: which of them is the answer is not known."""
    if options.invented != "never":
        return False
    return any(
        all(note.invented for note in candidate.notes if note.reason == "cut off") and candidate.start != chosen.start
        for group in found
        for candidate in group
        if isinstance(candidate.value, dict | list) and any(note.reason == "cut off" for note in candidate.notes)
    )


def _coerce(candidate: Candidate, schema: Schema, options: EnforceOptions) -> Candidate:
    if settle_inventions(candidate, schema, options).doubt or is_echo_of_members(candidate.value, schema.document):
        return candidate
    done = coerced(candidate.value, schema, options)
    if done is None:
        return candidate
    value, notes = done
    return replace(candidate, value=value, notes=(*candidate.notes, *notes), rung=COERCE)


# -- the failure --------------------------------------------------------------------------------------------------


def _failure(code: str, message: str | None = None) -> Verdict:
    return Verdict(ok=False, rung=FAILED, error=code, message=message or fault(code).message)


def _why_not(found: list[list[Candidate]], text: str, schema: Schema, options: EnforceOptions) -> Verdict:
    """Name the failure by the candidate that came closest."""
    everything = [settle_inventions(c, schema, options) for group in found for c in group]
    if not everything:
        return _failure("refusal" if is_refusal(without_thinking(text)) else "not_json")
    if any(_is_echo_at_all(c.value, schema) for c in everything):
        return _failure("schema_echo")
    doubts = [c for c in everything if c.doubt]
    whole = [c for c in everything if not c.doubt]
    if not whole:
        return _failure(_gravest(doubts))
    if any(c.doubt == "truncated" for c in doubts):
        return _failure("truncated")
    closest = min(whole, key=lambda c: (len(schema.violations(c.value)), -c.end))
    found_there = schema.violations(closest.value)
    if closest.inner:
        violations = tuple(violation for _, violation in found_there)
    else:
        violations = with_lines(found_there, text, closest.start, options)
    if not isinstance(closest.value, dict | list) and is_refusal(str(closest.value)):
        return replace(_failure("refusal"), violations=violations)
    first = f" {violations[0].pointer or '/'}: {violations[0].message}" if violations else ""
    return replace(
        _failure("violates", f"The answer does not satisfy the schema.{first}"),
        violations=violations,
        edits=closest.edits(),
    )


def _is_echo_at_all(value: object, schema: Schema) -> bool:
    return is_echo(value, schema.document) or is_echo_of_members(value, schema.document)


def _gravest(doubts: list[Candidate]) -> str:
    """Return the doubt to report: a broken rule before a cut, a cut before the rest."""
    codes = [candidate.doubt for candidate in doubts if candidate.doubt]
    for code in ("too_deep", "too_large", "duplicate_keys", "not_finite", "lone_surrogate", "truncated"):
        if code in codes:
            return code
    return codes[0]
