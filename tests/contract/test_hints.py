"""A hint is a command that can be typed: every one that the package's code holds is read by the real parser."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.contract.hints import problems

HOUSE = Path(__file__).parents[2] / "difyops"


def hints() -> Iterator[tuple[str, str]]:
    """Yield place and text of every hint; a value that is filled in stands there as a word."""
    for path in sorted(HOUSE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "difyops " not in text or "emulator/" in str(path):
            continue
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.keyword(arg="hint" | "summary" | "empty" | "example", value=value):
                    pass
                case ast.Assign(targets=[ast.Name(id=str() as name)], value=value) if "hint" in name.lower():
                    pass
                case ast.Return(value=ast.Constant() | ast.JoinedStr() as value):
                    pass
                case _:
                    continue
            for piece in pieces(value):
                yield f"{path.relative_to(HOUSE)}:{piece.lineno}", written(piece)


def pieces(value: ast.AST) -> Iterator[ast.expr]:
    """Yield the texts in an expression, each whole."""
    match value:
        case ast.JoinedStr() | ast.Constant(value=str()):
            yield value
        case _:
            for below in ast.iter_child_nodes(value):
                yield from pieces(below)


def written(piece: ast.expr) -> str:
    match piece:
        case ast.JoinedStr(values=values):
            return "".join(map(written, values))
        case ast.Constant(value=value):
            return str(value)
        case _:
            return "1"


def test_every_hint_in_the_code_is_a_command_that_the_parser_takes() -> None:
    found = [f"{place} {problem}" for place, text in hints() if "difyops " in text for problem in problems(text)]
    assert found == []
