"""Rotating a tool's credential on a real instance: one of our own, beside whatever is the default there.

Needs, besides ``DIFY_BASE_URL`` and credentials, ``DIFY_LIVE_TOOL`` (``PROVIDER:TOOL``, for example
``langgenius/google/google:google_search``) and ``DIFY_LIVE_TOOL_KEY``, a key that the provider accepts.
Nothing that was there before is changed; what is made is removed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.live.conftest import ENVIRONMENT
from tests.snapshot.colleague import Colleague

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
HERE = Path(__file__).parent


@dataclass
class Scratch:
    """A credential of our own, and an app with a node that names it."""

    colleague: Colleague
    provider: str
    tool: str
    name: str
    app: str = ""

    @property
    def path(self) -> str:
        return f"/workspaces/current/tool-provider/builtin/{self.provider}"

    def rows(self) -> list[dict[str, Any]]:
        """Return our credentials: the one made here, and those that rotations made of it."""
        rows = self.colleague.call("GET", f"{self.path}/credentials")
        return [row for row in rows if row["name"].startswith(self.name)]

    def pin(self, credential_id: str) -> None:
        """Let the node name a credential, and publish."""

        def edit(document: dict[str, Any]) -> None:
            node = document["graph"]["nodes"][1]
            node["data"] = {
                "type": "tool", "title": "Look it up", "provider_id": self.provider, "provider_type": "builtin",
                "provider_name": self.provider, "tool_name": self.tool, "tool_label": self.tool,
                "tool_configurations": {}, "tool_parameters": {}, "credential_id": credential_id,
            }  # fmt: skip

        self.colleague.edit(self.app, edit)
        self.colleague.publish(self.app)


@pytest.fixture
def scratch(colleague: Colleague) -> Iterator[Scratch]:
    if not {"DIFY_LIVE_TOOL", "DIFY_LIVE_TOOL_KEY"} <= ENVIRONMENT.keys():
        pytest.skip("DIFY_LIVE_TOOL or DIFY_LIVE_TOOL_KEY is not set")
    provider, _, tool = ENVIRONMENT["DIFY_LIVE_TOOL"].partition(":")
    made = Scratch(colleague=colleague, provider=provider, tool=tool, name=f"live-{secrets.token_hex(3)}")
    fields = colleague.call("GET", f"{made.path}/credential/schema/api-key")
    secret = next(row["name"] for row in fields if row["type"] == "secret-input")
    body = {"name": made.name, "type": "api-key", "credentials": {secret: ENVIRONMENT["DIFY_LIVE_TOOL_KEY"]}}
    try:
        colleague.call("POST", f"{made.path}/add", body)
        text = (HERE / "dsl" / "wf-llm.yml").read_text()
        app = {"mode": "yaml-content", "yaml_content": text, "name": f"difyops-{made.name}"}
        made.app = colleague.call("POST", "/apps/imports", app)["app_id"]
        made.pin(made.rows()[0]["id"])
        yield made
    finally:
        if made.app:
            colleague.call("DELETE", f"/apps/{made.app}")
        for row in made.rows():
            colleague.call("POST", f"{made.path}/delete", {"credential_id": row["id"]})


def test_a_credential_that_a_node_names_is_replaced_once_the_node_names_the_new_one(cli: Cli, scratch: Scratch) -> None:
    old = scratch.rows()[0]
    rotate = ("secret", "rotate", "tool", scratch.provider, "--credential", scratch.name, "--grace", "2s")
    done = cli(*rotate, "--value-from", "env:DIFY_LIVE_TOOL_KEY", "--no-probe", "--yes", "-o", "json")
    assert done.code == 8, done.err + done.out
    assert "Look it up" in done.err + done.out
    new = next(row for row in scratch.rows() if row["id"] != old["id"])
    assert cli("secret", "resume", "--force", "--yes").code != 0, "the node still names the old one"
    assert len(scratch.rows()) == 2
    scratch.pin(new["id"])
    done = cli("secret", "resume", "--yes")
    assert done.code == 0, done.err + done.out
    assert [row["id"] for row in scratch.rows()] == [new["id"]]


def test_a_key_that_the_provider_refuses_changes_nothing(
    cli: Cli, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scratch.rows()
    monkeypatch.setenv("DIFY_LIVE_WRONG_KEY", "bad-canary-of-a-live-test")
    rotate = ("secret", "rotate", "tool", scratch.provider, "--credential", scratch.name)
    done = cli(*rotate, "--value-from", "env:DIFY_LIVE_WRONG_KEY", "--no-probe", "--yes")
    assert done.code != 0
    assert scratch.rows() == before
