"""Plugins: the list, the newest versions, upgrades and their tasks."""

from __future__ import annotations

from starlette.responses import Response

from difyops.emulator import shapes
from difyops.emulator.routing import Call, Route

PLUGIN = "/console/api/workspaces/current/plugin"


def list_plugins(call: Call) -> Response:
    """List the installed plugins."""
    call.instance.reach_daemon("list")
    rows = call.instance.daemon.installed()
    return shapes.answer({"plugins": rows, "total": len(rows)})


def newest_versions(call: Call) -> Response:
    """Return the newest version of each plugin that is asked for; null without a marketplace."""
    daemon = call.instance.daemon
    found = {}
    for plugin_id in call.require(call.json(), "plugin_ids", "ParserLatest"):
        named = daemon.newest.get(plugin_id)
        row = next((item for item in daemon.installed() if item["plugin_id"] == plugin_id), None)
        if named is None and daemon.has_marketplace and row is not None:
            named = row["plugin_unique_identifier"]
        found[plugin_id] = named and {
            "plugin_id": plugin_id, "version": named.partition(":")[2].partition("@")[0], "unique_identifier": named,
            "status": "active", "deprecated_reason": "", "alternative_plugin_id": "",
        }  # fmt: skip
    return shapes.answer({"versions": found})


def manifest(call: Call) -> Response:
    """Return the manifest of a package that is held; ``marketplace/pkg`` fetches it first."""
    call.instance.reach_daemon("fetch/manifest")
    daemon, named = call.instance.daemon, call.query("plugin_unique_identifier")
    if call.path.endswith("/pkg") and not daemon.has_marketplace:
        raise shapes.invalid_param("marketplace is not enabled")
    row = daemon.find(named)
    if row is None and named not in daemon.packages:
        raise shapes.invalid_param("PluginDaemonNotFoundError: plugin not found")
    declaration = row["declaration"] if row else {"name": named.partition(":")[0].rpartition("/")[2]}
    return shapes.answer({"manifest": declaration})


def upgrade(call: Call) -> Response:
    """Begin an upgrade."""
    call.instance.reach_daemon("install/upgrade")
    body = call.json()
    old, new = (
        str(call.require(body, f"{which}_plugin_unique_identifier", "ParserUpgrade")) for which in ("original", "new")
    )
    return shapes.answer(call.instance.daemon.upgrade(old, new))


def task(call: Call) -> Response:
    """Show how an installation stands."""
    call.instance.reach_daemon("install/tasks")
    shown = call.instance.daemon.look(call.params["task_id"])
    if shown is None:
        path = f"plugin/{call.instance.workspace_id}/management/install/tasks/{call.params['task_id']}"
        raise shapes.invalid_param(
            f"Failed to parse response from plugin daemon to PluginDaemonBasicResponse [PluginInstallTask], url: {path}"
        )
    return shapes.answer({"task": shown})


ROUTES = (
    Route("GET", f"{PLUGIN}/list", list_plugins),
    Route("POST", f"{PLUGIN}/list/latest-versions", newest_versions),
    Route("GET", f"{PLUGIN}/fetch-manifest", manifest),
    Route("GET", f"{PLUGIN}/marketplace/pkg", manifest),
    Route("POST", f"{PLUGIN}/upgrade/marketplace", upgrade),
    Route("GET", f"{PLUGIN}/tasks/{{task_id}}", task),
)
