"""From an offset in a JSON text to the path of the value there, and back to lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from difyops.validation.reading import grammar
from difyops.validation.reading.model import Path
from difyops.validation.reading.tokens import Tokens, split


def paths_at(text: str, offsets: Sequence[int]) -> list[Path]:
    """Return for each offset the path of the value that it lies in or right before; in one pass."""
    wanted = sorted(set(offsets))
    found: dict[int, Path] = {}
    at = 0
    for _, end, path in _values(text):
        while at < len(wanted) and wanted[at] < end:
            found[wanted[at]] = path
            at += 1
        if at == len(wanted):
            break
    return [found.get(offset, ()) for offset in offsets]


def starts(text: str) -> dict[Path, int]:
    """Return where each value of a JSON text starts; of a broken text as far as it can be read."""
    found: dict[Path, int] = {}
    for start, _, path in _values(text):
        found.setdefault(path, start)
    return found


def _values(text: str) -> Iterator[tuple[int, int, Path]]:
    tokens = split(text)
    path: list[str | int] = []
    kinds: list[bool] = []
    for number, code in enumerate(tokens.codes):
        start, end = tokens.starts[number], tokens.ends[number]
        if code in (grammar.OPEN_OBJECT, grammar.OPEN_ARRAY):
            yield start, end, tuple(path)
            kinds.append(code == grammar.OPEN_OBJECT)
            path.append("" if kinds[-1] else 0)
        elif code in (grammar.CLOSE_OBJECT, grammar.CLOSE_ARRAY):
            if kinds:
                kinds.pop()
                path.pop()
            yield start, end, tuple(path)
        elif code == grammar.COMMA:
            if kinds and not kinds[-1]:
                path[-1] = int(path[-1]) + 1
            yield start, end, tuple(path[:-1])
        elif _is_key(tokens, number) and kinds and kinds[-1]:
            path[-1] = _name(text[start:end])
            yield start, end, tuple(path)
        else:
            yield start, end, tuple(path)
        if len(path) > 400:
            break


def _is_key(tokens: Tokens, number: int) -> bool:
    return (
        tokens.codes[number] == grammar.TEXT
        and number + 1 < len(tokens.codes)
        and tokens.codes[number + 1] == grammar.COLON
    )


def _name(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return quoted[1:-1]
