"""From an offset in a JSON text to the path of the value there, and back to lines."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Container, Sequence
from itertools import accumulate

from difyops.validation.reading.grammar import CLOSE_ARRAY, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, TEXT
from difyops.validation.reading.model import Path
from difyops.validation.reading.tokens import Tokens, split

_DEEPEST = 400
_COLON_CODE = bytes([COLON])
_WHITE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_PARTS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\],])', re.DOTALL)
"""Texts, and marks but for the colon; scalars and white space are between them. The last text may lack its end."""


def paths_at(text: str, offsets: Sequence[int]) -> list[Path]:
    """Return for each offset in whole JSON the path of the value that it lies in or right before; in one pass."""
    if not offsets:
        return []
    end = _WHITE.match(text, max(offsets)).end() + 1  # type: ignore[union-attr]  # matches everywhere
    parts = _PARTS.split(text if end >= len(text) else text[:end])
    ends = list(accumulate(map(len, parts)))
    found: dict[int, Path] = {}
    names: list[str | int] = []  # for each open container the name or index that holds now
    at, before = 1, (-1, False)
    path_before: Path = ()
    for offset in offsets if len(offsets) == 1 else sorted(set(offsets)):
        number = bisect_right(ends, offset)
        is_scalar = number % 2 == 0 and number < len(ends) and not text[offset : ends[number]].isspace()
        number |= 1
        if (number, is_scalar) == before:  # a long text may hold thousands of edits
            found[offset] = path_before
            continue
        _follow(parts[at:number:2], names)
        at = number
        if number >= len(parts):
            found[offset] = tuple(map(_decoded, names)) if is_scalar else ()
        elif is_scalar or parts[number][0] in '{["':
            is_name = not is_scalar and names and names[-1] == ""
            path = [*names[:-1], _whole_text(text, ends[number - 1])] if is_name else names
            found[offset] = tuple(map(_decoded, path))
        else:
            found[offset] = tuple(map(_decoded, names[:-1]))
        before, path_before = (number, is_scalar), found[offset]
    return [found[offset] for offset in offsets]


def _follow(tokens: Sequence[str], names: list[str | int]) -> None:
    """Bring the names and indexes that hold up to date with some more tokens: texts and marks other than colons."""
    for token in tokens:
        mark = token[0]
        if mark == '"':
            if names and names[-1] == "":
                names[-1] = token
        elif mark == ",":
            if names:
                last = names[-1]
                names[-1] = last + 1 if type(last) is int else ""
        elif mark == "{":
            names.append("")
        elif mark == "[":
            names.append(0)
        elif names:
            names.pop()


def _whole_text(text: str, at: int) -> str:
    found = _STRING.match(text, at)
    return "" if found is None else found[0]


def _decoded(step: str | int) -> str | int:
    return _name(step) if type(step) is str and step else step


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
