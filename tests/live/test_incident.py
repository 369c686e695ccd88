"""An incident on a real instance: an app that went well is published broken, is seen, goes back, and is on record."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, node

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

DSL = Path(__file__).parent / "dsl" / "wf-llm.yml"


@pytest.fixture
def scratch(colleague: Colleague) -> Iterator[tuple[str, str]]:
    """Make one published scratch app; yield its name and id; remove it."""
    name = f"difyops-live-incident-{secrets.token_hex(3)}"
    body = {"mode": "yaml-content", "yaml_content": DSL.read_text(), "name": name}
    made = str(colleague.call("POST", "/apps/imports", body)["app_id"])
    try:
        colleague.publish(made, "scratch")
        colleague.call("POST", f"/apps/{made}/api-keys")
        yield name, made
    finally:
        colleague.call("DELETE", f"/apps/{made}")


def ask_for_what_is_not_there(document: dict[str, Any]) -> None:
    """Let the prompt name a node that somebody deleted."""
    node(document, "llm")["prompt_template"][0]["text"] = "Answer {{#gone.text#}}"


def test_what_was_published_broken_is_seen_goes_back_and_is_on_record(
    cli: Cli, colleague: Colleague, scratch: tuple[str, str]
) -> None:
    name, app = scratch
    run = ("app", "run", name, "--input", "query=hello", "--input", "tone=plain")
    good = colleague.live(app)
    for _ in range(3):
        assert cli(*run).code == 0
    colleague.edit(app, ask_for_what_is_not_there)
    colleague.publish(app, "friday")
    for _ in range(3):
        assert cli(*run).code != 0
    seen = cli("incident", name, "--since", "1h", "-o", "json")
    assert seen.code == 5, seen.err
    (row,) = seen.json["data"]["picture"]["apps"]
    assert (row["verdict"], row["back_to"]) == ("suspect", good["id"]), row
    assert (row["before"]["failed"], row["now"]["failed"]) == (0, 3), row
    done = cli("incident", name, "--since", "1h", "--yes", "-o", "json")
    assert done.code == 0, done.err + done.out
    (way,) = done.json["data"]["ways"]
    assert way["state"] == "rolled back", way
    assert colleague.live(app)["graph"] == good["graph"]
    assert cli(*run).code == 0
    report = cli("incident", "--show", "latest", "-o", "markdown").out
    assert name in report
    assert "rolled back" in report
