"""Reading an answer: its values found, mended, taken out of envelopes, and the one chosen that the text decides on.

A value stands if it satisfies the schema and is the only such value among the cheapest readings of the whole text.
Everything else is a failure with a class of its own.
"""

from __future__ import annotations

from dataclasses import replace

from difyops.validation.reading import disguise, strict
from difyops.validation.reading.around import in_a_row, talk_around
from difyops.validation.reading.completion import completed
from difyops.validation.reading.echo import is_echo, is_plain, is_rewritten
from difyops.validation.reading.edits import Locate, edits_of, locator, said_of_words
from difyops.validation.reading.effort import Effort, TooMuchEffort
from difyops.validation.reading.envelopes import unwrap
from difyops.validation.reading.envelopes.streams import text_of_stream
from difyops.validation.reading.found import Option, ValueFound, distinct
from difyops.validation.reading.load import key_of, load
from difyops.validation.reading.mend import Mended, changed, mend
from difyops.validation.reading.model import (
    OUTSIDE,
    REPAIR,
    Edit,
    EnforceOptions,
    Failing,
    Judge,
    RefusedText,
    pointer_of,
    shown,
)
from difyops.validation.reading.outline import Outline, Piece, outline, sole_piece
from difyops.validation.reading.shape import holds_members, takes_any_name
from difyops.validation.reading.single import TextChange
from difyops.validation.reading.unfinished import may_lack
from difyops.validation.reading.wrapped import plainly_wrapped

_NOTHING = "\ufeff\u200b \t\r\n"
MOST_LAYERS = 5
_MOST_HELD = 100
_made = tuple.__new__
"""Makes an edit in a third of the time that its constructor takes."""
_LITERALS = {"True": True, "False": False, "None": None, "TRUE": True, "FALSE": False, "NULL": None, "Null": None}


class TextReader:
    """Reads texts for one schema."""

    __slots__ = ("effort", "judge", "options")

    def __init__(self, judge: Judge, options: EnforceOptions, size: int) -> None:
        self.judge = judge
        self.options = options
        self.effort = Effort.for_text(size)

    # -- texts --------------------------------------------------------------------------------------------------

    def read(self, text: str, layers: int = MOST_LAYERS) -> ValueFound:
        """Read a text that is not strict JSON, or whose content a rule forbids."""
        if not text.strip(_NOTHING):
            return ValueFound(code="empty")
        events = text_of_stream(text)
        if events is not None:
            return self._of_events(events, layers)
        plain = self._plainly_wrapped(text)
        if plain is not None:
            return ValueFound(valid=[plain])
        other = disguise.undisguised(text)
        if other is not None and layers:
            return self._of_disguised(text, other, layers)
        sole = sole_piece(text, self.options)
        if sole is not None:
            return self._of_piece(text, sole, layers)
        found = outline(text, self.options)
        if found.only_reasoning:
            return ValueFound(code="empty")
        if found.code:
            return ValueFound(code=found.code, failing=self._values(found))
        if not found.pieces:
            return self._bare(text)
        return self._choose(text, found, layers)

    def _plainly_wrapped(self, text: str) -> Option | None:
        """Return the only value of a text, if it is strict, satisfies the schema, and is no envelope."""
        found = plainly_wrapped(text)
        if found is None:
            return None
        body, around = found
        try:
            value = strict.loads(body, self.options, mends=True)
        except (RefusedText, ValueError):
            return None
        if not self.judge.accepts(value) or not is_plain(value, self.judge):
            return None
        edits = [_made(Edit, ("", shown(part[:80].strip()), "", "text left out", False)) for part in around]
        return Option(value, tuple(edits))

    def _of_events(self, events: tuple[object, bool], layers: int) -> ValueFound:
        content, cut = events
        if cut:
            return ValueFound(code="truncated")
        note = Edit("", "data: …", "", "unwrapped")
        inner = self.read_any(content, layers - 1) if isinstance(content, str) else self.of_value(content, layers - 1)
        return inner.noted(note)

    def _of_disguised(self, text: str, other: tuple[str, str], layers: int) -> ValueFound:
        plain, reason = other
        note = Edit("", shown(text), shown(plain), reason)
        found = self.read_any(plain, layers - 1).noted(note)
        if reason not in OUTSIDE:
            found.valid = [replace(option, rung=REPAIR) for option in found.valid]
        return found

    def read_any(self, text: str, layers: int) -> ValueFound:
        """Read a text that may be strict JSON."""
        try:
            value = strict.loads(text, self.options, mends=True)
        except RefusedText as error:
            if error.code not in ("duplicate_keys", "not_finite"):
                return ValueFound(code=error.code, message=error.message)
        except ValueError:
            pass
        else:
            return self.of_value(value, layers, locator(text, 0, None))
        return self.read(text, layers) if layers > 0 else ValueFound(code="not_json")

    def _values(self, found: Outline) -> list[Failing]:
        return [Failing(piece.value) for piece in found.pieces if not piece.broken]

    def _bare(self, text: str) -> ValueFound:
        """Read a whole answer that is one word: a literal of Python, or a text that the schema lists."""
        word = text.strip(_NOTHING)
        value: object = _LITERALS.get(word, word)
        is_known = word in _LITERALS or word in self.judge.words
        if is_known and self.options.repair and self.judge.accepts(value):
            reason = "foreign literal" if word in _LITERALS else "unquoted text"
            return ValueFound(valid=[Option(value, (Edit("", word, value, reason),), REPAIR)])
        return ValueFound(code="not_json")

    # -- values -------------------------------------------------------------------------------------------------

    def of_value(self, value: object, layers: int, locate: Locate | None = None) -> ValueFound:
        """Judge a value; one that fails is opened when it is an envelope, or JSON in a text."""
        document = self.judge.document
        if is_echo(value, document):
            return ValueFound(code="schema_echo")
        if self.judge.accepts(value):
            return (self._enveloped(value, layers) if layers > 0 else None) or ValueFound(valid=[Option(value)])
        if is_rewritten(value, document):
            return ValueFound(code="schema_echo")
        if layers <= 0:
            return ValueFound(failing=[Failing(value, (), locate)])
        if isinstance(value, str):
            return self._encoded(value, layers) or ValueFound(failing=[Failing(value, (), locate)])
        return self._opened(value, layers) or ValueFound(failing=[Failing(value, (), locate)])

    def _enveloped(self, value: object, layers: int) -> ValueFound | None:
        """Return what is inside a value that satisfies the schema only because the schema says nothing of its members.

        It is an envelope if it has no member that the schema declares, and what it holds has one. Where both have one,
        or neither, and both satisfy the schema, nothing tells which of them is the answer.
        """
        if is_plain(value, self.judge):
            return None
        names = self.judge.names
        opened = None if isinstance(value, str) else unwrap(value, names)
        vague = opened is not None and opened.vague
        if vague and takes_any_name(self.judge.document):
            return None
        found = self._encoded(value, layers) if isinstance(value, str) else self._opened(value, layers)
        if found is None:
            return None
        outside = isinstance(value, dict) and not names.isdisjoint(value)
        inside = self._declares_any(found)
        if not outside and (inside or (opened is not None and opened.cut)):
            return found
        if vague or not found.valid or outside != inside:
            return None
        return ValueFound(code="ambiguous", rivals=(value, found.valid[0].value))

    def _declares_any(self, found: ValueFound) -> bool:
        """Return whether any of the values has a member that the schema declares."""
        inner = [option.value for option in found.valid] + [failing.value for failing in found.failing]
        return any(self._is_like(one) for one in inner)

    def _encoded(self, text: str, layers: int) -> ValueFound | None:
        """Return what a text holds that is JSON itself, where the schema wants members."""
        if text.lstrip()[:1] not in ("{", "[", '"') or not holds_members(self.judge.document):
            return None
        inner = self.read_any(text, layers - 1)
        if not inner.valid or any(option.leaves_out for option in inner.valid):
            return None
        return inner.noted(Edit("", shown(text), "", "encoded twice"))

    def _opened(self, value: object, layers: int) -> ValueFound | None:
        """Return what an envelope holds; ``None`` when the value is none."""
        opened = unwrap(value, self.judge.names)
        if opened is None:
            return None
        if opened.cut:
            return ValueFound(code="truncated", message="The model ran out of tokens: the envelope says so.")
        result = ValueFound()
        for path, content in opened.contents:
            note = Edit(pointer_of(path), shown(value), shown(content), "unwrapped")
            is_text = isinstance(content, str)
            inner = self.read_any(str(content), layers - 1) if is_text else self.of_value(content, layers - 1)
            inner.noted(note)
            result.valid += inner.valid
            result.failing += [failing._replace(locate=None) for failing in inner.failing]
            if inner.code not in (None, "not_json", "empty"):
                result.code = result.code or inner.code
                result.message, result.rivals = inner.message, inner.rivals
        if result.code and result.valid and result.code != "schema_echo":
            result.valid = []
        if not result.valid and not result.failing and not result.code:
            return ValueFound(failing=[Failing(value)])
        if self.options.pick is not None and result.valid:
            result.valid = [result.valid[0] if self.options.pick == "first" else result.valid[-1]]
        several = distinct(result.valid)
        if len(several) > 1:  # several choices, or several calls
            return ValueFound(code="ambiguous", rivals=tuple(option.value for option in several))
        return result

    # -- the choice ---------------------------------------------------------------------------------------------

    def _choose(self, text: str, found: Outline, layers: int) -> ValueFound:
        pieces = found.pieces
        if len(pieces) > 1:
            real = [piece for piece in pieces if not piece.citation or self.judge.accepts(piece.value)]
            pieces = real or pieces
        marked = [number for number, piece in enumerate(pieces) if piece.declared]
        if marked and len(pieces) > 1:
            pieces = [pieces[marked[-1]]]
        each = [self._of_piece(text, piece, layers) for piece in pieces]
        row = (
            in_a_row(text, pieces, self.judge, self.options)
            if len(pieces) > 1 and not any(one.valid for one in each)
            else None
        )
        talk = talk_around(text, found, pieces)
        if row is not None:
            return ValueFound(valid=[row]).noted(*talk)
        result = self._settled(pieces, each)
        return result.noted(*talk)

    def _held_by(self, failing: list[Failing]) -> list[Option]:
        """Return what would satisfy the schema among the items or members of values that do not."""
        held: list[object] = []
        for fail in failing:
            value = fail.value
            held += value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        return [Option(one) for one in held[:_MOST_HELD] if isinstance(one, dict | list) and self.judge.accepts(one)]

    def _settled(self, pieces: list[Piece], each: list[ValueFound]) -> ValueFound:
        """Return the one value that stands, or why none does."""
        valid = [option for one in each for option in one.valid]
        failing = [fail for one in each for fail in one.failing]
        blocked = next((one for one in each if one.code), None)
        if self.options.pick is not None and valid:
            return ValueFound(valid=[valid[0] if self.options.pick == "first" else valid[-1]])
        several = distinct(valid)
        if not several:
            if blocked is not None:
                return ValueFound([], failing, blocked.code, blocked.message, blocked.rivals, blocked.edits)
            return ValueFound(failing=failing)
        if len(several) > 1:
            return ValueFound(code="ambiguous", rivals=tuple(option.value for option in several))
        if blocked is not None and blocked.code != "schema_echo":
            code = "truncated" if blocked.code == "truncated" else "ambiguous"
            message = f"The answer holds a valid value, and another one that is refused ({blocked.code})."
            return ValueFound(code=code, message=message, rivals=tuple(option.value for option in several))
        held = self._held_by(failing) if len(each) > 1 else []
        if len(distinct([*several, *held])) > 1:
            return ValueFound(code="ambiguous", rivals=(several[0].value, held[0].value))
        last = each[-1]
        if last.failing and not last.valid and self._is_like(last.failing[-1].value):
            return ValueFound(failing=last.failing)
        return ValueFound(valid=several)

    def _is_like(self, value: object) -> bool:
        """Return whether a value that fails may be meant as the answer: it has a name that the schema declares."""
        return isinstance(value, dict) and bool(self.judge.names & value.keys())

    # -- pieces -------------------------------------------------------------------------------------------------

    def _of_piece(self, text: str, piece: Piece, layers: int) -> ValueFound:
        if piece.code:
            return ValueFound(code=piece.code)
        locate = locator(text, piece.start, None)
        if not piece.broken:
            return self.of_value(piece.value, layers, locate)
        if not self.options.repair:
            return ValueFound(code="not_json")
        body = text[piece.start : piece.end]
        if len(body) > self.options.max_repair_chars:
            return ValueFound(code="too_large")
        return self._mended(text, piece, body, layers)

    def _mended(self, text: str, piece: Piece, body: str, layers: int) -> ValueFound:
        try:
            found = mend(body, self.judge.words, self.effort, piece.tokens)
        except TooMuchEffort:
            return ValueFound(code="too_complex")
        code = found.code or self._forbidden(found)
        if code is not None:
            if self.options.invented != "never" and code in ("truncated", "value_missing"):
                return self._invented(body, code)
            return ValueFound(code=code)
        if not self.effort.judges(len(found.ways) * len(found.base)):
            return ValueFound(code="truncated" if found.unfinished else "too_complex")
        result = self._judged(found, locator(text, piece.start, found), layers)
        if result.code == "truncated" and self.options.invented != "never":
            return self._invented(body, "truncated")
        return result

    def _forbidden(self, found: Mended) -> str | None:
        code = found.canon.code
        if code == "not_finite" and self.options.not_finite == "null":
            return None
        return code

    def _judged(self, found: Mended, locate: Locate, layers: int) -> ValueFound:
        """Judge every cheapest reading; those that violate the schema are dropped, and one may be left."""
        ways: dict[str, list[list[TextChange]]] = {}
        for way in found.ways:
            ways.setdefault(changed(found.base, way), []).append(way)
        values: dict[bytes, list[list[TextChange]]] = {}
        valid: list[tuple[Option, list[list[TextChange]]]] = []
        failing: list[tuple[object, list[TextChange], str, list[str]]] = []
        result, is_json = ValueFound(), False
        for final, same in ways.items():
            try:
                value, repeated = load(final, self.options)
            except RefusedText as error:
                result.code, result.message = result.code or error.code, error.message
                continue
            except ValueError:
                continue
            is_json = True
            if len(ways) > 1:
                known = values.setdefault(key_of(value), same)
                if known is not same:
                    known += same
                    continue
            inner = self.of_value(value, layers - 1)
            failing += [(fail.value, same[0], final, repeated) for fail in inner.failing]
            if inner.code and not inner.valid:
                result.code, result.message = result.code or inner.code, inner.message
            for option in inner.valid:
                edits = edits_of(found, same[0], final, repeated)
                valid.append((Option(option.value, (*edits, *option.edits), REPAIR), same))
        if valid:
            return self._only(found, valid)
        result.failing = [
            Failing(value, edits_of(found, way, final, repeated) if number < 3 else (), locate)
            for number, (value, way, final, repeated) in enumerate(failing)
        ]
        if result.code is None:
            result.code = self._nothing_stands(found, is_json)
            result.message = said_of_words(found) if result.code == "not_json" else None
        return result

    def _nothing_stands(self, found: Mended, is_json: bool) -> str | None:
        """Return what a text is called no reading of which satisfies the schema, ``None`` when it just violates."""
        if found.unfinished or found.base.rstrip()[-1:] not in ("}", "]"):
            return "truncated"
        if not is_json or (found.canon.coerced and not self.options.coerce):
            return "not_json"
        return None

    def _only(self, found: Mended, valid: list[tuple[Option, list[list[TextChange]]]]) -> ValueFound:
        options = distinct([option for option, _ in valid])
        if len(options) > 1:
            code = "truncated" if found.unfinished else "ambiguous"
            return ValueFound(code=code, rivals=tuple(option.value for option in options))
        if found.canon.coerced and not self.options.coerce:
            return ValueFound(code="not_json", message=said_of_words(found))
        option, ways = valid[0]
        if may_lack(self.judge.document, found, option.value, ways):
            return ValueFound(code="truncated", edits=option.edits)
        return ValueFound(valid=[option])

    def _invented(self, body: str, code: str) -> ValueFound:
        """Complete a text that is cut off, where the options allow it."""
        done = completed(body, self.judge, self.options, self.effort)
        if done is None:
            return ValueFound(code=code)
        value, edits = done
        return ValueFound(valid=[Option(value, edits, REPAIR)])
