"""All readings of a text that are one quote away: one that is missing, one too many, one that nobody escaped.

A quote turns what is text and what is not around for everything behind it. So a text with an odd number of them is
read from the front as it stands and from the end as it stands, and the edit lies where the two meet.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from difyops.validation.reading.grammar import MARKS, TEXT, Automaton, Need, State, fits
from difyops.validation.reading.single import TextChange, insertable
from difyops.validation.reading.tokens import UNKNOWN, split

_QUOTE = re.compile(r'\\.|(")', re.DOTALL)
_WHITE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"\s?[^\W\d]")
_STRUCTURE = "{}[]:,"


def positions(text: str) -> list[int]:
    """Return where the quotes stand that no backslash escapes."""
    return [found.start() for found in _QUOTE.finditer(text) if found[1]]


def quote_edits(text: str) -> list[TextChange]:
    """Return every edit of one quote that makes a text whole, as far as structure tells."""
    quotes = positions(text)
    if len(quotes) % 2 == 0:
        return []
    sides = _Sides(text, quotes)
    found: list[TextChange] = []
    for number in range(0, len(quotes), 2):
        found += sides.without_end(number)
        found += sides.without_start(number)
        found += sides.too_many(number)
    return found


class _Sides:
    """A text with an odd number of quotes, read from both ends. Quotes with an even number open from the front."""

    def __init__(self, text: str, quotes: list[int]) -> None:
        self.text = text
        self.quotes = quotes
        self.machine = Automaton()
        self.before, self.starts = self._front()
        self.behind, self.ends = self._back()

    def _front(self) -> tuple[dict[int, State], list[int]]:
        tokens = split(self.text)
        known = tokens.codes.find(UNKNOWN)
        known = len(tokens.codes) if known < 0 else known
        states = self.machine.forward(tokens.codes[:known])
        starts = [*tokens.starts, len(self.text)][: len(states)]
        return dict(zip(starts, states, strict=True)), starts

    def _back(self) -> tuple[dict[int, Need], list[int]]:
        tokens = split(self.text, self.quotes[0] + 1)
        rest = tokens.codes.rfind(UNKNOWN) + 1
        needs = self.machine.backward(tokens.codes[rest:])
        places = [*tokens.starts, len(self.text)][rest:]
        behind = {places[at]: need for at, need in needs.items()}
        return behind, sorted(behind)

    def _joins(self, start: int, end: int) -> bool:
        """Return whether a text that starts at ``start`` and ends before ``end`` makes a whole of both sides."""
        state, need = self.before.get(start), self.behind.get(end)
        return state is not None and need is not None and fits(self.machine.step(state, TEXT), need)

    def _next_end(self, at: int) -> int:
        """Return the first place from ``at`` on from which the rest can be read; -1 when there is none."""
        index = bisect_left(self.ends, at)
        if index == len(self.ends):
            return -1
        place = _WHITE.match(self.text, at).end()  # type: ignore[union-attr]  # matches everywhere
        return self.ends[index] if place >= self.ends[index] else -1

    def without_end(self, number: int) -> Iterator[TextChange]:
        """Yield the edits that end the text which opens with a quote before the next one."""
        opens = self.quotes[number]
        if opens not in self.before:
            return
        limit = self.quotes[number + 1] if number + 1 < len(self.quotes) else len(self.text)
        for index in range(bisect_right(self.ends, opens), bisect_right(self.ends, limit)):
            end = self.ends[index]
            if self._joins(opens, end):
                tight = opens + 1 + len(self.text[opens + 1 : end].rstrip(" \t\r\n"))
                yield from self._ended(opens, tight)
                mark = tight - 1
                if mark > opens and self.text[mark] in _STRUCTURE:
                    yield TextChange(mark, mark + 1, '"', "wrong quotes")

    def _ended(self, opens: int, tight: int) -> Iterator[TextChange]:
        if tight > opens + 2 and self.text[tight - 1] in "'`”":
            yield TextChange(tight - 1, tight, '"', "wrong quotes")
        else:
            yield TextChange(tight, tight, '"', "missing quote")

    def without_start(self, number: int) -> Iterator[TextChange]:
        """Yield the edits that start the text which closes with a quote behind the one before."""
        closes = self.quotes[number]
        end = self._next_end(closes + 1)
        if end < 0:
            return
        floor = self.quotes[number - 1] + 1 if number else 0
        for index in range(bisect_left(self.starts, floor), bisect_left(self.starts, closes)):
            start = self.starts[index]
            if self._joins(start, end):
                if self.text[start] in "'`“":
                    yield TextChange(start, start + 1, '"', "wrong quotes")
                else:
                    yield TextChange(start, start, '"', "missing quote")
                if self.text[start] in _STRUCTURE:
                    yield TextChange(start, start + 1, '"', "wrong quotes")

    def too_many(self, number: int) -> Iterator[TextChange]:
        """Yield the edits that take a quote out, or make it a part of the text around it."""
        opens = self.quotes[number]
        end = self._next_end(opens + 1)
        state = self.before.get(opens)
        if state is None:
            return
        if end >= 0:
            if fits(state, self.behind[end]):
                yield TextChange(opens, opens + 1, "", "extra quote")
            for code in insertable(state):
                if fits(self.machine.step(state, code), self.behind[end]):
                    yield TextChange(opens, opens + 1, MARKS[code], "wrong mark")
        if number + 2 >= len(self.quotes):
            return
        inner, closes = self.quotes[number + 1], self.quotes[number + 2]
        end = self._next_end(closes + 1)
        if end >= 0 and self._joins(opens, end):
            yield TextChange(inner, inner, "\\", "unescaped quote")
            if not self._is_meant(opens, inner, closes):
                yield TextChange(inner, inner + 1, "", "extra quote")

    def _is_meant(self, opens: int, inner: int, closes: int) -> bool:
        """Return whether a quote makes sense inside a text: inches, the end of a quotation, a partner."""
        before = self.text[opens + 1 : inner]
        opened = max(before.rfind(mark) for mark in "„“") > before.rfind("”")
        inches = before[-1:].isdigit() and _WORD.match(self.text, inner + 1) is not None
        return opened or inches or self._has_partner(opens, inner, closes)

    def _has_partner(self, opens: int, inner: int, closes: int) -> bool:
        """Return whether a quote inside a text makes a pair with one that is escaped."""
        text = self.text
        before, after = text.count('\\"', opens, inner), text.count('\\"', inner, closes)
        if before % 2 == 1 and after % 2 == 0:
            first, last = text.rfind('\\"', opens, inner), inner
        elif before % 2 == 0 and after % 2 == 1:
            first, last = inner, text.find('\\"', inner, closes)
        else:
            return False
        return (first == opens + 1 or text[first - 1] in " \t([{=") and last - first > 2
