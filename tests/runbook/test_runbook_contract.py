"""What every check and action promises: help, a schema, a test, and a place in the list."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from difyops.runbook.registry import Tool, tools

EVERY = [*tools("check").values(), *tools("action").values()]
TESTS = "\n".join(
    path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name
)


@pytest.mark.parametrize("tool", EVERY, ids=lambda tool: f"{tool.kind} {tool.name}")
def test_it_has_help_a_schema_and_a_test(tool: Tool) -> None:
    assert len(tool.help) > 60
    assert tool.summary.rstrip(".:,")
    signature = inspect.signature(tool.function)
    first, *rest = signature.parameters.values()
    assert first.name == "resources"
    assert all(item.kind is inspect.Parameter.KEYWORD_ONLY for item in rest)
    assert set(tool.parameters) == {item.name for item in rest}
    assert inspect.getmodule(tool.function).__doc__.startswith(f"``{tool.name}``")  # type: ignore[union-attr]
    assert f'"{tool.name}"' in TESTS, "no test names it"


def test_what_the_playbook_needs_is_there() -> None:
    assert set(tools("check")) >= {
        "http", "instance.health", "instance.version", "app.answers", "app.wiring", "runs.failure_rate",
        "runs.latency", "runs.stuck", "provider.credential", "knowledge.indexing", "knowledge.retrieval",
        "queue.depth", "queue.age", "database", "snapshot.age", "snapshot.drift", "secret.age", "disk", "tcp",
        "command",
    }  # fmt: skip
    assert set(tools("action")) >= {
        "snapshot.create", "snapshot.rollback", "app.disable_api", "app.enable_api", "provider.switch_credential",
        "app.switch_model", "trigger.disable", "knowledge.retry_indexing", "run.stop", "notify", "command", "wait",
        "approve", "secret.rotate",
    }  # fmt: skip
