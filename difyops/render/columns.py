"""Texts side by side: how wide they are on a terminal, which columns give way, where lines are folded.

Rich's tables do the same and take a second for a thousand rows. Here almost all texts are ASCII, whose width is their
length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

GAP = 3
_WORD = re.compile(r"\s*\S+")


def width_of(text: str) -> int:
    """Return how many columns a terminal shows a text in: two for each Chinese character, none for a joiner."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shared(natural: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns that fit into ``room``: the widest give way first, all of them to one level.

    A column never vanishes: where there is less room than columns, each keeps one.
    """
    if sum(natural) <= room:
        return list(natural)
    left, widths = room, [0] * len(natural)
    for rank, place in enumerate(sorted(range(len(natural)), key=natural.__getitem__)):
        widths[place] = max(1, min(natural[place], left // (len(natural) - rank)))
        left -= widths[place]
    return widths


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return a text that is not wider than ``width``, filled up with blanks."""
    missing = " " * (width - width_of(text))
    return missing + text if right else text + missing


def folded(text: str, width: int) -> list[str]:
    """Return the lines of a text, none wider than ``width``: broken between words, a longer word in itself.

    A character that is wider than ``width`` by itself stands on a line of its own.
    """
    if width_of(text) <= width:
        return [text]
    lines: list[str] = []
    line = ""
    for word in _WORD.findall(text):
        if width_of(line + word) <= width:
            line += word
            continue
        if line:
            lines.append(line)
        *whole, line = _cut(word.lstrip() if lines or line else word, width)
        lines += whole
    return [*lines, line] if line or not lines else lines


def _cut(word: str, width: int) -> Iterator[str]:
    piece, size = "", 0
    for character in word:
        wide = width_of(character)
        if piece and size + wide > width:
            yield piece
            piece, size = "", 0
        piece, size = piece + character, size + wide
    yield piece
