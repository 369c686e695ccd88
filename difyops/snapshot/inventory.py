"""The workspace around the apps: plugins, models, tools, datasets. What a restore must find again. No values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from difyops.api.credential_sets import credentials_in, custom_models
from difyops.api.instance import Instance
from difyops.api.shapes import anything
from difyops.dsl.canonical import canonical
from difyops.dsl.model import as_dict
from difyops.errors import DifyopsError, UnreadableAnswer
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.git_store import GitStore
from difyops.snapshot.assembly import Base
from difyops.snapshot.layout import digest, parsed


async def read_inventory(instance: Instance) -> tuple[dict[str, bytes], dict[str, DifyopsError]]:
    """Return the files of the inventory by part, and the parts that could not be read with their errors.

    A part that this role may not see is a part that could not be read, like any other.
    """

    async def read(part: str) -> bytes:
        return canonical(await _READERS[part](instance))

    files: dict[str, bytes] = {}
    failed: dict[str, DifyopsError] = {}
    async for result in fan_out(_READERS, read, FanoutOptions(adaptive=False)):
        match result:
            case Done(item=part, value=content):
                files[part] = content
            case Failed(item=part, error=error):
                failed[part] = error
    return files, failed


async def confirmed(
    instance: Instance,
    store: GitStore | None,
    base: Base,
    files: Mapping[str, bytes],
    failed: Mapping[str, DifyopsError],
) -> dict[str, Any]:
    """Return ``inventory`` and ``inventory_failed`` after a second look at what failed or holds less than before.

    Less is believed when it is answered twice.
    """
    now, missed = dict(files), dict(failed)
    for part, reader in _READERS.items():
        failure = missed.get(part)
        less = part in now and _has_lost(store, base, part, now[part])
        if not less and (failure is None or not failure.retryable):
            continue
        try:
            again = canonical(await reader(instance))
        except DifyopsError as error:
            missed[part] = error
            now.pop(part, None)
            continue
        if less and again != now[part] and _has_lost(store, base, part, again):
            missed[part] = UnreadableAnswer(f"read the {part}: it holds less than before, and each answer differs.")
            now.pop(part)
            continue
        now[part] = again
        missed.pop(part, None)
    return {"inventory": now, "inventory_failed": missed}


def _has_lost(store: GitStore | None, base: Base, part: str, content: bytes) -> bool:
    """Say whether a part has fewer rows than in the last snapshot."""
    path = f"workspace/{part}.json"
    if store is None or base.commit is None or base.manifest is None:
        return False
    if base.manifest.files.get(path) in (None, digest(content)):
        return False
    return _rows_in(content) < _rows_in(store.read(base.commit, path))


def _rows_in(content: bytes) -> int:
    body = parsed(content, anything)
    if isinstance(body, dict):
        return sum(len(part) for part in body.values() if isinstance(part, list | dict))
    return len(body) if isinstance(body, list) else 0


async def _plugins(instance: Instance) -> list[dict[str, Any]]:
    kept = ("plugin_id", "version", "plugin_unique_identifier", "source")
    rows = await instance.workspace.plugins()
    return sorted(({key: row.get(key) for key in kept} for row in rows), key=lambda row: str(row["plugin_id"]))


async def _models(instance: Instance) -> dict[str, Any]:
    providers = []
    for row in await instance.workspace.model_providers():
        custom = as_dict(row.get("custom_configuration"))
        if custom.get("status") != "active" and not custom.get("available_credentials"):
            continue
        names = [item.name for item in credentials_in(custom, "available_credentials")]
        models = [{"model": item.get("model"), "type": item.get("model_type")} for item in custom_models(row)]
        providers.append(
            {
                "provider": row.get("provider"),
                "current_credential": custom.get("current_credential_name"),
                "credentials": sorted(names),
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


_READERS: dict[str, Callable[[Instance], Awaitable[Any]]] = {
    "plugins": _plugins,
    "models": _models,
    "tools": _tools,
    "datasets": _datasets,
}
