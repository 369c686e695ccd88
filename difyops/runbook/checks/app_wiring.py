"""``app.wiring``: does everything that an app is wired to still exist?"""

from __future__ import annotations

from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.counting import counted
from difyops.dsl.model import iter_nodes, node_types, tools
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.requirements import Stock, missing, stock_of
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value
from difyops.snapshot.missing import lost_credentials


async def check(
    resources: Resources, *, apps: list[str], draft: bool = False, max_problems: int = 0, dependencies: bool = True
) -> Result:
    """Look for tools and credentials that were deleted, datasets, providers and models that are gone, node types the
    server lacks, model nodes that nothing leads to, and plugins that the last import missed.

    Looks at what is live (``draft: true``: at the drafts). The platform publishes broken apps without a word; only
    their runs fail, or succeed empty. Nothing is run here.
    """
    chosen = await resources.chosen(apps)
    instance = await resources.instance()
    stock = await stock_of(instance)

    async def look(app: App) -> list[str]:
        return await _problems(instance, app, stock, draft=draft, dependencies=dependencies)

    found: list[str] = []
    unread: list[str] = []
    async for result in fan_out(chosen, look, FanoutOptions(limit=instance.context.max_in_flight)):
        match result:
            case Done(item=app, value=problems):
                found += [f"{app.name}: {problem}" for problem in problems]
            case Failed(item=app, error=error):
                unread.append(f"{app.name}: {error.message}")
    values = (
        Value(name="problems", value=len(found), fail=max_problems),
        Value(name="apps", value=len(chosen) - len(unread)),
    )
    if len(found) > max_problems:
        text = (
            f"{len(found)} broken reference{'s' * (len(found) != 1)} in {counted(len(chosen), 'app')};"
            f" first: {sorted(found)[0]}"
        )
        return Fail(text=text, values=values, excerpt="; ".join(sorted(found)[:12]))
    if unread:
        return Inconclusive(
            text=f"{len(unread)} of {counted(len(chosen), 'app')} could not be read: {unread[0]}", values=values
        )
    return Pass(text=f"{counted(len(chosen), 'app refers', 'apps refer')} to nothing that is gone", values=values)


async def _problems(instance: Instance, app: App, stock: Stock, *, draft: bool, dependencies: bool) -> list[str]:
    detail = await instance.console.app(app.id)
    found = [
        f"the tool {item.get('tool_name') or item.get('provider_id')!r} was deleted"
        for item in detail.raw.get("deleted_tools") or ()
        if isinstance(item, dict)
    ]
    document = await _document(instance, detail, draft=draft)
    if document is not None:
        found += missing(document, stock) + _lonely(document)
        for provider, item in await lost_credentials(instance, tools(document)):
            found.append(f"the credential {item} of the tool provider {provider} was deleted")
        unknown = instance.capabilities.unknown_node_types(node_types(document))
        found += [f"node type {kind!r} is not known to this server" for kind in sorted(unknown)]
    if dependencies:
        found += [f"the plugin {name} is missing" for name in await instance.console.missing_dependencies(app.id)]
    return found


async def _document(instance: Instance, app: App, *, draft: bool) -> dict[str, Any] | None:
    if not app.has_workflow:
        return {"model_config": app.model_config or {}}
    if draft:
        found = await instance.console.draft(app.id)
    else:
        found = await instance.console.published(app.id) if app.live_version else None
    return found.document if found else None


def _lonely(document: dict[str, Any]) -> list[str]:
    """Name the nodes without an edge that leads to them: they never run, and the run still succeeds."""
    graph = document.get("graph") or {}
    reached = {edge.get("target") for edge in graph.get("edges") or () if isinstance(edge, dict)}
    inside = {
        str(node.get("id"))
        for node in graph.get("nodes") or ()
        if isinstance(node, dict) and (node.get("parentId") or str(node.get("type", "")).endswith("-start"))
    }
    starts = ("start", "trigger-webhook", "trigger-schedule", "trigger-plugin", "iteration-start", "loop-start")
    return [
        f"no edge leads to the node {node.name!r}"
        for node in iter_nodes(document)
        if node.type in ("end", "answer", "llm", "agent")
        and node.type not in starts
        and node.id not in reached
        and node.id not in inside
    ]
