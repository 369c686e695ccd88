"""Somebody who makes, edits and publishes an agent app at the web page. Shares nothing with us."""

from __future__ import annotations

import copy
from typing import Any

from tests.snapshot.colleague import Colleague

MODEL = {
    "plugin_id": "langgenius/openai",
    "model_provider": "langgenius/openai/openai",
    "model": "gpt-4o-mini",
    "model_settings": {"temperature": 0.7},
}
SECRETS = {"TOKEN": "agent-canary-token-1", "SHORT": "ab1"}


class AgentAuthor:
    """An agent app called ``helper``, published once, with secrets in several places."""

    def __init__(self, colleague: Colleague, name: str = "helper") -> None:
        self.call = colleague.call
        body = {"name": name, "description": "helps", "role": "clerk", "icon_type": "emoji", "icon": "x"}
        made = self.call("POST", "/agent", body)
        self.agent_id, self.app_id, self.name = str(made["id"]), str(made["app_id"]), name

    def soul(self) -> dict[str, Any]:
        return dict(self.call("GET", f"/agent/{self.agent_id}/composer")["agent_soul"])

    def fill(self) -> None:
        def change(soul: dict[str, Any]) -> None:
            soul["prompt"]["system_prompt"] = "You are a helper."
            soul["model"] = MODEL
            soul["env"]["variables"] = [{"name": "TONE", "key": "TONE", "type": "string", "value": "plain"}]
            soul["env"]["secret_refs"] = [
                {"name": name, "key": name, "value": value} for name, value in SECRETS.items()
            ]
            soul["tools"]["cli_tools"] = [
                {
                    "name": "curl",
                    "command": "curl -H 'Authorization: Bearer cli-canary-0123456789abcdef' https://example.com",
                    "env": {"variables": [], "secret_refs": [{"name": "CLI", "value": "agent-canary-cli-2"}]},
                }
            ]
            soul["tools"]["dify_tools"] = [
                {"provider_type": "builtin", "provider_id": "time", "tool_name": "now",
                 "runtime_parameters": {"api_key": "agent-canary-tool-3"}}
            ]  # fmt: skip

        self.edit(change)

    def edit(self, change: Any) -> None:
        soul = copy.deepcopy(self.soul())
        change(soul)
        self.put(soul)

    def put(self, soul: dict[str, Any]) -> None:
        body = {"variant": "agent_app", "agent_soul": soul, "save_strategy": "save_to_current_version"}
        self.call("PUT", f"/agent/{self.agent_id}/composer", body)

    def say(self, prompt: str) -> None:
        self.edit(lambda soul: soul["prompt"].update(system_prompt=prompt))

    def publish(self, note: str = "") -> str:
        answer = self.call("POST", f"/agent/{self.agent_id}/publish", {"version_note": note} if note else {})
        return str(answer["active_config_snapshot_id"])

    def live_id(self) -> str:
        return str(self.call("GET", f"/agent/{self.agent_id}/composer")["active_config_snapshot"]["id"])

    def live(self) -> dict[str, Any]:
        return dict(self.call("GET", f"/agent/{self.agent_id}/versions/{self.live_id()}")["config_snapshot"])

    def notes(self) -> list[str]:
        return [str(row["version_note"]) for row in self.call("GET", f"/agent/{self.agent_id}/versions")["data"]]
