"""The terminal: tables, coloured words and diff lines. Every text shown is safe before it is laid out (``safe``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from difyops.outcome import Block, Facts, Lines, Table
from difyops.render.columns import GAP, READABLE, folded, in_words, longest_word, shared, width_of
from difyops.render.look import Look
from difyops.render.safe import Cells, cell, one_line, text

_BOLD, _DIM, _RED, _GREEN, _YELLOW, _MAGENTA = "1", "2", "1;31", "32", "33", "35"
_MARKS = {"+": _GREEN, "-": "31", "~": _YELLOW, "!": "1;33", "✓": _GREEN, "✗": _RED, "#": _BOLD}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_WORDS = {
    "ok": _GREEN, "pass": _GREEN, "done": _GREEN, "yes": _GREEN, "complete": _GREEN, "clean": _GREEN,
    "failed": _RED, "fail": _RED, "partial": _YELLOW, "warn": _YELLOW, "live changed": _RED,
    "secret changed": _YELLOW, "draft edited": _YELLOW, "missing": _RED, "inconclusive": _MAGENTA,
}  # fmt: skip


def as_terminal(blocks: Sequence[Block], look: Look) -> str:
    """Return the blocks drawn for a terminal of ``look.width`` columns."""
    pen = _Pen(width=max(1, look.width), colour=look.colour)
    return "\n".join("".join(f"{line.rstrip(' ')}\n" for line in pen.drawn(block)) for block in blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pen:
    """Draws blocks, line by line."""

    width: int
    colour: bool

    def drawn(self, block: Block) -> Iterator[str]:
        """Yield the lines of a block."""
        if block.title:
            yield from self.line(one_line(block.title), _BOLD)
        match block:
            case Table():
                yield from self.table(block) if block.rows else self.line(block.empty, _DIM)
            case Facts():
                yield from self.facts(block)
            case Lines():
                for mark, shown in block.lines:
                    whole = f"{mark} {text(shown)}" if mark else text(shown)
                    yield from self.line(whole, _MARKS.get(mark, ""))

    def painted(self, shown: str, style: str) -> str:
        """Return text in a style, where there is colour."""
        return f"\x1b[{style}m{shown}\x1b[0m" if style and self.colour and shown else shown

    def line(self, whole: str, style: str) -> Iterator[str]:
        """Yield a text of one or more lines."""
        for line in whole.split("\n"):
            for piece in folded(line.expandtabs(8), self.width):
                yield self.painted(piece.rstrip(" "), style)

    def facts(self, block: Facts) -> Iterator[str]:
        """Yield label and value, one below the other."""
        pairs = [(cell(label), cell(value)) for label, value in block.pairs]
        natural = [max((width_of(pair[place]) for pair in pairs), default=0) for place in (0, 1)]
        widths = shared(natural, self.width - 2)
        for label, value in pairs:
            yield from self.row((label, value), widths, "  ", (False, False), (_DIM, _WORDS.get(value, "")))

    def table(self, block: Table) -> Iterator[str]:
        """Yield head, rule and rows."""
        columns, rows, right = _fitted(block, self.width)
        natural = [max(width_of(name), *(width_of(row[at]) for row in rows)) for at, name in enumerate(columns)]
        least = [longest_word((name, *(row[at] for row in rows))) for at, name in enumerate(columns)]
        room = self.width - GAP * (len(columns) - 1)
        if sum(min(each, READABLE) for each in least) > room:
            yield from self.records(columns, rows)
            return
        widths = in_words(natural, least, room)
        gap = " " * GAP
        yield from self.row(columns, widths, gap, right, (_BOLD,) * len(columns))
        yield "─" * min(self.width, sum(widths) + GAP * (len(columns) - 1))
        for row in rows:
            yield from self.row(row, widths, gap, right, [_WORDS.get(shown, "") for shown in row])

    def records(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
        """Yield each row as a list of labels and values: no column is dropped where all of them would be too narrow.

        A value that says nothing is left out there.
        """
        for number, row in enumerate(rows):
            if number:
                yield ""
            pairs = [(name, shown) for name, shown in zip(columns, row, strict=True) if shown not in ("", "-")]
            yield from self.facts(Facts(pairs=pairs))

    def row(
        self, cells: Sequence[str], widths: Sequence[int], gap: str, right: Sequence[bool], styles: Sequence[str]
    ) -> Iterator[str]:
        """Yield the lines of one row: as many as its highest cell has."""
        stacks = [folded(shown, width) for shown, width in zip(cells, widths, strict=True)]
        for level in range(max(map(len, stacks))):
            line = []
            for place, stack in enumerate(stacks):
                piece = stack[level] if level < len(stack) else ""
                blanks = " " * (widths[place] - width_of(piece))
                shown = self.painted(piece, styles[place]) if piece else ""
                line.append(blanks + shown if right[place] else shown + blanks)
            yield gap.join(line)


def _short(shown: str) -> str:
    """Return an id cut to what names it, a time to the minute."""
    if _UUID.fullmatch(shown):
        return shown[:8]
    return f"{shown[:10]} {shown[11:16]}Z" if _TIME.fullmatch(shown) else shown


def _fitted(block: Table, width: int) -> tuple[list[str], list[list[str]], list[bool]]:
    """Return names, texts and sides of the columns that say something; ids and times are cut where all is too wide.

    The first eight characters of an id are enough for every selector; ``-o name``, JSON and pipes have whole ids.
    """
    shown = [place for place in range(len(block.columns)) if any(row[place] not in (None, "") for row in block.rows)]
    shown = shown or list(range(len(block.columns)))
    columns, cells = [block.columns[place] for place in shown], Cells()
    rows = [[cells.of(row[place]) for place in shown] for row in block.rows]
    natural = sum(max(len(name), *(len(row[at]) for row in rows)) for at, name in enumerate(columns))
    if natural + GAP * (len(columns) - 1) > width:
        rows = [[_short(shown) for shown in row] for row in rows]
    return columns, rows, [block.is_numeric(place) for place in shown]
