"""Which run is whose, where no id was seen: only what alone can be meant is claimed."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.webhook.finding import inputs_in, matched
from difyops.webhook.outbox import RunRow


def row(name: str, user: str = "u", accepted: float = 1.0, **inputs: Any) -> RunRow:
    request = {"inputs": inputs, "query": inputs.pop("query", "")}
    return RunRow(id=name, app="a", via="run", accepted=accepted, user=user, request=request)


def run(name: str, user: str = "u", **inputs: Any) -> tuple[str, dict[str, Any]]:
    return name, {"sys.user_id": user, "sys.files": [], **inputs}


@pytest.mark.parametrize(
    ("rows", "runs", "found"),
    [
        ([row("a", x=1)], [run("1", x=1)], {"a": "1"}),
        ([row("a", x=1)], [run("1", x=2)], {}),
        ([row("a", x=1)], [run("1", user="other", x=1)], {}),
        ([row("a", x=1)], [run("1", x=1), run("2", x=1)], {}),
        ([row("a", x=1), row("b", x=1, accepted=2.0)], [run("1", x=1), run("2", x=1)], {"a": "1", "b": "2"}),
        ([row("b", x=1, accepted=2.0), row("a", x=1)], [run("1", x=1)], {"a": "1"}),
        ([row("a", x=1), row("b", x=2)], [run("2", x=2), run("1", x=1)], {"a": "1", "b": "2"}),
        ([row("a", x=1, extra="not in the form")], [run("1", x=1)], {"a": "1"}),
        ([row("a")], [], {}),
    ],
)
def test_workflows(rows: list[RunRow], runs: list[tuple[str, dict[str, Any]]], found: dict[str, str]) -> None:
    assert matched(rows, runs, "workflow") == found


def test_chatflows_are_told_apart_by_their_query_too() -> None:
    runs = [run("1", **{"sys.query": "one"}), run("2", **{"sys.query": "two"})]
    assert matched([row("a", query="two")], runs, "advanced-chat") == {"a": "2"}


def test_inputs_come_as_text_or_as_an_object() -> None:
    assert inputs_in({"inputs": '{"x": 1}'}) == inputs_in({"inputs": {"x": 1}}) == {"x": 1}
    assert inputs_in({"inputs": "{"}) == inputs_in({}) == {}
