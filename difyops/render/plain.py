"""Plain text for pipes and markdown for reports, drawn with tabulate from the same blocks as the terminal's."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from difyops.outcome import Block, Facts, Lines, Table
from difyops.render.safe import cell, one_line, text


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
            rows = [[cell(value) for value in row] for row in block.rows]
            headers = [name.upper() for name in block.columns]
            return head + tabulate(
                rows, headers=headers, tablefmt="plain", disable_numparse=True, colalign=_sides(block)
            )
        case Facts():
            pairs = [(f"{cell(label)}:", cell(value)) for label, value in block.pairs]
            return head + tabulate(pairs, tablefmt="plain", disable_numparse=True)
        case Lines():
            return head + "\n".join(f"{mark} {text(line)}" if mark else text(line) for mark, line in block.lines)


def _markdown(block: Block) -> str:
    head = f"### {_escaped(block.title)}\n\n" if block.title else ""
    match block:
        case Table():
            if not block.rows:
                return head + block.empty
            rows = [[_escaped(value) for value in row] for row in block.rows]
            headers = list(block.columns)
            return head + tabulate(
                rows, headers=headers, tablefmt="github", disable_numparse=True, colalign=_sides(block)
            )
        case Facts():
            return head + "\n".join(f"- **{_escaped(label)}**: {_escaped(value)}" for label, value in block.pairs)
        case Lines():
            body = "\n".join(f"{mark or ' '} {text(line)}".replace("```", "'''") for mark, line in block.lines)
            return f"{head}```diff\n{body}\n```"


def _sides(table: Table) -> list[str]:
    """Return left or right per column: numbers right. Texts that look like numbers ("007", "1e5") stay texts."""
    return ["right" if table.is_numeric(place) else "left" for place in range(len(table.columns))]


def _escaped(value: object) -> str:
    shown = cell(value)
    for character in "\\`*_<>|[]":
        shown = shown.replace(character, f"\\{character}")
    return shown
