"""The console surface for what an app stands on: who we are, workspaces, tags, plugins, models, tools, datasets.

Paths are relative to ``/console/api``; shapes as recorded (tests/recordings).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api import answers, faults, pages
from difyops.api.console import Console
from difyops.api.model import ServerInfo
from difyops.api.paths import part
from difyops.errors import DifyopsError, Forbidden, NotAuthenticated, NotFound, RequestRejected

_CURRENT = "/workspaces/current"
MODEL_TYPES = ("llm", "text-embedding", "rerank", "speech2text", "tts")


@dataclass(slots=True)
class WorkspaceCalls:
    """The workspace calls of one instance, made through its console."""

    console: Console

    async def current(self) -> dict[str, Any]:
        """Return the workspace we act in: id, name, role, ...

        GET until 1.9, POST from then on, ``/summary`` on builds after 1.16.1 that have neither; each on 404 or 405.
        """
        doing, shape = "read the workspace", answers.WORKSPACE
        try:
            return dict(await self.console.send("POST", _CURRENT, {}, doing=doing, shape=shape, reads=True))
        except NotFound as error:
            if error.server_code != faults.NO_ROUTE:
                raise
        try:
            return dict(await self.console.get(_CURRENT, doing=doing, shape=shape))
        except NotFound as error:
            if error.server_code != faults.NO_ROUTE:
                raise
        return dict(await self.console.get(f"{_CURRENT}/summary", doing=doing, shape=shape))

    async def profile(self) -> dict[str, Any]:
        """Return the account: email, timezone, ..."""
        return await self.console.mapping("/account/profile", doing="read the account", shape=answers.PROFILE)

    async def identify(self) -> ServerInfo:
        """Return who we are and where: the proof that credentials, workspace and address are right."""
        profile = await self.profile()
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
        body = await self.console.get("/workspaces", doing="list workspaces", shape=answers.WORKSPACES)
        return list(body["workspaces"])

    async def openapi_catalog(self) -> bool | None:
        """Say whether the server describes its commands at ``/openapi/v1/_catalog`` (1.18 and newer).

        ``None`` where that cannot be told. It is off in the stock settings, and asked without credentials.
        """
        if not self.console.capabilities.can("openapi_catalog"):
            return False
        try:
            await self.console.transport.request("GET", "/openapi/v1/_catalog", doing="look for the catalog")
        except NotFound:
            return False
        except (Forbidden, NotAuthenticated):
            return True  # it is there, and wants a token of its own
        except DifyopsError:
            return None
        return True

    async def tags(self) -> list[dict[str, Any]]:
        """Return the app tags: id, name."""
        return list(await self.console.get("/tags", doing="list tags", shape=answers.TAGS, type="app"))

    async def create_tag(self, name: str) -> str:
        """Create an app tag and return its id."""
        body = {"name": name, "type": "app"}
        return str((await self.console.send("POST", "/tags", body, doing="create a tag", shape=answers.TAG))["id"])

    async def plugins(self) -> list[dict[str, Any]]:
        """Return installed plugins: plugin_id, version, plugin_unique_identifier, source."""

        async def fetch(params: Mapping[str, Any]) -> Any:
            page, size = params["page"], params["limit"]
            path = "/workspaces/current/plugin/list"
            body = await self.console.mapping(
                path, doing="list plugins", shape=answers.PLUGINS, page=page, page_size=size
            )
            return {**body, "has_more": page * size < body["total"]}

        return [row async for row in pages.by_number(fetch, rows_in="plugins")]

    async def reach_plugins(self) -> None:
        """Ask for one plugin: no cache answers that, the plugin daemon must.

        Raises:
            DifyopsError: the daemon, or the server, did not answer.
        """
        await self.console.get(f"{_CURRENT}/plugin/list", doing="list plugins", page=1, page_size=1)

    async def model_providers(self) -> list[dict[str, Any]]:
        """Return model providers with their credentials' names and ids (no values)."""
        path = "/workspaces/current/model-providers"
        return list((await self.console.get(path, doing="list model providers", shape=answers.PROVIDERS))["data"])

    async def default_models(self) -> dict[str, str]:
        """Return the default model per type as ``provider/model``; types without one are left out."""
        found = {}
        for kind in MODEL_TYPES:
            path = "/workspaces/current/default-model"
            doing, shape = "read the default models", answers.DEFAULT_MODEL
            model = (await self.console.get(path, doing=doing, shape=shape, model_type=kind))["data"]
            if model is not None:
                provider = model.get("provider")
                name = provider.get("provider") if isinstance(provider, dict) else provider
                found[kind] = f"{name}/{model['model']}"
        return found

    async def models(self, kind: str = "llm") -> set[tuple[str, str]]:
        """Return the usable models of a type as (provider, model); only those the server calls active."""
        path = f"/workspaces/current/models/model-types/{kind}"
        body = await self.console.get(path, doing="list models", shape=answers.MODELS)
        return {
            (str(row["provider"]), str(model["model"]))
            for row in body["data"]
            for model in row["models"]
            if model.get("status", "active") == "active"
        }

    async def tool_providers(self) -> list[dict[str, Any]]:
        """Return tool providers of all kinds: id, name, type, is_team_authorization."""
        path = "/workspaces/current/tool-providers"
        return list(await self.console.get(path, doing="list tools", shape=answers.TOOL_PROVIDERS))

    async def tool_credentials(self, provider: str) -> list[dict[str, Any]]:
        """Return the credentials of a built-in tool provider (1.7 and newer): id, name, is_default."""
        self.console.capabilities.require("tool_credentials", "Listing tool credentials")
        path = f"/workspaces/current/tool-provider/builtin/{part(provider, slashes=True)}/credentials"
        try:
            return list(await self.console.get(path, doing="list tool credentials", shape=answers.TOOL_CREDENTIALS))
        except (NotFound, RequestRejected):
            return []

    async def datasets(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the datasets: id, name, document_count, indexing_technique, ..."""

        async def fetch(params: Mapping[str, Any]) -> Any:
            return await self.console.get("/datasets", doing="list datasets", shape=answers.DATASETS, **params)

        async for row in pages.by_number(fetch):
            yield row
