"""The terminal: Rich tables, coloured diff lines. Everything shown goes through ``Text``: markup in it is inert."""

from __future__ import annotations

import io
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
_WORDS = {
    "ok": "green", "pass": "green", "done": "green", "yes": "green", "complete": "green", "clean": "green",
    "failed": "bold red", "fail": "bold red", "partial": "yellow", "warn": "yellow", "live changed": "bold red",
    "draft edited": "yellow", "missing": "bold red", "inconclusive": "magenta",
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
        console.print(_drawn(block))
    return buffer.getvalue()


def _drawn(block: Block) -> RenderableType:
    parts: list[RenderableType] = [Text(one_line(block.title), style="bold")] if block.title else []
    match block:
        case Table():
            parts.append(_table(block) if block.rows else Text(block.empty, style="dim"))
        case Facts():
            grid = RichTable.grid(padding=(0, 2))
            for label, value in block.pairs:
                grid.add_row(Text(label, style="dim"), _cell(value))
            parts.append(grid)
        case Lines():
            parts += [
                Text(f"{mark} {text(line)}" if mark else text(line), style=_STYLES.get(mark, ""))
                for mark, line in block.lines
            ]
    return Group(*parts)


def _table(block: Table) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for place, name in enumerate(block.columns):
        side: Literal["left", "right"] = "right" if block.is_numeric(place) else "left"
        table.add_column(Text(name), justify=side, overflow="fold")
    for row in block.rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> Text:
    shown = cell(value)
    return Text(shown, style=_WORDS.get(shown, ""))
