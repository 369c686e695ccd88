"""What an upgrade would touch: a file that a person can read, and that goes stale when anything in it moved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.plugin_calls import DifyPlugin, PluginCalls
from difyops.dsl.plugin_names import is_identifier_of
from difyops.errors import Refused, StalePlan, UsageError
from difyops.plugins_of_dify.inventory import installed, plugin_named
from difyops.plugins_of_dify.uses import DRAFT, LIVE, AppUses, uses_of

_SCHEMA = "difyops/plugin-upgrade/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedApp:
    """An app whose identifiers are rewritten. ``live`` and ``draft`` are its version's id and its draft's hash."""

    id: str
    name: str
    mode: str
    live: str | None
    draft: str | None
    live_places: int
    draft_places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan:
    """An upgrade of one plugin on one instance. ``users``: ids of the apps that use it live, which are watched: an app
    may use a plugin and name no version of it.

    ``old`` is ``new`` where somebody upgraded it already and apps were left behind: then only these are touched.
    """

    url: str
    plugin: str
    source: str
    old: str
    new: str
    apps: tuple[TouchedApp, ...]
    users: tuple[str, ...] = ()


async def make_plan(instance: Instance, apps: Sequence[App], name: str, to: str | None) -> UpgradePlan:
    """Look at a plugin, at the version that ``to`` names (default: the newest), and at every app.

    Raises:
        SelectorError: no such plugin. UsageError: ``to`` is no version of it. Refused: there is nothing to do, or an
        app could not be read: what is not known cannot be rewritten.
    """
    plugin = plugin_named(await installed(instance), name)
    new = await _wanted(instance, plugin, to)
    found = await uses_of(instance, apps, plugin.id, new)
    if found.failed:
        names = ", ".join(name for name, _ in found.failed[:5])
        raise Refused(f"Which apps use {plugin.id} is not known: {names} could not be read.", hint="Try again.")
    touched = [item for item in found.apps if any(use.is_old for use in item.uses)]
    if new == plugin.identifier and not touched:
        raise Refused(f"{plugin.id} is {plugin.version} already, in every app.", hint="difyops plugin outdated")
    return UpgradePlan(
        url=instance.context.url,
        plugin=plugin.id,
        source=plugin.source,
        old=plugin.identifier,
        new=new,
        apps=tuple(_touched(item) for item in touched),
        users=tuple(item.app.id for item in found.apps if any(use.where == LIVE for use in item.uses)),
    )


async def check_plan(instance: Instance, apps: Sequence[App], plan: UpgradePlan) -> None:
    """Hold a plan to the instance as it is now.

    Raises:
        StalePlan: something moved since it was made; names it.
    """
    if plan.url != instance.context.url:
        raise StalePlan(f"The plan is for {plan.url}, not for {instance.context.url}.")
    now = await make_plan(instance, apps, plan.plugin, plan.new)
    if now.old != plan.old:
        raise StalePlan(f"{plan.plugin} is {now.old} now; the plan was made for {plan.old}.")
    before, after = {app.id: app for app in plan.apps}, {app.id: app for app in now.apps}
    moved = [app.name for key, app in {**before, **after}.items() if before.get(key) != after.get(key)]
    if moved:
        raise StalePlan(
            f"{', '.join(sorted(moved)[:5])} changed since the plan was made; nothing was done.",
            hint=f"difyops plugin upgrade {plan.plugin} --plan FILE makes a new one",
        )


def write_plan(path: Path, plan: UpgradePlan) -> None:
    """Write a plan as JSON; it holds no secrets."""
    body = {"schema": _SCHEMA, **asdict(plan)}
    atomic_file.write(path, (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode())


def read_plan(path: Path) -> UpgradePlan:
    """Read a plan.

    Raises:
        UsageError: the file is no plan.
    """
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if body.pop("schema") != _SCHEMA:
            raise ValueError
        apps = tuple(TouchedApp(**app) for app in body.pop("apps"))
        return UpgradePlan(**{**body, "apps": apps, "users": tuple(body["users"])})
    except OSError as error:
        raise UsageError(f"The plan {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no plan of a plugin upgrade.", hint="--plan FILE writes one.") from error


async def _wanted(instance: Instance, plugin: DifyPlugin, to: str | None) -> str:
    if to is not None and is_identifier_of(to, plugin.id):
        return to
    newest = (await PluginCalls(instance.console).newest([plugin.id])).get(plugin.id)
    if newest is None:
        raise Refused(
            f"The server does not know the newest version of {plugin.id} (no marketplace?).",
            hint="--to ORG/NAME:VERSION@CHECKSUM names a version by its identifier.",
        )
    if to is not None and to != newest.version:
        raise UsageError(
            f"--to {to}: only the newest version ({newest.version}) can be named by its number.",
            hint="--to ORG/NAME:VERSION@CHECKSUM names any version.",
        )
    return newest.identifier


def _touched(item: AppUses) -> TouchedApp:
    def places(where: str) -> int:
        return sum(use.where == where and use.is_old for use in item.uses)

    return TouchedApp(
        id=item.app.id, name=item.app.name, mode=item.app.mode, live=item.live, draft=item.draft,
        live_places=places(LIVE), draft_places=places(DRAFT),
    )  # fmt: skip
