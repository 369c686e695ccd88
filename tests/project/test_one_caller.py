"""What changes an instance goes through one place each: drafts, publications, model configs, the journal's lines."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "difyops"
WRITING = "publishing/writing.py"
CALLS = {
    "sync_draft": {WRITING: 1},
    "write_draft": {WRITING: 1},
    "publish": {WRITING: 2},  # a workflow's, an agent's
    "set_model_config": {"publishing/config.py": 1},
}
LINES = {"change.": "changes/journal.py", "rotation.": "rotation/first_journal.py"}
ENDS = ("begun", "step", "ended")


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax tree of each module that is not the emulator's or the API's own."""
    paths = {path.relative_to(HOUSE).as_posix(): path for path in sorted(HOUSE.rglob("*.py"))}
    return {
        name: ast.parse(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if not name.startswith(("api/", "emulator/"))
    }


def is_server(owner: ast.expr) -> bool:
    """Say whether a call goes to the server: to a ``console``, or to the ``agents`` of one."""
    text = ast.unparse(owner).lower()
    return text.endswith(("console", "agents")) or text.startswith("agents(")


@pytest.mark.parametrize("call", CALLS)
def test_each_call_that_changes_content_has_one_caller(call: str) -> None:
    found: dict[str, int] = defaultdict(int)
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == call:
                found[name] += is_server(node.func.value)
    assert {name: count for name, count in found.items() if count} == CALLS[call]


@pytest.mark.parametrize("family", LINES)
def test_lines_of_the_journal_are_named_in_one_module(family: str) -> None:
    words = {family + end for end in ENDS}
    found = {
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in words
    }
    assert found == {LINES[family]}
