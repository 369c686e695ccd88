"""Texts side by side: how wide they are on a terminal, which columns give way, where lines are folded.

Rich's tables do the same and take a second for a thousand rows. Here almost all texts are ASCII, whose width is their
length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

GAP = 3
LONGEST_WORD = 24
READABLE = 12  # a column that is narrower breaks almost every word
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


def longest_word(texts: Iterable[str]) -> int:
    """Return the width of the longest word of a column; what is longer than 24 may be broken."""
    return max((min(LONGEST_WORD, width_of(word)) for text in texts for word in text.split()), default=1)


def in_words(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns that fit into ``room`` without breaking a word; ``shared`` where that cannot be.

    ``least``: the longest word of each. What is left goes to the columns that want little more first: they are whole.
    """
    spare = room - sum(least)
    if sum(natural) <= room or spare < 0:
        return shared(natural, room)
    widths = list(least)
    for place in sorted(range(len(widths)), key=lambda place: natural[place] - least[place]):
        more = min(spare, natural[place] - least[place])
        widths[place], spare = widths[place] + more, spare - more
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
