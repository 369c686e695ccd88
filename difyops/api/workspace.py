"""The console surface for what an app stands on: who we are, workspaces, tags, plugins, models, tools, datasets.

Paths are relative to ``/console/api``; shapes as recorded (tests/recordings).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api import faults, pages
from difyops.api.console import Console
from difyops.api.model import ServerInfo
from difyops.errors import NotFound, RequestRejected, ServerFault

MODEL_TYPES = ("llm", "text-embedding", "rerank", "speech2text", "tts")


@dataclass(slots=True)
class Workspace:
    """The workspace calls of one instance, made through its console."""

    console: Console

    async def current(self) -> dict[str, Any]:
        """Return the workspace we act in: id, name, role, ... (GET until 1.9, POST since; the other on 404/405)."""
        doing = "read the workspace"
        try:
            body = await self.console.send("POST", "/workspaces/current", {}, doing=doing)
        except NotFound as error:
            if error.server_code != faults.NO_ROUTE:
                raise
            body = await self.console.get("/workspaces/current", doing=doing)
        return body if isinstance(body, dict) else {}

    async def identify(self) -> ServerInfo:
        """Return who we are and where: the proof that credentials, workspace and address are right."""
        profile = await self.console.mapping("/account/profile", doing="read the account")
        workspace = await self.current()
        return ServerInfo(
            version=self.console.transport.server_version,
            url=self.console.transport.base_url,
            workspace_id=str(workspace.get("id", "")),
            workspace_name=str(workspace.get("name", "")),
            account=str(profile.get("email", "")),
            role=str(workspace.get("role") or ""),
            timezone=str(profile.get("timezone") or "UTC"),
        )

    async def workspaces(self) -> list[dict[str, Any]]:
        """Return the workspaces of the account; ``current`` marks the one in use."""
        return _rows(await self.console.get("/workspaces", doing="list workspaces"), "workspaces")

    async def tags(self) -> list[dict[str, Any]]:
        """Return the app tags: id, name."""
        return _rows(await self.console.get("/tags", doing="list tags", type="app"), None)

    async def create_tag(self, name: str) -> str:
        """Create an app tag and return its id."""
        body = await self.console.send("POST", "/tags", {"name": name, "type": "app"}, doing="create a tag")
        if not isinstance(body, dict) or not body.get("id"):
            raise ServerFault("create a tag: the answer holds no id.")
        return str(body["id"])

    async def plugins(self) -> list[dict[str, Any]]:
        """Return installed plugins: plugin_id, version, plugin_unique_identifier, source."""

        async def fetch(params: Mapping[str, Any]) -> Any:
            page, size = params["page"], params["limit"]
            body = await self.console.mapping(
                "/workspaces/current/plugin/list", doing="list plugins", page=page, page_size=size
            )
            return {**body, "has_more": page * size < int(body.get("total") or 0)}

        return [row async for row in pages.by_number(fetch, rows_in="plugins")]

    async def model_providers(self) -> list[dict[str, Any]]:
        """Return model providers with their credentials' names and ids (no values)."""
        path = "/workspaces/current/model-providers"
        return _rows(await self.console.get(path, doing="list model providers"), "data")

    async def default_models(self) -> dict[str, str]:
        """Return the default model per type as ``provider/model``; types without one are left out."""
        found = {}
        for kind in MODEL_TYPES:
            path = "/workspaces/current/default-model"
            body = await self.console.get(path, doing="read the default models", model_type=kind)
            model = body.get("data") if isinstance(body, dict) else None
            if isinstance(model, dict) and model.get("model"):
                provider = model.get("provider")
                name = provider.get("provider") if isinstance(provider, dict) else provider
                found[kind] = f"{name}/{model['model']}"
        return found

    async def models(self, kind: str = "llm") -> set[tuple[str, str]]:
        """Return the usable models of a type as (provider, model); only those the server calls active."""
        path = f"/workspaces/current/models/model-types/{kind}"
        rows = _rows(await self.console.get(path, doing="list models"), "data")
        return {
            (str(row.get("provider")), str(model.get("model")))
            for row in rows
            for model in row.get("models") or ()
            if isinstance(model, dict) and model.get("status", "active") == "active"
        }

    async def tool_providers(self) -> list[dict[str, Any]]:
        """Return tool providers of all kinds: id, name, type, is_team_authorization."""
        return _rows(await self.console.get("/workspaces/current/tool-providers", doing="list tools"), None)

    async def tool_credentials(self, provider: str) -> list[dict[str, Any]]:
        """Return the credentials of a built-in tool provider (1.7 and newer): id, name, is_default."""
        self.console.capabilities.require("tool_credentials", "Listing tool credentials")
        path = f"/workspaces/current/tool-provider/builtin/{provider}/credentials"
        try:
            return _rows(await self.console.get(path, doing="list tool credentials"), None)
        except (NotFound, RequestRejected):
            return []

    async def datasets(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the datasets: id, name, document_count, indexing_technique, ..."""

        async def fetch(params: Mapping[str, Any]) -> Any:
            return await self.console.get("/datasets", doing="list datasets", **params)

        async for row in pages.by_number(fetch):
            yield row


def _rows(body: Any, inside: str | None) -> list[dict[str, Any]]:
    rows = body.get(inside) if inside and isinstance(body, dict) else body
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
