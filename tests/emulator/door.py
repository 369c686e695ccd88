"""A thin caller for behaviour tests: the console with the admin key, the service API with an app's key, in process."""

from __future__ import annotations

import json
from typing import Any

import httpx

from difyops.emulator import Emulator
from difyops.emulator.store import App


class Door:
    """Calls one emulator in process."""

    def __init__(self, version: str = "1.13.0", **settings: Any) -> None:
        settings.setdefault("speed", 500.0)
        self.emulator = Emulator(version, **settings)
        transport = httpx.ASGITransport(app=self.emulator.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def console(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Call the console with the admin key."""
        auth = {
            "authorization": f"Bearer {self.emulator.admin_key}",
            "x-workspace-id": self.emulator.workspace_id,
        }
        return await self.client.request(method, f"/console/api{path}", json=body, headers={**auth, **headers})

    async def service(self, key: str, method: str, path: str, body: object = None) -> httpx.Response:
        """Call the service API with a key."""
        return await self.client.request(method, f"/v1{path}", json=body, headers={"authorization": f"Bearer {key}"})

    async def run(
        self, app: App, mode: str = "blocking", path: str = "/workflows/run", **inputs: Any
    ) -> httpx.Response:
        """Run a workflow app."""
        body = {"inputs": inputs, "user": "u-1", "response_mode": mode}
        return await self.service(app.key, "POST", path, body)

    async def ask(self, app: App, query: str = "hello", mode: str = "blocking", **more: Any) -> httpx.Response:
        """Ask a chat app."""
        body = {"inputs": {}, "query": query, "user": "u-1", "response_mode": mode, **more}
        return await self.service(app.key, "POST", "/chat-messages", body)

    async def export(self, app: App, **query: str) -> str:
        """Return an app's DSL."""
        params = "&".join(f"{name}={value}" for name, value in query.items())
        answer = await self.console("GET", f"/apps/{app.id}/export?{params}")
        text: str = answer.json()["data"]
        return text

    async def load(self, text: str, **more: Any) -> httpx.Response:
        """Import a DSL."""
        return await self.console("POST", "/apps/imports", {"mode": "yaml-content", "yaml_content": text, **more})

    async def draft(self, app: App) -> dict[str, Any]:
        """Return the draft as the console shows it."""
        body: dict[str, Any] = (await self.console("GET", f"/apps/{app.id}/workflows/draft")).json()
        return body

    async def save(self, app: App, draft: dict[str, Any]) -> httpx.Response:
        """Save a draft."""
        return await self.console("POST", f"/apps/{app.id}/workflows/draft", draft)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the events of a stream, pings left out."""
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
