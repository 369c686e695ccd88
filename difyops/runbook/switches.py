"""Switching one thing of an app on or off and reading it back: what four actions share."""

from __future__ import annotations

from difyops.api.model import Trigger
from difyops.counting import counted
from difyops.errors import NotFound
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Undo
from difyops.switching import switch_app, switch_triggers


async def plan_api(resources: Resources, selector: str, *, on: bool) -> Planned:
    """Plan to switch an app's service API; nothing to do where it is so already."""
    instance = await resources.instance()
    app = await instance.console.app((await resources.app(selector)).id)
    word = "on" if on else "off"
    if app.enable_api is on:
        return Planned(text=f"the API of {app.name} is {word} already")

    async def apply() -> Acted:
        await switch_app(await resources.workspace(), app, site=False, on=on)
        return Acted(text=f"the API of {app.name} is {word} (read back)")

    undo = Undo(action="app.disable_api" if on else "app.enable_api", parameters={"app": app.id})
    effect = "callers get in again" if on else "callers get 403"
    return Planned(text=f"switch the API of {app.name} {word}: {effect}", apply=apply, undo=undo)


async def plan_triggers(resources: Resources, selector: str, wanted: list[str] | None, *, on: bool) -> Planned:
    """Plan to switch an app's triggers: some by title, node or kind (``webhook``), or all of them. The undo names those
    that are moved: what was switched so before stays so.

    Raises:
        NotFound: the app has no trigger of a name that was given.
    """
    instance = await resources.instance()
    app = await resources.app(selector)
    word = "enabled" if on else "disabled"
    every = await instance.console.triggers(app.id)
    fitting = [item for item in every if not wanted or set(wanted) & set(_names(item))]
    unknown = [name for name in wanted or () if not any(name in _names(item) for item in every)]
    if unknown:
        known = ", ".join(item.title or item.kind for item in every) or "none"
        raise NotFound(f"{app.name} has no trigger {unknown[0]!r} (it has: {known}).", status=404)
    moving = [item for item in fitting if item.status != word]
    if not moving:
        said = (
            f"{counted(len(fitting), 'trigger')} of {app.name}: {word} already"
            if fitting
            else f"{app.name} has no trigger"
        )
        return Planned(text=said)
    names = ", ".join(item.title or item.kind for item in moving)

    async def apply() -> Acted:
        await switch_triggers(await resources.workspace(), app, moving, on=on)
        return Acted(text=f"{names} of {app.name}: {word} (read back)")

    parameters = {"app": app.id, "trigger": [item.id for item in moving]}
    undo = Undo(action="trigger.disable" if on else "trigger.enable", parameters=parameters)
    return Planned(
        text=f"switch {counted(len(moving), 'trigger')} of {app.name} to {word}: {names}", apply=apply, undo=undo
    )


def _names(item: Trigger) -> tuple[str, ...]:
    return (item.id, item.title, item.node_id, item.kind, item.kind.removeprefix("trigger-"))
