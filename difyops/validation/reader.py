"""A reader for JSON with slips: it follows the structure, notes every deviation, and knows where it stands.

It accepts what has one plausible reading (a trailing comma, a comment, single quotes, a missing comma) and stops with
``Unreadable`` at what has none. Where a slip has two readings, the ``Manner`` says which one to follow, and
``forks`` records that there was a choice, so that the caller can try the others and let the schema decide.
Strings and bare words are read in ``strings`` and ``scalars``, what is between items in ``separators``; nothing in here
knows the schema.
"""

from __future__ import annotations

import re

from difyops.validation import scalars, strict, strings
from difyops.validation.cursor import ELEMENT, KEY, MEMBER, NEAR, QUOTES, Budget, Manner, Place, Unreadable
from difyops.validation.separators import CLOSER, ELEMENT_AHEAD, Separators
from difyops.validation.verdict import DEFAULTS, EnforceOptions, Path, shown

_PROSE_BEFORE = re.compile(r"\s*(?:(?:```|~~~)[\w-]*\s*)?")
_COLONS = "：="
_PLAIN_KEY = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\r\n]*:[ \t\r\n]*')
_TEXT = r'"([^"\\\x00-\x1f]*)"[ \t\r\n]*'
_PLAIN_MEMBER = re.compile(rf"{_TEXT}:[ \t\r\n]*{_TEXT}(?=,[ \t\r\n]*{_TEXT}:)")
"""A member with a text, and a further one behind it: nothing in it can be read in two ways."""
_BARE_KEY = re.compile(r"([A-Za-z_$\u00a1-\u2017\u2030-\ufefe][\w$.\-]*(?: [\w$.\-]+)*|-?\d+)\s*(?=[:：=])")
_KEY_WITHOUT_OPENING = re.compile(r"([^\W\d][\w$.\- ]*)[\"']\s*(?=[:：=])")
_KEY_WITHOUT_CLOSING = re.compile(r"[\"']([^\W\d][\w$.\-]*)\s*(?=[:：])")
_COLON_AHEAD = re.compile(r"\s*[:：]")
_MAY_BE_SOUND = re.compile(r'\{[ \t\r\n]*["}]|\[[ \t\r\n]*["\[{\]\dtfn-]')


class Reader(Separators):
    """Reads one value from a text; used once. See ``Cursor`` for its findings."""

    __slots__ = ("options", "slowly", "sound_tries")

    def __init__(
        self,
        text: str,
        manner: Manner = NEAR,
        *,
        options: EnforceOptions = DEFAULTS,
        budget: Budget | None = None,
        places: dict[Path, int] | None = None,
    ) -> None:
        super().__init__(text, manner, budget=budget, places=places)
        self.options = options
        self.slowly = places is not None or bool(manner.known)
        self.sound_tries = 0 if manner.literal or places is not None else 4

    def read(self, start: int) -> tuple[object, int]:
        """Return the value at ``start`` and the index after it.

        Raises:
            Unreadable: there is none that can be read without guessing.
        """
        self.alone = _PROSE_BEFORE.fullmatch(self.text, 0, start) is not None
        try:
            return self._value(start, MEMBER)
        except RecursionError:  # the caller stands deep already
            self.refuse("too_deep")
            raise Unreadable from None
        finally:
            self.budget.left -= max(0, self.furthest - start) + 20

    def not_finite(self, spelled: str) -> None:
        """Refuse the number, or note that it became null where the options want that."""
        if self.options.not_finite == "null":
            self.note(spelled, None, "not finite")
        else:
            self.refuse("not_finite")

    def _value(self, at: int, place: Place) -> tuple[object, int]:
        if self.places is not None:
            self.places[tuple(self.path)] = at
        head = self.text[at : at + 1]
        if head == '"':
            return strings.read(self, at, place)
        if self.sound_tries and self.stack and _MAY_BE_SOUND.match(self.text, at):
            part = self._sound_part(at)
            if part is not None:
                return part
        if head == "{":
            return self._object(at)
        if head in ("[", "("):
            return self._array(at)
        if self.ends(at):
            self.cut_off("", None)
            return None, at
        if head in QUOTES:
            return strings.read(self, at, place)
        return scalars.read(self, at, place)

    def _sound_part(self, at: int) -> tuple[object, int] | None:
        """Read a part that is strict JSON at full speed; ``None`` when it is not. After a few, no more is tried."""
        part = strict.sound_part(self.text, at, self.options.max_depth - len(self.stack))
        if part is None:
            self.sound_tries -= 1
            return None
        self.furthest = part[1]
        self.path_escapes = self.path_escapes or strings.PATH.search(self.text, at, part[1]) is not None
        return part

    def _object(self, at: int) -> tuple[dict[str, object], int]:
        self._enter("{")
        members: dict[str, object] = {}
        at, more = self.before_item("{", self.skip(at + 1))
        while more:
            at = self._member(members, at)
            at, more = self.after_item("{", at)
        self._leave()
        return members, at

    def _member(self, members: dict[str, object], at: int) -> int:
        whole = None if self.slowly else _PLAIN_MEMBER.match(self.text, at)
        if whole is not None and whole[1] not in members:
            members[whole[1]] = whole[2]
            return whole.end()
        plain = _PLAIN_KEY.match(self.text, at)
        if plain:
            key, at = plain[1], plain.end()
        else:
            key, at = self._odd_key(at)
            if self.stopped:
                return at
        self.path.append(key)
        value, at = self._member_value(at)
        if key not in members:
            members[key] = value
        else:
            self._repeated(members, key, value)
        self.path.pop()
        return at

    def _repeated(self, members: dict[str, object], key: str, value: object) -> None:
        keep = self.options.duplicates
        if keep == "refuse":
            self.refuse("duplicate_keys")
            return
        old, new = members[key], value if keep == "last" else members[key]
        members[key] = new
        self.note(shown(value if keep == "first" else old), shown(new), "repeated key")

    def _member_value(self, at: int) -> tuple[object, int]:
        at = self.skip(at)
        head = self.text[at : at + 1]
        if head == ":":
            self.note(":", "", "extra colon")
            at = self.skip(at + 1)
            head = self.text[at : at + 1]
        if head and head in ",，;}":
            self.note("", None, "value missing", invented=True)
            return None, at
        return self._value(at, MEMBER)

    def _odd_key(self, at: int) -> tuple[str, int]:
        """Read a name that is not plain JSON, and the colon after it."""
        text = self.text
        if (bare := _BARE_KEY.match(text, at)) is not None:
            key, at = bare[1], bare.end()
            self.bare_keys = True
            self.note(key, f'"{key}"', "unquoted key")
        elif text[at : at + 1] in QUOTES:
            key, at = self._quoted_key(at)
        elif (half := _KEY_WITHOUT_OPENING.match(text, at)) is not None:
            key, at = half[1], half.end()
            self.note(half[0], f'"{key}"', "missing quote")
        else:
            raise Unreadable
        if self.stopped:
            return key, at
        after = self._colon(at)
        if self.notes and self.notes[-1].reason == "missing colon":
            if key[-1:] in (":", "："):
                return key[:-1], after
            self.swallowed = self.swallowed or self.text[after + 1 : after + 2] in (":", "：")
        return key, after

    def _quoted_key(self, at: int) -> tuple[str, int]:
        before, absorbed = len(self.notes), self.absorbed
        key, end = strings.read(self, at, KEY)
        if self.absorbed == absorbed and not self.stopped and "\n" not in self.text[at:end]:
            return key, end
        half = _KEY_WITHOUT_CLOSING.match(self.text, at)
        if half is not None:
            del self.notes[before:]
            self.absorbed, self.stopped, self.cut = absorbed, False, False
            self.note(half[0], f'"{half[1]}"', "missing quote")
            return half[1], half.end()
        if not self.stopped:
            raise Unreadable  # a name with quotes inside is more likely two things run together
        return key, end

    def _colon(self, at: int) -> int:
        at = self.skip(at)
        head = self.text[at : at + 1]
        if head == ":":
            return at + 1
        if self.ends(at):
            self.stop(cut=True)
            return at
        if head in _COLONS:
            width = 2 if self.text.startswith("=>", at) else 1
            self.note(self.text[at : at + width], ":", "wrong colon")
            return at + width
        if ELEMENT_AHEAD.match(self.text, at):
            self.note("", ":", "missing colon")
            return at
        raise Unreadable

    def _array(self, at: int) -> tuple[list[object], int]:
        kind = self._enter(self.text[at])
        elements: list[object] = []
        at, more = self.before_item(kind, self.skip(at + 1))
        comma = at
        while more:
            self.path.append(len(elements))
            value, at = self._value(at, ELEMENT)
            self.path.pop()
            if isinstance(value, str) and self._is_name_of_parent(at):
                self.doubt_if_swallowed(comma, "]")
                self.note("", "]", "missing bracket")
                at = comma
                break
            elements.append(value)
            comma = at
            at, more = self.after_item(kind, at)
        if kind == "(" and len(elements) == 1 and self.notes[-1].reason != "trailing comma":
            raise Unreadable  # brackets around one value group it; they make no list
        self._leave()
        return elements, at

    def _is_name_of_parent(self, at: int) -> bool:
        """Return whether the text just read in an array is a member's name: the array was never closed."""
        return "{" in self.stack and not self.stopped and _COLON_AHEAD.match(self.text, at) is not None

    def _enter(self, kind: str) -> str:
        if len(self.stack) >= self.options.max_depth:
            self.refuse("too_deep")
            raise Unreadable
        self.stack.append(kind)
        if kind == "(":
            self.note("(", "[", "round brackets")
        return kind

    def _leave(self) -> None:
        kind = self.stack.pop()
        if self.stopped:
            self.unclosed.append(tuple(self.path))
            self.note("", CLOSER[kind], "missing bracket")
