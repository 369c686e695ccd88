"""The workspace around the apps: plugins, models, tools, datasets. What a restore must find again. No values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from difyops.api.instance import Instance
from difyops.dsl.canonical import canonical
from difyops.errors import DifyopsError


async def read_inventory(instance: Instance) -> tuple[dict[str, bytes], dict[str, DifyopsError]]:
    """Return the files of the inventory by part, and the parts that could not be read with their errors.

    A part that this role may not see is a part that could not be read, like any other.
    """
    files: dict[str, bytes] = {}
    failed: dict[str, DifyopsError] = {}
    readers: dict[str, Callable[[Instance], Awaitable[Any]]] = {
        "plugins": _plugins,
        "models": _models,
        "tools": _tools,
        "datasets": _datasets,
    }
    for part, reader in readers.items():
        try:
            files[part] = canonical(await reader(instance))
        except DifyopsError as error:
            failed[part] = error
    return files, failed


async def _plugins(instance: Instance) -> list[dict[str, Any]]:
    kept = ("plugin_id", "version", "plugin_unique_identifier", "source")
    rows = await instance.workspace.plugins()
    return sorted(({key: row.get(key) for key in kept} for row in rows), key=lambda row: str(row["plugin_id"]))


async def _models(instance: Instance) -> dict[str, Any]:
    providers = []
    for row in await instance.workspace.model_providers():
        custom = row.get("custom_configuration") or {}
        if custom.get("status") != "active" and not custom.get("available_credentials"):
            continue
        names = [item.get("credential_name") for item in custom.get("available_credentials") or ()]
        models = [
            {"model": item.get("model"), "type": item.get("model_type")} for item in custom.get("custom_models") or ()
        ]
        providers.append(
            {
                "provider": row.get("provider"),
                "current_credential": custom.get("current_credential_name"),
                "credentials": sorted(str(name) for name in names),
                "custom_models": sorted(models, key=str),
            }
        )
    providers.sort(key=lambda row: str(row["provider"]))
    return {"providers": providers, "defaults": await instance.workspace.default_models()}


async def _tools(instance: Instance) -> list[dict[str, Any]]:
    rows = await instance.workspace.tool_providers()
    kept = [
        {
            "id": row.get("id"),
            "name": row.get("name"),
            "type": row.get("type"),
            "ready": row.get("is_team_authorization"),
        }
        for row in rows
    ]
    return sorted(kept, key=lambda row: (str(row["type"]), str(row["name"]), str(row["id"])))


async def _datasets(instance: Instance) -> list[dict[str, Any]]:
    kept = ("id", "name", "indexing_technique", "embedding_model", "embedding_model_provider", "document_count")
    rows = [{key: row.get(key) for key in kept} async for row in instance.workspace.datasets()]
    return sorted(rows, key=lambda row: str(row["id"]))
