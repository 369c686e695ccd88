"""From an offset in a JSON text to the path of the value there, and back to lines."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Container, Iterator, Sequence

from difyops.validation.reading.grammar import CLOSE_ARRAY, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, TEXT
from difyops.validation.reading.model import Path
from difyops.validation.reading.tokens import UNKNOWN, Tokens, split, token_at

_DEEPEST = 400
_COLON = re.compile(r"(?:[ \t\r\n]*:)?")


def paths_at(text: str, offsets: Sequence[int], tokens: Tokens | None = None) -> list[Path]:
    """Return for each offset the path of the value that it lies in or right before; in one pass.

    ``tokens`` are those of the text, where the caller has them.
    """
    if not offsets:
        return []
    tokens = tokens or _up_to(text, max(offsets))
    places = [bisect_right(tokens.ends, offset) for offset in offsets]
    found = dict(_values(text, tokens, frozenset(places), max(places)))
    return [found.get(place, ()) for place in places]


def _up_to(text: str, offset: int) -> Tokens:
    """Return the tokens up to the one at or behind an offset, more if that lies inside of one."""
    found = token_at(text, offset)
    if found is not None:
        tokens = split(text[: _COLON.match(text, found[1]).end()])  # type: ignore[union-attr]  # matches everywhere
        if UNKNOWN not in tokens.codes:
            return tokens
    return split(text)


def starts(text: str) -> dict[Path, int]:
    """Return where each value of a JSON text starts; of a broken text as far as it can be read."""
    tokens = split(text)
    found: dict[Path, int] = {}
    every = range(len(tokens.codes))
    for place, path in _values(text, tokens, every, len(every)):
        found.setdefault(path, tokens.starts[place])
    return found


def _values(text: str, tokens: Tokens, wanted: Container[int], last: int) -> Iterator[tuple[int, Path]]:
    """Yield the numbers of the tokens that are wanted, up to ``last``, each with the path of the value there."""
    codes = tokens.codes
    steps: list[int] = []  # for each open array its index, for each open object the token of its name
    kinds: list[bool] = []
    for place in range(min(last + 1, len(codes))):
        code = codes[place]
        size = len(steps)
        if code <= CLOSE_ARRAY:
            if code <= OPEN_ARRAY:
                kinds.append(code == OPEN_OBJECT)
                steps.append(-1 if code == OPEN_OBJECT else 0)
            elif steps:
                kinds.pop()
                steps.pop()
                size -= 1
        elif code == COMMA:
            size = max(0, size - 1)
            if kinds and not kinds[-1]:
                steps[-1] += 1
        elif code == TEXT and kinds and kinds[-1] and codes[place + 1 : place + 2] == [COLON]:
            steps[-1] = place
        if place in wanted:
            yield place, tuple([_step(text, tokens, kinds[at], steps[at]) for at in range(size)])
        if len(steps) > _DEEPEST:
            break


def _step(text: str, tokens: Tokens, is_name: bool, number: int) -> str | int:
    if not is_name:
        return number
    return _name(text[tokens.starts[number] : tokens.ends[number]]) if number >= 0 else ""


def _name(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return quoted[1:-1]
