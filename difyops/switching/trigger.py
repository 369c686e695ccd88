"""Switching triggers of an app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App, Trigger
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.switching.change import JsonObject, switched
from difyops.workspace import Workspace


class TriggerSwitch:
    """Some triggers of an app. Their state is a status by trigger id; what was deleted meanwhile has none."""

    async def read(self, instance: Instance, facts: JsonObject) -> Any:
        """Return the statuses of the triggers of this change."""
        wanted = facts["wanted"]
        return {item.id: item.status for item in await instance.console.triggers(facts["app_id"]) if item.id in wanted}

    async def write(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Switch those that have another status."""
        now = await self.read(instance, facts)
        for trigger, status in state.items():
            if trigger in now and now[trigger] != status:
                await instance.console.set_trigger(facts["app_id"], trigger, enabled=status == "enabled")

    async def confirm(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Do nothing: each is on or off."""

    async def reachable(self, instance: Instance, facts: JsonObject, state: Any) -> Any:
        """Return the part of ``state`` whose triggers are still there; ``None`` when none is."""
        now = await self.read(instance, facts)
        return {trigger: status for trigger, status in state.items() if trigger in now} or None


async def switch_triggers(
    workspace: Workspace, app: App, triggers: Sequence[Trigger], *, on: bool, checkpoint: Checkpoint = no_checkpoint
) -> bool:
    """Switch triggers of an app; ``False`` when they were so already. Raises as ``switch_app`` does.

    Enabling a schedule can start a run that it missed, at once (seen on 1.15).
    """
    word = "enabled" if on else "disabled"
    facts = {"app_id": app.id, "wanted": {item.id: word for item in triggers}}
    told = ", ".join(item.id for item in triggers)
    return await switched(
        workspace,
        TriggerSwitch(),
        f"trigger.{word}",
        f"app/{app.id}",
        app.name,
        facts,
        checkpoint=checkpoint,
        trigger=told,
    )
