"""What a public function of the trunk and of the rooms raises by itself, it says: under "Raises", or in its sentence.

Doors, checks and actions are left out, for their docstrings are the help that people read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parents[2] / "difyops"
HELP = ("cli/", "emulator/", "render/", "runbook/actions/", "runbook/checks/")
# These raise what is not of ours, or say it in the docstring of their neighbour.
NAMED = {"api/proxied.py: exchange", "broadcast/aggregate/__init__.py: combine", "git_store/store.py: read_many"} | {
    "validation/judge.py: compiled"
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def own(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands in a function, without the functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from own(child)


def public(node: ast.AST) -> Iterator[Function]:
    """Yield the public functions of a module and the methods of its classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield child
        elif isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public(child)


def errors_of(function: Function) -> set[str]:
    calls = [each.exc for each in own(function) if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call)]
    names = {ast.unparse(call.func).rpartition(".")[2] for call in calls}
    return {name for name in names if name[:1].isupper() and name not in ("AssertionError", "StopIteration")}


def test_what_is_raised_is_said() -> None:
    silent = set()
    for path in sorted(HOUSE.rglob("*.py")):
        name = path.relative_to(HOUSE).as_posix()
        if not name.startswith(HELP):
            for function in public(ast.parse(path.read_text(encoding="utf-8"))):
                if errors_of(function) and "aise" not in (ast.get_docstring(function) or ""):
                    silent.add(f"{name}: {function.name}")
    assert silent == NAMED
