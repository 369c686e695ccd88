"""From an offset in a JSON text to the path of the value there, and back to lines."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Container, Sequence

from difyops.validation.reading.grammar import CLOSE_ARRAY, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, TEXT
from difyops.validation.reading.model import Path
from difyops.validation.reading.tokens import UNKNOWN, Tokens, split, token_at

_DEEPEST = 400
_COLON_CODE = bytes([COLON])
_COLON = re.compile(r"(?:[ \t\r\n]*:)?")


def paths_at(text: str, offsets: Sequence[int], tokens: Tokens | None = None) -> list[Path]:
    """Return for each offset the path of the value that it lies in or right before; in one pass.

    ``tokens`` are those of the text, where the caller has them.
    """
    if not offsets:
        return []
    tokens = tokens or _up_to(text, max(offsets))
    places = [bisect_right(tokens.ends, offset) for offset in offsets]
    found = _paths(text, tokens, frozenset(places), max(places))
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
    for place, path in _paths(text, tokens, every, len(every)).items():
        found.setdefault(path, tokens.starts[place])
    return found


def _paths(text: str, tokens: Tokens, wanted: Container[int], last: int) -> dict[int, Path]:
    """Return the paths of the values at the tokens that are wanted, up to ``last``."""
    codes = tokens.codes
    found: dict[int, Path] = {}
    path: list[str | int] = []
    names: list[int] = []  # for each open container the token of the name that holds now, -1 for a list
    for place in range(min(last + 1, len(codes))):
        code = codes[place]
        size = len(path)
        if code == TEXT:
            if path and names[-1] >= 0 and codes[place + 1 : place + 2] == _COLON_CODE:
                names[-1] = place
        elif code == COMMA:
            size = max(0, size - 1)
            if path and names[-1] < 0:
                path[-1] += 1  # type: ignore[operator]  # the index of a list
        elif code <= OPEN_ARRAY:
            path.append("" if code == OPEN_OBJECT else 0)
            names.append(place if code == OPEN_OBJECT else -1)
        elif code <= CLOSE_ARRAY and path:
            names.pop()
            path.pop()
            size -= 1
        if place in wanted:
            for at in range(size):
                if names[at] >= 0 and codes[names[at]] == TEXT:
                    path[at] = _name(text[tokens.starts[names[at]] : tokens.ends[names[at]]])
            found[place] = tuple(path[:size])
        if size > _DEEPEST:
            break
    return found


def _name(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return quoted[1:-1]
