"""Runs of characters of one class, found without a look at each place: a regular expression begins anew at every one.

A text is turned into one byte a character, ``a`` for those of the class and a blank for all others; then the search for
a run of a certain length is one search for a text of that many ``a``, which the machine does at the speed of memory.
"""

from __future__ import annotations

from collections.abc import Iterator

_MEMBER, _OTHER = b"a", b" "


def class_of(characters: str) -> bytes:
    """Return the table of a class of ASCII characters."""
    return bytes(ord("a") if chr(code) in characters else ord(" ") for code in range(256))


def runs(text: str, members: bytes, least: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of at least ``least`` characters of a class, in order."""
    data = text.encode("latin-1", "replace").translate(members)
    wanted = _MEMBER * least
    start = data.find(wanted)
    while start >= 0:
        end = data.find(_OTHER, start + least)
        end = len(data) if end < 0 else end
        yield start, end
        start = data.find(wanted, end)


def words_with(text: str, members: bytes, marks: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of a class that holds one of the marks, in order."""
    present = [mark for mark in marks if mark in text]
    if not present:
        return
    data = text.encode("latin-1", "replace").translate(members)
    seen: set[int] = set()
    for mark in present:
        at = text.find(mark)
        while at >= 0:
            start = data.rfind(_OTHER, 0, at) + 1
            end = data.find(_OTHER, at)
            end = len(data) if end < 0 else end
            if start not in seen:
                seen.add(start)
                yield start, end
            at = text.find(mark, max(end, at + 1))
