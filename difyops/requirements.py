"""What a document needs and an instance lacks: datasets, model providers, models, providers of tools, plugins."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import Trigger
from difyops.dsl.model import datasets, models, tools, trigger_nodes
from difyops.dsl.plugin_names import required
from difyops.errors import DifyopsError, Forbidden, NotSupported, RequestRejected, UnreadableAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What the workspace has. ``plugins``: ids of the installed ones, ``None`` where they may not be read."""

    datasets: frozenset[str]
    providers: frozenset[str]
    models: frozenset[tuple[str, str]]
    tool_providers: frozenset[str]
    plugins: frozenset[str] | None = None


async def stock_of(instance: Instance) -> Stock:
    """Read what the workspace has."""
    workspace = instance.workspace
    usable = await workspace.models("llm")
    for kind in ("text-embedding", "rerank"):
        with contextlib.suppress(DifyopsError):  # kinds that no plugin offers answer with errors on some versions
            usable |= await workspace.models(kind)
    tool_rows = await workspace.tool_providers()
    plugins = None
    with contextlib.suppress(Forbidden, NotSupported, RequestRejected):
        plugins = frozenset(str(row.get("plugin_id")) for row in await workspace.plugins())
    return Stock(
        datasets=frozenset([str(row.get("id")) async for row in workspace.datasets()]),
        providers=frozenset(str(row.get("provider")) for row in await workspace.model_providers()),
        models=frozenset(usable),
        tool_providers=frozenset(str(row.get(key)) for row in tool_rows for key in ("id", "name")),
        plugins=plugins,
    )


def missing(document: Mapping[str, Any], stock: Stock) -> list[str]:
    """Return one sentence for each thing that a document names and the workspace has not."""
    found = [f"the dataset {item} is gone" for item in sorted(datasets(document) - stock.datasets)]
    for provider, name in sorted(models(document)):
        if provider and not _has(stock.providers, provider):
            found.append(f"the model provider {provider!r} is gone")
        elif provider and not any(
            model == name and same_provider(offered, provider) for offered, model in stock.models
        ):
            found.append(f"the model {name!r} of {provider} cannot be used")
    for provider, kind, name, _ in sorted(tools(document), key=str):
        if kind in ("builtin", "api", "workflow", "mcp") and not _has(stock.tool_providers, provider):
            found.append(f"the provider of the tool {name!r} is gone ({provider})")
    lacking = required(document) - stock.plugins if stock.plugins is not None else set()
    told = " ".join(found)
    return found + [f"the plugin {item} is not installed" for item in sorted(lacking) if f"{item}/" not in told]


def same_provider(known: str, wanted: str) -> bool:
    """Say whether two names mean the same provider: old documents say ``openai``, servers say ``org/plugin/openai``."""
    return known == wanted or known.rpartition("/")[2] == wanted or wanted.rpartition("/")[2] == known


def _has(known: frozenset[str], wanted: str) -> bool:
    return any(same_provider(item, wanted) for item in known)


def check_triggers(document: Mapping[str, Any], triggers: Sequence[Trigger]) -> None:
    """Refuse a trigger list that has lost triggers of the graph.

    Raises:
        UnreadableAnswer: names the first that is missing.
    """
    listed = {item.node_id for item in triggers}
    for node in trigger_nodes(document):
        if node.id not in listed:
            raise UnreadableAnswer(f"list triggers: the trigger {node.name!r} of the live version is not in the list.")
