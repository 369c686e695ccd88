"""What an instance has that documents name: datasets, models, plugins, tools, credentials; read once for all apps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.requirements import Stock, stock_of

CUSTOM = frozenset({"workflow", "api", "mcp"})  # kinds of tools whose provider is an id of the instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Names by id. ``tools``: only those that the instance's people made; ``plugins``: identifier by plugin id."""

    stock: Stock
    apps: tuple[App, ...]
    datasets: dict[str, str]
    tools: dict[str, str]
    plugins: dict[str, str]
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)


async def parts_of(instance: Instance) -> Parts:
    """Read what an instance has."""
    workspace = instance.workspace
    rows = await workspace.tool_providers()
    plugins = {
        str(row.get("plugin_id")): str(row.get("plugin_unique_identifier") or "") for row in await workspace.plugins()
    }
    return Parts(
        stock=await stock_of(instance),
        apps=tuple([app async for app in instance.console.apps()]),
        datasets={str(row.get("id")): str(row.get("name")) async for row in workspace.datasets()},
        tools={str(row.get("id")): str(row.get("name")) for row in rows if str(row.get("type")) in CUSTOM},
        plugins=plugins,
    )


async def credentials_of(instance: Instance, parts: Parts, providers: Iterable[str]) -> None:
    """Read the credentials of tool providers that were not read yet, into ``parts``."""
    if not instance.capabilities.can("tool_credentials"):
        return
    for provider in sorted(set(providers) - parts.credentials.keys()):
        rows = await instance.workspace.tool_credentials(provider)
        parts.credentials[provider] = {str(row.get("id")): str(row.get("name")) for row in rows}
