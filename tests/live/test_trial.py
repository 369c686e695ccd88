"""A smaller model on a real server: recorded runs through copies of both, a verdict, nothing left."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.snapshot.colleague import Colleague

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
HERE = Path(__file__).parent


@pytest.fixture(params=["wf-llm", "chat-basic"])
def app(colleague: Colleague, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Make one published scratch app; yield id and mode; remove it."""
    text = (HERE / "dsl" / f"{request.param}.yml").read_text()
    body = {"mode": "yaml-content", "yaml_content": text, "name": f"difyops-live-tier-{secrets.token_hex(3)}"}
    made = str(colleague.call("POST", "/apps/imports", body)["app_id"])
    try:
        if request.param == "wf-llm":
            colleague.publish(made, "scratch")
        colleague.call("POST", f"/apps/{made}/api-enable", {"enable_api": True})
        colleague.call("POST", f"/apps/{made}/api-keys", {})
        yield made, request.param
    finally:
        colleague.call("DELETE", f"/apps/{made}")


def test_recorded_runs_go_through_both(cli: Cli, colleague: Colleague, app: tuple[str, str]) -> None:
    app_id, kind = app
    for number in range(8):
        text = f"question {number}"
        asked = ("--input", f"query={text}") if kind == "wf-llm" else (text,)
        ran = cli("app", "run", app_id, *asked)
        assert ran.code == 0, ran.err
    apps = {row["id"] for row in colleague.call("GET", "/apps?limit=100")["data"]}
    cli("history", "sync", app_id, "--nodes", "100%")
    words = ("--tier", "gpt-4o", "--margin", "30%", "--by", "none", "--content", "--yes", "-o", "json")
    done = cli("cost", "advise", app_id, *words, "--expect", '{"regex": "question [0-9]"}')
    assert done.code == 0, done.err
    overall = done.json["data"]["trial"]["overall"]
    assert (overall["verdict"], overall["judged"], overall["broken"]) == ("not worse", 7, 0)
    assert {row["id"] for row in colleague.call("GET", "/apps?limit=100")["data"]} == apps
