"""Plain text for pipes and markdown for reports, drawn with tabulate from the same blocks as the terminal's."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from difyops.outcome import Block, Facts, Lines, Table
from difyops.render.safe import cell, text


def as_plain(blocks: Sequence[Block]) -> str:
    """Return the blocks as text without colour or lines."""
    return "\n\n".join(_plain(block) for block in blocks)


def as_markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as GitHub markdown."""
    return "\n\n".join(_markdown(block) for block in blocks)


def _plain(block: Block) -> str:
    head = f"{text(block.title)}\n" if block.title else ""
    match block:
        case Table():
            if not block.rows:
                return head + block.empty
            rows = [[cell(value) for value in row] for row in block.rows]
            return head + tabulate(rows, headers=[name.upper() for name in block.columns], tablefmt="plain")
        case Facts():
            pairs = [(f"{label}:", cell(value)) for label, value in block.pairs]
            return head + tabulate(pairs, tablefmt="plain", disable_numparse=True)
        case Lines():
            return head + "\n".join(f"{mark} {text(line)}" if mark else text(line) for mark, line in block.lines)


def _markdown(block: Block) -> str:
    head = f"### {text(block.title)}\n\n" if block.title else ""
    match block:
        case Table():
            if not block.rows:
                return head + block.empty
            rows = [[_escaped(value) for value in row] for row in block.rows]
            return head + tabulate(rows, headers=list(block.columns), tablefmt="github", disable_numparse=True)
        case Facts():
            return head + "\n".join(f"- **{label}**: {_escaped(value)}" for label, value in block.pairs)
        case Lines():
            body = "\n".join(f"{mark or ' '} {text(line)}".replace("```", "'''") for mark, line in block.lines)
            return f"{head}```diff\n{body}\n```"


def _escaped(value: object) -> str:
    shown = cell(value)
    for character in "\\`*_<>|[]":
        shown = shown.replace(character, f"\\{character}")
    return shown
