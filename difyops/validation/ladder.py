"""The ladder: strict parse, find, repair, coerce, and the choice among what was found. ``enforce`` is the whole of it.

One rule decides: a value stands if it satisfies the schema, nothing speaks against how it was read, and no other
reading gives a different value that stands as well. Everything else is a failure with a class of its own.
Pure: no input or output, no clock; the same text and schema give the same verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from difyops.validation import strict
from difyops.validation.candidate import Candidate, Groups, settle_inventions
from difyops.validation.choice import one_for_each_value, standing
from difyops.validation.classify import is_echo, is_echo_of_members
from difyops.validation.coerce import coerced
from difyops.validation.disguise import without_marks
from difyops.validation.extract import without_thinking
from difyops.validation.failure import failure, why_not
from difyops.validation.faults import AnswerError
from difyops.validation.judge import Rules, Schema, compiled
from difyops.validation.layers import all_readings, opened, other_texts
from difyops.validation.nearby import one_edit_away
from difyops.validation.verdict import COERCE, DEFAULTS, EXTRACT, REPAIR, STRICT, Edit, EnforceOptions, Verdict

_NOTHING = "\ufeff\u200b \t\r\n"
_FORBIDDEN = ("duplicate_keys", "not_finite", "lone_surrogate")
_MEMBER = re.compile(r'"([^"\n]{1,80})"\s*:')
_REPAIRABLE = ("duplicate_keys", "not_finite")


def enforce(text: str, schema: Schema | Mapping[str, Any] | bool, *, options: EnforceOptions = DEFAULTS) -> Verdict:
    """Return the value of an answer that satisfies the schema, or say why there is none. Never raises for an answer.

    ``text`` is what the model wrote; ``schema`` a JSON Schema document, or one compiled by ``compile_schema`` (faster).

    Raises:
        ConfigError: the schema cannot be used.
    """
    judge = schema if type(schema) is Schema else compiled(schema)
    try:
        value = strict.loads(text, options)
    except AnswerError as error:
        if error.code not in _REPAIRABLE or not options.repair:
            return failure(error.code, error.message)
        return _climb(text, Rules(judge, options), is_json=True)
    except ValueError:
        return _climb(text, Rules(judge, options), is_json=False)
    if judge.accepts(value) and not is_echo(value, judge.document):
        return Verdict(True, STRICT, value)
    rules = Rules(judge, options)
    found = [opened(Candidate(value=value, end=len(text), rung=STRICT), rules)]
    return _decide(found, _standing(found, rules), text, rules)


def _climb(text: str, rules: Rules, *, is_json: bool) -> Verdict:
    """Judge a text that cannot be taken as it stands. ``is_json``: its syntax is right, a rule forbids its content."""
    if not text.strip(_NOTHING) or not without_thinking(text).strip(_NOTHING):
        return failure("empty")
    if (plain := without_marks(text)) != text:
        verdict = _climb(plain, rules, is_json=False)
        edits = (Edit("", "> ", "", "quote marks"), *verdict.edits)
        return verdict._replace(edits=edits, rung=REPAIR if verdict.ok and verdict.rung == EXTRACT else verdict.rung)
    found = all_readings(text, rules)
    kept = _standing(found, rules)
    if rules.options.repair and not is_json and len(text) <= rules.options.max_repair_chars:
        more = _last_resorts(kept, text, rules)
        if more:
            found, kept = more, _standing(more, rules)
    return _decide(found, kept, text, rules)


def _standing(found: Groups, rules: Rules) -> Groups:
    return [kept for group in found if (kept := standing(group, rules))]


def _last_resorts(kept: Groups, text: str, rules: Rules) -> Groups:
    """Return what can be had by other means, where nothing stands or only readings that swallowed quotes do."""
    if any(not candidate.absorbed for group in kept for candidate in group):
        return []
    if not kept:
        more = other_texts(text, rules)
        if any(standing(group, rules) for group in more):
            return more
    near = one_edit_away(text, rules)
    return [[*(candidate for group in kept for candidate in group), *near]] if near else []


def _decide(found: Groups, kept: Groups, text: str, rules: Rules) -> Verdict:
    """Choose the one value that stands, or say what is wrong. ``kept`` is what stands of ``found``."""
    options = rules.options
    if not kept and options.coerce:
        kept = _standing([[_coerce(candidate, rules) for candidate in group] for group in found], rules)
    if not kept:
        return why_not(found, text, rules)
    if options.pick is not None:
        kept = [kept[0] if options.pick == "first" else kept[-1]]
    values = one_for_each_value([candidate for group in kept for candidate in group])
    if len(values) > 1:
        return failure("ambiguous", f"The answer can be read as {len(values)} values that all satisfy the schema.")
    chosen = values[0]
    if options.pick is None and (rival := _rival(found, chosen, text, rules)) is not None:
        return rival
    if options.max_edits is not None and chosen.repairs > options.max_edits:
        refused = failure("too_many_edits", f"It needs {chosen.repairs} edits; {options.max_edits} are allowed.")
        return refused._replace(edits=chosen.edits())
    return Verdict(ok=True, rung=chosen.rung, value=chosen.value, edits=chosen.edits())


def _rival(found: Groups, chosen: Candidate, text: str, rules: Rules) -> Verdict | None:
    """Return the failure where another answer stands elsewhere that cannot be used: which is meant is not known."""
    others = [c for group in found for c in group if c.start != chosen.start and isinstance(c.value, dict | list)]
    if rules.options.invented == "never" and any(_may_be_answer(other, rules) for other in others):
        return failure("truncated", "The answer holds a valid value, and another one that is cut off.")
    broken = next((other.doubt for other in others if _is_refused(other, chosen)), None)
    if broken is None and _members_left_out(found, chosen, text, rules):
        broken = "not_json"
    if broken is None:
        return None
    return failure("ambiguous", f"The answer holds a valid value, and another one that is refused ({broken}).")


def _may_be_answer(other: Candidate, rules: Rules) -> bool:
    """Return whether a value that is cut off may be what the schema describes: not if no name in it is known there."""
    names = rules.schema.names
    return other.is_cut and not (
        names and isinstance(other.value, dict) and other.value and not names & other.value.keys()
    )


def _is_refused(other: Candidate, chosen: Candidate) -> bool:
    """Return whether a rule forbids a value like the chosen one, or one behind it has parts left out."""
    if other.doubt == "value_missing":
        return other.start > chosen.start and _is_alike(other, chosen)
    return other.doubt in _FORBIDDEN and _is_alike(other, chosen)


def _members_left_out(found: Groups, chosen: Candidate, text: str, rules: Rules) -> bool:
    """Return whether the text behind the value, outside of other values, reads like one that the schema describes."""
    if chosen.inner or not any(note.reason == "text left out" for note in chosen.notes):
        return False
    rest, at = [], chosen.end
    for start, end in sorted((candidate.start, candidate.end) for group in found for candidate in group):
        rest.append(text[at:start])
        at = max(at, end)
    names = _MEMBER.findall("\n".join([*rest, text[at:]]))
    return len(rules.schema.names.intersection(names)) > 1


def _is_alike(one: Candidate, other: Candidate) -> bool:
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        return bool(one.value.keys() & other.value.keys())
    return type(one.value) is type(other.value)


def _coerce(candidate: Candidate, rules: Rules) -> Candidate:
    if settle_inventions(candidate, rules).doubt or is_echo_of_members(candidate.value, rules.schema.document):
        return candidate
    done = coerced(candidate.value, rules)
    if done is None:
        return candidate
    value, notes = done
    return candidate._replace(value=value, notes=(*candidate.notes, *notes), rung=COERCE)
