"""The terminal: Rich tables, coloured diff lines. Everything shown goes through ``Text``: markup in it is inert."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from difyops.outcome import Block, Facts, Lines, Table
from difyops.render.look import Look
from difyops.render.safe import cell, one_line, text

_STYLES = {"+": "green", "-": "red", "~": "yellow", "!": "bold yellow", "✓": "green", "✗": "bold red", "#": "bold"}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_GAP = 3
_WORDS = {
    "ok": "green", "pass": "green", "done": "green", "yes": "green", "complete": "green", "clean": "green",
    "failed": "bold red", "fail": "bold red", "partial": "yellow", "warn": "yellow", "live changed": "bold red",
    "secret changed": "yellow", "draft edited": "yellow", "missing": "bold red", "inconclusive": "magenta",
}  # fmt: skip


def as_terminal(blocks: Sequence[Block], look: Look) -> str:
    """Return the blocks drawn for a terminal of ``look.width`` columns."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=look.width,
        force_terminal=look.colour,
        no_color=not look.colour,
        color_system="standard" if look.colour else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for number, block in enumerate(blocks):
        if number:
            console.print()
        console.print(_drawn(block, look.width))
    return buffer.getvalue()


def _drawn(block: Block, width: int) -> RenderableType:
    parts: list[RenderableType] = [Text(one_line(block.title), style="bold")] if block.title else []
    match block:
        case Table():
            parts.append(_table(block, width) if block.rows else Text(block.empty, style="dim"))
        case Facts():
            grid = RichTable.grid(padding=(0, 2))
            for label, value in block.pairs:
                grid.add_row(Text(cell(label), style="dim"), _cell(value))
            parts.append(grid)
        case Lines():
            parts += [
                Text(f"{mark} {text(line)}" if mark else text(line), style=_STYLES.get(mark, ""))
                for mark, line in block.lines
            ]
    return Group(*parts)


def _table(block: Table, width: int) -> RichTable:
    block = _fitted(block, width)
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for place, name in enumerate(block.columns):
        side: Literal["left", "right"] = "right" if block.is_numeric(place) else "left"
        table.add_column(Text(name), justify=side, overflow="fold")
    for row in block.rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _fitted(block: Table, width: int) -> Table:
    """Return the table without columns that say nothing and, where it is too wide, with ids cut to what names them.

    The first eight characters of an id are enough for every selector; ``-o name``, JSON and pipes have whole ids.
    """
    shown = [place for place in range(len(block.columns)) if any(row[place] not in (None, "") for row in block.rows)]
    natural = sum(_widest(block, place) + _GAP for place in shown)
    rows = []
    for row in block.rows:
        cells = [row[place] for place in shown]
        rows.append([_short(value) for value in cells] if natural > width else cells)
    return Table(columns=[block.columns[place] for place in shown], rows=rows, title=block.title, empty=block.empty)


def _widest(block: Table, place: int) -> int:
    return max([len(block.columns[place]), *(len(cell(row[place])) for row in block.rows)])


def _short(value: object) -> object:
    return value[:8] if isinstance(value, str) and _UUID.fullmatch(value) else value


def _cell(value: object) -> Text:
    shown = cell(value)
    return Text(shown, style=_WORDS.get(shown, ""))
