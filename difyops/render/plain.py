"""Plain text for pipes and markdown for reports, from the same blocks as the terminal's: nothing is cut or folded."""

from __future__ import annotations

from collections.abc import Sequence

from difyops.outcome import Block, Facts, Lines, Table
from difyops.render.columns import padded, width_of
from difyops.render.safe import Cells, cell, one_line, text


def as_plain(blocks: Sequence[Block]) -> str:
    """Return the blocks as text without colour or lines."""
    return "\n\n".join(_plain(block) for block in blocks)


def as_markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as GitHub markdown."""
    return "\n\n".join(_markdown(block) for block in blocks)


def _plain(block: Block) -> str:
    head = f"{one_line(block.title)}\n" if block.title else ""
    match block:
        case Table():
            if not block.rows:
                return head + block.empty
            cells, head_row = Cells(), [name.upper() for name in block.columns]
            rows = [[cells.of(value) for value in row] for row in block.rows]
            return head + "\n".join("  ".join(line).rstrip() for line in _even([head_row, *rows], _sides(block)))
        case Facts():
            pairs = [[f"{cell(label)}:", cell(value)] for label, value in block.pairs]
            return head + "\n".join("  ".join(line).rstrip() for line in _even(pairs, [False, False]))
        case Lines():
            return head + "\n".join(f"{mark} {text(line)}" if mark else text(line) for mark, line in block.lines)


def _markdown(block: Block) -> str:
    head = f"### {_escaped(block.title)}\n\n" if block.title else ""
    match block:
        case Table():
            if not block.rows:
                return head + block.empty
            rows = [list(block.columns), *([_escaped(value) for value in row] for row in block.rows)]
            top, *lines = _even(rows, sides := _sides(block))
            rule = [
                f"{'-' * (width_of(name) + 1)}{':' if right else '-'}" for name, right in zip(top, sides, strict=True)
            ]
            shown = [f"| {' | '.join(line)} |" for line in (top, *lines)]
            return head + "\n".join([shown[0], f"|{'|'.join(rule)}|", *shown[1:]])
        case Facts():
            return head + "\n".join(f"- **{_escaped(label)}**: {_escaped(value)}" for label, value in block.pairs)
        case Lines():
            body = "\n".join(f"{mark or ' '} {text(line)}".replace("```", "'''") for mark, line in block.lines)
            return f"{head}```diff\n{body}\n```"


def _sides(table: Table) -> list[bool]:
    """Return per column whether it stands right: numbers do. Texts that look like numbers ("007", "1e5") do not."""
    return [table.is_numeric(place) for place in range(len(table.columns))]


def _even(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[list[str]]:
    """Return the rows with every column filled up to its widest cell."""
    if not rows:
        return []
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return [
        [padded(shown, width, right=side) for shown, width, side in zip(row, widths, right, strict=True)]
        for row in rows
    ]


def _escaped(value: object) -> str:
    shown = cell(value)
    for character in "\\`*_<>|[]":
        shown = shown.replace(character, f"\\{character}")
    return shown
