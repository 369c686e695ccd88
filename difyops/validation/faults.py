"""The ways an answer can fail, each a class with a stable code. All of them mean "the answer is no" (exit code 5).

AnswerError                  violates         (also the base: the schema does not allow the value)
├── EmptyAnswer              empty            nothing but white space, or only a thinking block
├── RefusedAnswer            refusal          the model declined to answer
├── TruncatedAnswer          truncated        the text ends before the JSON does
├── SchemaEcho               schema_echo      the schema came back instead of data
├── NotJson                  not_json         no JSON that can be read without guessing
├── AmbiguousAnswer          ambiguous        several different values satisfy the schema
├── ValueMissing             value_missing    a member stands there without a value, or was left out ("...")
├── TooManyEdits             too_many_edits   more repairs than allowed
├── DuplicateKeys            duplicate_keys   an object names a member twice
├── NotFinite                not_finite       NaN, Infinity, or a number too large for a double
├── HugeNumber               huge_number      an integer of more than 4,300 digits
├── LoneSurrogate            lone_surrogate   half of a UTF-16 pair: not a character
├── NotText                  not_text         bytes that are not UTF-8
├── BadLine                  bad_line         a line of a batch that is not the JSON it should be
├── TooDeep                  too_deep         more levels of nesting than allowed
├── TooLarge                 too_large        more characters than allowed
├── TooComplex               too_complex      more readings than can be looked at
└── NoAnswer                 no_answer        the run failed, or was never made
"""

from __future__ import annotations

from difyops.errors import AnswerIsNo


class AnswerError(AnswerIsNo):
    """The schema does not allow the value."""

    code = "violates"
    sentence = "The answer does not satisfy the schema."


class EmptyAnswer(AnswerError):
    """The answer holds nothing."""

    code = "empty"
    sentence = "The answer is empty."


class RefusedAnswer(AnswerError):
    """The model declined to answer."""

    code = "refusal"
    sentence = "The model refused to answer."


class TruncatedAnswer(AnswerError):
    """The text ends before the JSON does; what followed is not known."""

    code = "truncated"
    sentence = "The answer is cut off."


class SchemaEcho(AnswerError):
    """The schema, or a part of it, came back instead of data."""

    code = "schema_echo"
    sentence = "The answer repeats the schema instead of filling it."


class NotJson(AnswerError):
    """There is no JSON in the answer, or none that can be read without guessing."""

    code = "not_json"
    sentence = "The answer holds no JSON that can be read without guessing."


class AmbiguousAnswer(AnswerError):
    """Several different values satisfy the schema."""

    code = "ambiguous"
    sentence = "The answer can be read as several different values that satisfy the schema."


class ValueMissing(AnswerError):
    """A member has no value, or elements were left out."""

    code = "value_missing"
    sentence = "The answer leaves a value out."


class TooManyEdits(AnswerError):
    """The answer needs more repairs than allowed."""

    code = "too_many_edits"
    sentence = "The answer needs more edits than allowed."


class DuplicateKeys(AnswerError):
    """An object names the same member twice."""

    code = "duplicate_keys"
    sentence = "An object in the answer names the same member twice."


class NotFinite(AnswerError):
    """NaN, Infinity, or a number that overflows a double."""

    code = "not_finite"
    sentence = "The answer holds NaN, Infinity or a number too large for a double."


class HugeNumber(AnswerError):
    """An integer of more digits than can be read in linear time."""

    code = "huge_number"
    sentence = "The answer holds an integer of more than 4,300 digits."


class LoneSurrogate(AnswerError):
    """Half of a UTF-16 surrogate pair, which no UTF-8 output can carry."""

    code = "lone_surrogate"
    sentence = "The answer holds half of a surrogate pair, which is not a character."


class NotText(AnswerError):
    """The bytes are not UTF-8."""

    code = "not_text"
    sentence = "The answer is not UTF-8 text."


class BadLine(AnswerError):
    """A line of a batch is no JSON, or no form that an answer comes in."""

    code = "bad_line"
    sentence = (
        'The line is not an answer: write {"id": ..., "answer": "the text"}, the text as one JSON string, '
        "or the answer itself as one JSON object."
    )


class NoAnswer(AnswerError):
    """The run failed, or was never made: there is nothing to judge."""

    code = "no_answer"
    sentence = "There is no answer: the run failed or was not made."


class TooDeep(AnswerError):
    """More levels of nesting than allowed."""

    code = "too_deep"
    sentence = "The answer is nested too deeply."


class TooLarge(AnswerError):
    """More characters than allowed."""

    code = "too_large"
    sentence = "The answer is too large to be read."


class TooComplex(AnswerError):
    """More readings, or more steps to find them, than are allowed."""

    code = "too_complex"
    sentence = "The answer is too tangled to be read in bounded time."


_CLASSES: tuple[type[AnswerError], ...] = (AnswerError, *AnswerError.__subclasses__())
_BY_CODE = {cls.code: cls for cls in _CLASSES}


def fault(code: str, message: str | None = None) -> AnswerError:
    """Return the error of the class that carries ``code``, with its own sentence when no message is given."""
    cls = _BY_CODE[code]
    return cls(message or cls.sentence)


def codes() -> tuple[str, ...]:
    """Return every code an answer can fail with."""
    return tuple(_BY_CODE)
