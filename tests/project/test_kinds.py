"""Every kind that a command prints has its JSON Schema, and ``difyops schema`` knows no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from difyops.cli.schema import data_of, kinds

HOUSE = Path(__file__).parents[2] / "difyops"
# Kinds that are put together from words, or given to a view that several commands share.
COMPOSED = {
    "app.disable", "app.enable", "cache.stats", "cache.top", "emulator.break", "emulator.delete", "emulator.publish",
    "emulator.rotate", "history.export", "secret.resume", "secret.retire", "secret.revert",
    "secret.rotate", "slo.check", "slo.status", "snapshot.restore",
    "snapshot.restore.plan", "snapshot.seal.add", "snapshot.seal.remove", "trigger.disable",
    "trigger.enable", "webhook.event", "webhook.message", "webhook.run",
}  # fmt: skip
WITHOUT_DATA = {"error", ""}  # an error of no command's own, its data is null; what a view builds its own on


def printed() -> Iterator[str]:
    """Yield each kind that stands in a call of ``Outcome`` as text."""
    for path in sorted(HOUSE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != "Outcome":
                continue
            for keyword in node.keywords:
                if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant | ast.IfExp):
                    branches = [keyword.value] if isinstance(keyword.value, ast.Constant) else [
                        keyword.value.body, keyword.value.orelse,
                    ]  # fmt: skip
                    yield from (str(each.value) for each in branches if isinstance(each, ast.Constant))


def test_each_kind_has_its_schema_and_no_schema_is_of_no_kind() -> None:
    assert {*printed(), *COMPOSED} - WITHOUT_DATA == set(kinds())


def test_each_schema_says_what_its_data_is() -> None:
    assert [kind for kind in kinds() if not data_of(kind)] == []
