"""The plugins that are installed, and which of them are old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from difyops.api.instance import Instance
from difyops.api.plugin_calls import DifyPlugin, Newest, PluginCalls
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure, SelectorError
from difyops.plugins_of_dify.holds import Holds


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRow:
    """One installed plugin. ``latest``: the marketplace's newest version, ``None``: not asked, or not known.

    ``state``: current, outdated, held, excluded, unknown; blank where the newest version was not asked for.
    """

    id: str
    version: str
    source: str
    category: str
    identifier: str
    latest: str | None = None
    latest_identifier: str | None = None
    held: str | None = None
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInventory:
    """The plugins; ``error`` is the "no" (5) when one is outdated, and 3 where the newest versions are not known."""

    rows: tuple[PluginRow, ...]

    @property
    def error(self) -> DifyopsError | None:
        """Return what the states come to."""
        old = [row for row in self.rows if row.state == "outdated"]
        unknown = [row.id for row in self.rows if row.state == "unknown"]
        if old:
            named = ", ".join(f"{row.id} {row.version} -> {row.latest}" for row in old[:5])
            return AnswerIsNo(
                f"{counted(len(old), 'plugin is', 'plugins are')} outdated: {named}.",
                hint=f"difyops plugin uses {old[0].id}",
            )
        if unknown:
            return PartialFailure(
                f"The server does not know the newest version of {', '.join(unknown[:5])}.",
                hint="The marketplace is switched off there, or cannot be reached.",
            )
        return None


async def installed(instance: Instance) -> list[DifyPlugin]:
    """Return the installed plugins, by id."""
    rows = [DifyPlugin.of(row) for row in await instance.workspace.plugins()]
    return sorted(rows, key=lambda item: item.id)


def plugin_named(plugins: Sequence[DifyPlugin], name: str) -> DifyPlugin:
    """Return the plugin that ``name`` means: its id, its identifier, or the part of the id after the slash.

    Raises:
        SelectorError: there is none, or several fit.
    """
    found = [item for item in plugins if name in (item.id, item.identifier)]
    found = found or [item for item in plugins if item.id.rpartition("/")[2] == name]
    if len(found) == 1:
        return found[0]
    there = ", ".join(item.id for item in plugins) or "none"
    said = (
        f"{counted(len(found), 'plugin is', 'plugins are')} called {name!r}"
        if found
        else f"No plugin {name!r} is installed"
    )
    raise SelectorError(f"{said}.", hint=f"There is: {there}.")


async def list_plugins(instance: Instance, holds: Holds, *, newest: bool) -> PluginInventory:
    """Return the installed plugins; ``newest``: with the marketplace's newest version of each.

    Raises:
        NotSupported: the server tells no newest versions (before 1.3).
    """
    plugins = await installed(instance)
    known: dict[str, Newest | None] = {}
    if newest and plugins:
        known = await PluginCalls(instance.console).newest([item.id for item in plugins])
    return PluginInventory(rows=tuple(_row(item, known.get(item.id), holds, judged=newest) for item in plugins))


def _row(plugin: DifyPlugin, newest: Newest | None, holds: Holds, *, judged: bool) -> PluginRow:
    held = holds.reason(plugin.id)
    return PluginRow(
        id=plugin.id,
        version=plugin.version,
        source=plugin.source,
        category=plugin.category,
        identifier=plugin.identifier,
        latest=newest.version if newest else None,
        latest_identifier=newest.identifier if newest else None,
        held=held,
        state=_state(plugin, newest, held, holds) if judged else "",
    )


def _state(plugin: DifyPlugin, newest: Newest | None, held: str | None, holds: Holds) -> str:
    if holds.excludes(plugin.id):
        return "excluded"
    if newest is None:
        return "unknown" if plugin.source == "marketplace" else "current"
    if newest.identifier == plugin.identifier:
        return "current"
    return "held" if held is not None else "outdated"
