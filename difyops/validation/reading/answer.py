"""An answer to its reading: strict JSON at once, everything else by the reader."""

from __future__ import annotations

from dataclasses import replace

from difyops.validation.reading import strict
from difyops.validation.reading.echo import is_plain
from difyops.validation.reading.edits import locator
from difyops.validation.reading.found import ValueFound
from difyops.validation.reading.model import OUTSIDE, STRICT, EnforceOptions, Judge, Reading, RefusedText
from difyops.validation.reading.reader import MOST_LAYERS, TextReader


class UnreadText:
    """A text that is not strict JSON, or that is but not the answer as it stands: ``read`` goes on with it."""

    __slots__ = ("_judge", "_options", "_refused", "_text", "_value")

    def __init__(
        self, text: str, judge: Judge, options: EnforceOptions, value: object, refused: RefusedText | None
    ) -> None:
        self._text, self._judge, self._options = text, judge, options
        self._value, self._refused = value, refused

    def read(self) -> Reading:
        """Return the value that the text decides on, or why there is none."""
        text, options, error = self._text, self._options, self._refused
        reader = TextReader(self._judge, options, len(text))
        if error is not None and (error.code not in ("duplicate_keys", "not_finite") or not options.repair):
            return Reading(False, code=error.code, message=error.message)
        if error is not None or self._value is _NO_JSON:
            return _ended(reader.read(text), options)
        found = reader.of_value(self._value, MOST_LAYERS, locator(text, 0, None))
        found.valid = [option if option.edits else replace(option, rung=STRICT) for option in found.valid]
        return _ended(found, options)


_NO_JSON = object()


def at_once(text: str, judge: Judge, options: EnforceOptions) -> object:
    """Return the value of a text that is strict JSON, satisfies the schema and is plain data, else ``UnreadText``."""
    try:
        value = strict.loads(text, options, mends=True)
    except RefusedText as error:
        return UnreadText(text, judge, options, _NO_JSON, error)
    except ValueError:
        return UnreadText(text, judge, options, _NO_JSON, None)
    if judge.accepts(value) and is_plain(value, judge):
        return value
    return UnreadText(text, judge, options, value, None)


def read(text: str, judge: Judge, options: EnforceOptions) -> Reading:
    """Return the value of an answer that satisfies the schema and that the text decides on, or why there is none."""
    value = at_once(text, judge, options)
    return value.read() if type(value) is UnreadText else Reading(True, value)


def _ended(found: ValueFound, options: EnforceOptions) -> Reading:
    if found.valid:
        option = found.valid[0]
        most = options.max_edits
        if most is not None and (repairs := sum(edit.reason not in OUTSIDE for edit in option.edits)) > most:
            message = f"It needs {repairs} edits; {most} are allowed."
            return Reading(False, edits=option.edits, code="too_many_edits", message=message)
        return Reading(True, option.value, option.edits, option.rung)
    failing = tuple(found.failing)
    return Reading(
        False,
        edits=found.edits,
        code=found.code or ("violates" if failing else "not_json"),
        message=found.message,
        failing=failing,
        rivals=found.rivals,
    )
