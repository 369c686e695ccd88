"""The endpoints, one file per noun; each ends in its table ``ROUTES``. ``all_routes`` is the whole surface."""

from __future__ import annotations

from difyops.emulator.routes import (
    console_account,
    console_agents,
    console_apps,
    console_datasets,
    console_humans,
    console_imports,
    console_keys,
    console_logs,
    console_models,
    console_plugins,
    console_providers,
    console_statistics,
    console_tags,
    console_tools,
    console_workflows,
    service_chats,
    service_datasets,
    service_misc,
    service_workflows,
    triggers,
)
from difyops.emulator.routing import Route


def all_routes() -> tuple[Route, ...]:
    """Return every route of every release."""
    modules = (
        console_account, console_agents, console_apps, console_tags, console_imports, console_workflows, console_keys,
        console_plugins, console_providers, console_models, console_tools, console_datasets, console_logs,
        console_humans,
        console_statistics, triggers, service_workflows, service_chats, service_misc, service_datasets,
    )  # fmt: skip
    return tuple(route for module in modules for route in module.ROUTES)
